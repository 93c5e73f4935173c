;; Hands on what people have in the vault. It has a lock.
;;
;; Storage
;;   0  i64  lock
;;   8  i64  how much was handed on
;;
;; Methods
;;   send_to(who, amount)
;;   volume() -> i64

(module $market
  (import "contract:vault" "credit" (func $vault.credit (param i64) (result i64)))
  (import "contract:vault" "set" (func $vault.set (param i64 i64)))
  (import "ethereum" "getCaller" (func $getCaller (param i32)))
  (import "ethereum" "revert" (func $revert (param i32 i32)))
  ;; @storage
  (memory $memory (export "memory") 1)

  ;; Gives up and undoes this call where the condition does not hold.
  (func $require (param $condition i32)
    (if (i32.eqz (local.get $condition))
      (then (call $revert (i32.const 0) (i32.const 0)))))

  ;; Who calls, as the last byte of its address.
  (func $me (result i64)
    (call $getCaller (i32.const 0))
    (i64.load8_u $memory (i32.const 19)))

  (func $volume (export "volume") (result i64)
    (return (call $load_i64 (i32.const 8))))

  (func $send_to (export "send_to") (param $who i64) (param $amount i64)
    (call $require (i64.eq (call $load_i64 (i32.const 0)) (i64.const 0)))
    (call $store_i64 (i32.const 0) (i64.const 1))
    (call $require
      (i32.and
        (i32.and
          (i32.and
            (i64.gt_s (local.get $amount) (i64.const 0))
            (i64.le_s (local.get $amount) (call $vault.credit (call $me))))
          (i64.ge_s (local.get $who) (i64.const 0)))
        (i64.lt_s (local.get $who) (i64.const 256))))
    (call $vault.set (call $me) (i64.sub (call $vault.credit (call $me)) (local.get $amount)))
    (call $vault.set (local.get $who) (i64.add (call $vault.credit (local.get $who)) (local.get $amount)))
    (call $store_i64 (i32.const 8) (i64.add (call $load_i64 (i32.const 8)) (local.get $amount)))
    (call $store_i64 (i32.const 0) (i64.const 0))))
