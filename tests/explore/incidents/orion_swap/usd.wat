;; A token without hooks. The exchange, whose address ends in 0x41, may move what anybody has.
;;
;; Storage
;;   8*who  i64  the balance of account `who`
;;
;; Methods
;;   move(from, to, amount)
;;   balance(who) -> i64

(module $usd
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

  (func $balances (param $key i64) (result i32)
    (i32.add (i32.const 0) (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 255)))))

  (func $balance (export "balance") (param $who i64) (result i64)
    (return (call $load_i64 (call $balances (local.get $who)))))

  (func $move (export "move") (param $src i64) (param $dst i64) (param $amount i64)
    (call $require
      (i32.and
        (i32.and
          (i32.and
            (i32.and (i64.ge_s (local.get $src) (i64.const 0)) (i64.lt_s (local.get $src) (i64.const 256)))
            (i64.ge_s (local.get $dst) (i64.const 0)))
          (i64.lt_s (local.get $dst) (i64.const 256)))
        (i64.ne (local.get $src) (local.get $dst))))
    (call $require (i32.or (i64.eq (call $me) (local.get $src)) (i64.eq (call $me) (i64.const 65))))
    (call $require
      (i32.and
        (i64.ge_s (local.get $amount) (i64.const 0))
        (i64.le_s (local.get $amount) (call $load_i64 (call $balances (local.get $src))))))
    (call $store_i64
      (call $balances (local.get $src))
      (i64.sub (call $load_i64 (call $balances (local.get $src))) (local.get $amount)))
    (call $store_i64
      (call $balances (local.get $dst))
      (i64.add (call $load_i64 (call $balances (local.get $dst))) (local.get $amount)))))
