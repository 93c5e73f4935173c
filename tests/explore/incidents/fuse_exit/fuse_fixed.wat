;; Lends money to whom the comptroller allows it. Every method has the same lock.
;;
;; Storage, memory `state`
;;   0  i64  lock
;; Storage, memory `debts`
;;   8*who  i64  what account `who` owes
;;
;; Methods
;;   borrow(amount)
;;   repay()            with the value that comes along
;;   debt(who) -> i64

(module $fuse
  (import "contract:comptroller" "allowed" (func $comptroller.allowed (param i64 i64) (result i64)))
  (import "ethereum" "call" (func $call (param i64 i32 i32 i32 i32) (result i32)))
  (import "ethereum" "getCallValue" (func $getCallValue (param i32)))
  (import "ethereum" "getCaller" (func $getCaller (param i32)))
  (import "ethereum" "revert" (func $revert (param i32 i32)))
  (import "storage" "state" (memory $state 1))
  (import "storage" "debts" (memory $debts 1))
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
    (i32.add (i32.const 0) (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 255)))))

  (func $debt (export "debt") (param $who i64) (result i64)
    (return (i64.load $debts (call $debts (local.get $who)))))

  (func $borrow (export "borrow") (param $amount i64)
    (call $require (i64.eq (i64.load $state (i32.const 0)) (i64.const 0)))
    (i64.store $state (i32.const 0) (i64.const 1))
    (call $require
      (i32.and (i64.gt_s (local.get $amount) (i64.const 0)) (i64.le_s (local.get $amount) (i64.const 100000))))
    (call $require (i64.eq (call $comptroller.allowed (call $me) (local.get $amount)) (i64.const 1)))
    (i64.store $debts
      (call $debts (call $me))
      (i64.add (i64.load $debts (call $debts (call $me))) (local.get $amount)))
    (call $pay (call $me) (local.get $amount))
    (i64.store $state (i32.const 0) (i64.const 0)))

  (func $repay (export "repay")
    (call $require (i64.eq (i64.load $state (i32.const 0)) (i64.const 0)))
    (call $require (i64.le_s (call $value) (i64.load $debts (call $debts (call $me)))))
    (i64.store $debts
      (call $debts (call $me))
      (i64.sub (i64.load $debts (call $debts (call $me))) (call $value)))))
