;; Lends money against collateral, 70 of 100. Collateral is given back in lots of 50.
;;
;; Storage
;;   0             i64  lock of `redeem`
;;   128 + 8*who   i64  the collateral of account `who`
;;   2176 + 8*who  i64  what it owes
;;
;; Methods
;;   redeem()         pays a lot
;;   borrow(amount)
;;   repay()          with the value that comes along

(module $leverage
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

  (func $collateral (param $key i64) (result i32)
    (i32.add
      (i32.const 128)
      (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 255)))))

  (func $debts (param $key i64) (result i32)
    (i32.add
      (i32.const 2176)
      (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 255)))))

  (func $redeem (export "redeem")
    (local $left i64)
    (call $require (i64.eq (call $load_i64 (i32.const 0)) (i64.const 0)))
    (call $store_i64 (i32.const 0) (i64.const 1))
    (local.set $left (i64.sub (call $load_i64 (call $collateral (call $me))) (i64.const 50)))
    (call $require
      (i32.and
        (i64.ge_s (local.get $left) (i64.const 0))
        (i64.le_s
          (i64.mul (call $load_i64 (call $debts (call $me))) (i64.const 10))
          (i64.mul (local.get $left) (i64.const 7)))))
    (call $store_i64 (call $collateral (call $me)) (local.get $left))
    (call $pay (call $me) (i64.const 50))
    (call $store_i64 (i32.const 0) (i64.const 0)))

  (func $borrow (export "borrow") (param $amount i64)
    (call $require
      (i32.and
        (i64.gt_s (local.get $amount) (i64.const 0))
        (i64.le_s (local.get $amount) (i64.const 1000000))))
    (call $require
      (i64.le_s
        (i64.mul (i64.add (call $load_i64 (call $debts (call $me))) (local.get $amount)) (i64.const 10))
        (i64.mul (call $load_i64 (call $collateral (call $me))) (i64.const 7))))
    (call $store_i64
      (call $debts (call $me))
      (i64.add (call $load_i64 (call $debts (call $me))) (local.get $amount)))
    (call $pay (call $me) (local.get $amount)))

  (func $repay (export "repay")
    (call $require (i64.le_s (call $value) (call $load_i64 (call $debts (call $me)))))
    (call $store_i64
      (call $debts (call $me))
      (i64.sub (call $load_i64 (call $debts (call $me))) (call $value)))))
