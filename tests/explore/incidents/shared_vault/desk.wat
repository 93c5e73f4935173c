;; Takes deposits and pays them out, from a vault. It has a lock.
;;
;; Storage
;;   0  i64  lock
;;
;; Methods
;;   deposit()          of the value that comes along
;;   withdraw(amount)

(module $desk
  (import "contract:vault" "credit" (func $vault.credit (param i64) (result i64)))
  (import "contract:vault" "set" (func $vault.set (param i64 i64)))
  (import "contract:vault" "pay_out" (func $vault.pay_out (param i64 i64)))
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

  (func $_lock
    (call $require (i64.eq (call $load_i64 (i32.const 0)) (i64.const 0)))
    (call $store_i64 (i32.const 0) (i64.const 1)))

  (func $deposit (export "deposit")
    (call $_lock)
    (call $require
      (i32.and (i64.gt_s (call $value) (i64.const 0)) (i64.le_s (call $value) (i64.const 1000000))))
    (call $vault.set (call $me) (i64.add (call $vault.credit (call $me)) (call $value)))
    (call $require (i32.eq (call $send (i64.const 208) (call $value)) (i32.const 0)))
    (call $store_i64 (i32.const 0) (i64.const 0)))

  (func $withdraw (export "withdraw") (param $amount i64)
    (local $left i64)
    (call $_lock)
    (local.set $left (i64.sub (call $vault.credit (call $me)) (local.get $amount)))
    (call $require
      (i32.and (i64.gt_s (local.get $amount) (i64.const 0)) (i64.ge_s (local.get $left) (i64.const 0))))
    (call $vault.pay_out (call $me) (local.get $amount))
    (call $vault.set (call $me) (local.get $left))
    (call $store_i64 (i32.const 0) (i64.const 0))))
