;; Lends money against half the worth of shares in the pool.
;;
;; Storage
;;   2048 + 8*who  i64  the shares that account `who` has put in
;;   4096 + 8*who  i64  what it owes
;;
;; Methods
;;   put_in(n), take_out(n)
;;   borrow(amount)
;;   repay()                with the value that comes along

(module $lender
  (import "contract:pool" "price" (func $pool.price (result i64)))
  (import "contract:pool" "pull" (func $pool.pull (param i64 i64)))
  (import "contract:pool" "give" (func $pool.give (param i64 i64)))
  (import "ethereum" "call" (func $call (param i64 i32 i32 i32 i32) (result i32)))
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

  (func $debts (param $key i64) (result i32)
    (i32.add
      (i32.const 4096)
      (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 255)))))

  (func $collateral (param $key i64) (result i32)
    (i32.add
      (i32.const 2048)
      (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 255)))))

  (func $_covered (param $who i64) (param $n i64) (result i32)
    (return
      (i64.le_s
        (i64.mul (call $load_i64 (call $debts (local.get $who))) (i64.const 2000))
        (i64.mul (local.get $n) (call $pool.price)))))

  (func $put_in (export "put_in") (param $n i64)
    (call $require
      (i32.and (i64.gt_s (local.get $n) (i64.const 0)) (i64.le_s (local.get $n) (i64.const 1000000))))
    (call $pool.pull (call $me) (local.get $n))
    (call $store_i64
      (call $collateral (call $me))
      (i64.add (call $load_i64 (call $collateral (call $me))) (local.get $n))))

  (func $take_out (export "take_out") (param $n i64)
    (call $require
      (i32.and
        (i32.and
          (i64.gt_s (local.get $n) (i64.const 0))
          (i64.le_s (local.get $n) (call $load_i64 (call $collateral (call $me)))))
        (call $_covered (call $me) (i64.sub (call $load_i64 (call $collateral (call $me))) (local.get $n)))))
    (call $store_i64
      (call $collateral (call $me))
      (i64.sub (call $load_i64 (call $collateral (call $me))) (local.get $n)))
    (call $pool.give (call $me) (local.get $n)))

  (func $borrow (export "borrow") (param $amount i64)
    (call $require
      (i32.and
        (i64.gt_s (local.get $amount) (i64.const 0))
        (i64.le_s (local.get $amount) (i64.const 1000000))))
    (call $store_i64
      (call $debts (call $me))
      (i64.add (call $load_i64 (call $debts (call $me))) (local.get $amount)))
    (call $require (call $_covered (call $me) (call $load_i64 (call $collateral (call $me)))))
    (call $pay (call $me) (local.get $amount)))

  (func $repay (export "repay")
    (call $require (i64.le_s (call $value) (call $load_i64 (call $debts (call $me)))))
    (call $store_i64
      (call $debts (call $me))
      (i64.sub (call $load_i64 (call $debts (call $me))) (call $value)))))
