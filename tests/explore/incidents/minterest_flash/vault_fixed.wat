;; Keeps deposits, and lends all of them for the length of a call, for a fee of 1 and a fiftieth.
;;
;; Storage
;;   0              i64  1 while a loan is out
;;   1024 + 8*who   i64  the deposit of account `who`
;;
;; Methods
;;   main             without call data: deposits the value that comes along; with call data: pays a loan back
;;   withdraw(amount)
;;   flash(amount)
;;
;; Calls
;;   main of the borrower, with the loan, and its amount as call data

(module $vault
  (import "ethereum" "call" (func $call (param i64 i32 i32 i32 i32) (result i32)))
  (import "ethereum" "getAddress" (func $getAddress (param i32)))
  (import "ethereum" "getCallDataSize" (func $getCallDataSize (result i32)))
  (import "ethereum" "getCallValue" (func $getCallValue (param i32)))
  (import "ethereum" "getCaller" (func $getCaller (param i32)))
  (import "ethereum" "getExternalBalance" (func $getExternalBalance (param i32 i32)))
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

  ;; This contract, as the last byte of its address.
  (func $this (result i64)
    (call $getAddress (i32.const 0))
    (i64.load8_u $memory (i32.const 19)))

  ;; The value that comes with the call.
  (func $value (result i64)
    (call $getCallValue (i32.const 32))
    (i64.load $memory (i32.const 32)))

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

  ;; Writes a number of eight bytes where call data are put together.
  (func $put (param $at i32) (param $number i64)
    (i64.store $memory (i32.add (i32.const 96) (local.get $at)) (local.get $number)))

  ;; Calls `main` of an account with a value and some call data, which stands in working memory; 0 where that
  ;; went well.
  (func $ask (param $who i64) (param $amount i64) (param $length i32) (result i32)
    (call $address (local.get $who))
    (i64.store $memory (i32.const 32) (i64.const 0))
    (i64.store $memory (i32.const 40) (i64.const 0))
    (i64.store $memory (i32.const 32) (local.get $amount))
    (call $call
      (i64.const 0x7fffffffffffffff)
      (i32.const 0)
      (i32.const 32)
      (i32.const 96)
      (local.get $length)))

  ;; The money that an account has.
  (func $balance_of (param $who i64) (result i64)
    (call $address (local.get $who))
    (call $getExternalBalance (i32.const 0) (i32.const 32))
    (i64.load $memory (i32.const 32)))

  (func $deposits (param $key i64) (result i32)
    (i32.add
      (i32.const 1024)
      (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 255)))))

  (func $main (export "main")
    (call $require (i64.le_s (call $value) (i64.const 1000000)))
    (if (i32.eq (call $getCallDataSize) (i32.const 0))
      (then
        (call $require (i64.eq (call $load_i64 (i32.const 0)) (i64.const 0)))
        (call $store_i64
          (call $deposits (call $me))
          (i64.add (call $load_i64 (call $deposits (call $me))) (call $value))))))

  (func $withdraw (export "withdraw") (param $amount i64)
    (call $require
      (i32.and
        (i32.and
          (i64.gt_s (local.get $amount) (i64.const 0))
          (i64.le_s (local.get $amount) (call $load_i64 (call $deposits (call $me)))))
        (i64.eq (call $load_i64 (i32.const 0)) (i64.const 0))))
    (call $store_i64
      (call $deposits (call $me))
      (i64.sub (call $load_i64 (call $deposits (call $me))) (local.get $amount)))
    (call $pay (call $me) (local.get $amount)))

  (func $flash (export "flash") (param $amount i64)
    (local $earlier i64)
    (call $require
      (i32.and
        (i32.and
          (i64.eq (call $load_i64 (i32.const 0)) (i64.const 0))
          (i64.gt_s (local.get $amount) (i64.const 0)))
        (i64.le_s (local.get $amount) (i64.const 1000000))))
    (call $store_i64 (i32.const 0) (i64.const 1))
    (local.set $earlier (call $balance_of (call $this)))
    (call $put (i32.const 0) (local.get $amount))
    (call $require (i32.eq (call $ask (call $me) (local.get $amount) (i32.const 8)) (i32.const 0)))
    (call $require
      (i64.ge_s
        (call $balance_of (call $this))
        (i64.add (i64.add (local.get $earlier) (i64.div_s (local.get $amount) (i64.const 50))) (i64.const 1))))
    (call $store_i64 (i32.const 0) (i64.const 0))))
