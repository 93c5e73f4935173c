;; Bob's wallet.
;;
;; Call data of main
;;   1 i64: who owns it, answered as i64
;;   2 i64, amount i64: sends gold to the vault

(module $wallet
  (import "contract:gold" "transfer" (func $gold.transfer (param i64 i64)))
  (import "ethereum" "callDataCopy" (func $callDataCopy (param i32 i32 i32)))
  (import "ethereum" "finish" (func $finish (param i32 i32)))
  (import "ethereum" "getCaller" (func $getCaller (param i32)))
  (import "ethereum" "revert" (func $revert (param i32 i32)))
  (memory $memory (export "memory") 1)

  ;; Gives up and undoes this call where the condition does not hold.
  (func $require (param $condition i32)
    (if (i32.eqz (local.get $condition))
      (then (call $revert (i32.const 0) (i32.const 0)))))

  ;; Who calls, as the last byte of its address.
  (func $me (result i64)
    (call $getCaller (i32.const 0))
    (i64.load8_u $memory (i32.const 19)))

  ;; Eight bytes of call data.
  (func $data (param $at i32) (result i64)
    (call $callDataCopy (i32.const 64) (local.get $at) (i32.const 8))
    (i64.load $memory (i32.const 64)))

  ;; Ends the call well, with a number of eight bytes.
  (func $give (param $number i64)
    (i64.store $memory (i32.const 64) (local.get $number))
    (call $finish (i32.const 64) (i32.const 8)))

  (func $main (export "main")
    (if (i64.eq (call $data (i32.const 0)) (i64.const 1))
      (then (call $give (i64.const 2))))
    (call $require (i64.eq (call $me) (i64.const 98)))
    (call $gold.transfer (i64.const 98) (call $data (i32.const 8)))))
