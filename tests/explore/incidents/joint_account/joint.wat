;; Accounts that several people share. Nobody is served while being served.
;;
;; Storage
;;   64 + 8*group     i64  the money of group `group`, of 16
;;   512 + 8*who      i64  the group of person `who`
;;   2560 + 8*who     i64  1 while `who` is served
;;
;; Methods
;;   deposit()      of the value that comes along, into one's group
;;   withdraw()     everything in it

(module $joint
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

  (func $groups (param $key i64) (result i32)
    (i32.add
      (i32.const 512)
      (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 255)))))

  (func $money (param $key i64) (result i32)
    (i32.add (i32.const 64) (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 15)))))

  (func $served (param $key i64) (result i32)
    (i32.add
      (i32.const 2560)
      (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 255)))))

  (func $deposit (export "deposit")
    (call $require
      (i32.and
        (i32.and
          (i64.gt_s (call $load_i64 (call $groups (call $me))) (i64.const 0))
          (i64.gt_s (call $value) (i64.const 0)))
        (i64.le_s (call $value) (i64.const 1000000))))
    (call $store_i64
      (call $money (call $load_i64 (call $groups (call $me))))
      (i64.add (call $load_i64 (call $money (call $load_i64 (call $groups (call $me))))) (call $value))))

  (func $withdraw (export "withdraw")
    (local $amount i64)
    (call $require (i64.eq (call $load_i64 (call $served (call $me))) (i64.const 0)))
    (call $store_i64 (call $served (call $me)) (i64.const 1))
    (local.set $amount (call $load_i64 (call $money (call $load_i64 (call $groups (call $me))))))
    (call $require (i64.gt_s (local.get $amount) (i64.const 0)))
    (call $pay (call $me) (local.get $amount))
    (call $store_i64 (call $money (call $load_i64 (call $groups (call $me)))) (i64.const 0))
    (call $store_i64 (call $served (call $me)) (i64.const 0))))
