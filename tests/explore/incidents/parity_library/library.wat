;; What wallets do, on the storage of whoever runs it.
;;
;; Storage
;;   0            i64  how much was ever deposited
;;   16 + 8*who   i64  the deposit of account `who`
;;
;; Call data of main, i64 each
;;   1, 0, 0            deposits the value that comes along
;;   2, amount, 0       pays the caller
;;   3, amount, to      hands on a deposit

(module $library
  (import "ethereum" "call" (func $call (param i64 i32 i32 i32 i32) (result i32)))
  (import "ethereum" "callDataCopy" (func $callDataCopy (param i32 i32 i32)))
  (import "ethereum" "getCallValue" (func $getCallValue (param i32)))
  (import "ethereum" "getCaller" (func $getCaller (param i32)))
  (import "ethereum" "revert" (func $revert (param i32 i32)))
  ;; @storage
  (memory $memory (export "memory") 1)

  ;; Gives up and undoes this call where the condition does not hold.
  (func $require (param $condition i32)
    (if (i32.eqz (local.get $condition))
      (then (call $revert (i32.const 0) (i32.const 0)))))

  ;; Writes the address of an account to working memory.
  (func $address (param $who i64)
    (i64.store $memory (i32.const 0) (i64.const 0))
    (i64.store $memory (i32.const 8) (i64.const 0))
    (i32.store $memory (i32.const 16) (i32.const 0))
    (i32.store8 $memory (i32.const 19) (i32.wrap_i64 (local.get $who))))

  ;; Who calls, as the last byte of its address.
  (func $me (result i64)
    (call $getCaller (i32.const 0))
    (i64.load8_u $memory (i32.const 19)))

  ;; The value that comes with the call.
  (func $value (result i64)
    (call $getCallValue (i32.const 32))
    (i64.load $memory (i32.const 32)))

  ;; Eight bytes of call data.
  (func $data (param $at i32) (result i64)
    (call $callDataCopy (i32.const 64) (local.get $at) (i32.const 8))
    (i64.load $memory (i32.const 64)))

  ;; Calls `main` of an account with a value; 0 where that went well.
  (func $send (param $who i64) (param $amount i64) (result i32)
    (call $address (local.get $who))
    (i64.store $memory (i32.const 32) (i64.const 0))
    (i64.store $memory (i32.const 40) (i64.const 0))
    (i64.store $memory (i32.const 32) (local.get $amount))
    (call $call (i64.const 0x7fffffffffffffff) (i32.const 0) (i32.const 32) (i32.const 0) (i32.const 0)))

  ;; Pays an account, which is called; where that fails, so does this call.
  (func $pay (param $who i64) (param $amount i64)
    (call $require (i32.eqz (call $send (local.get $who) (local.get $amount)))))

  (func $deposits (param $key i64) (result i32)
    (i32.add (i32.const 16) (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 255)))))

  (func $main (export "main")
    (local $what i64) (local $amount i64) (local $left i64)
    (local.set $what (call $data (i32.const 0)))
    (local.set $amount (call $data (i32.const 8)))
    (call $require
      (i32.and (i64.ge_s (local.get $what) (i64.const 1)) (i64.le_s (local.get $what) (i64.const 3))))
    (if (i64.eq (local.get $what) (i64.const 1))
      (then
        (call $require (i64.le_s (call $value) (i64.const 1000000)))
        (call $store_i64 (i32.const 0) (i64.add (call $load_i64 (i32.const 0)) (call $value)))
        (call $store_i64
          (call $deposits (call $me))
          (i64.add (call $load_i64 (call $deposits (call $me))) (call $value)))))
    (if (i64.eq (local.get $what) (i64.const 2))
      (then
        (call $require
          (i32.and
            (i64.gt_s (local.get $amount) (i64.const 0))
            (i64.le_s (local.get $amount) (call $load_i64 (call $deposits (call $me))))))
        (local.set $left (i64.sub (call $load_i64 (call $deposits (call $me))) (local.get $amount)))
        (call $pay (call $me) (local.get $amount))
        (call $store_i64 (call $deposits (call $me)) (local.get $left))))
    (if (i64.eq (local.get $what) (i64.const 3))
      (then
        (call $require
          (i32.and
            (i64.gt_s (local.get $amount) (i64.const 0))
            (i64.le_s (local.get $amount) (call $load_i64 (call $deposits (call $me))))))
        (call $store_i64
          (call $deposits (call $me))
          (i64.sub (call $load_i64 (call $deposits (call $me))) (local.get $amount)))
        (call $store_i64
          (call $deposits (call $data (i32.const 16)))
          (i64.add (call $load_i64 (call $deposits (call $data (i32.const 16)))) (local.get $amount)))))))
