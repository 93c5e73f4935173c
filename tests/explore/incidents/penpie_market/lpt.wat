;; A token without hooks, with allowances.
;;
;; Storage, memory `balances`
;;   8*who                i64  the balance of account `who`
;; Storage, memory `allowances`
;;   2048*who + 8*other   i64  what `other` may take from account `who`; both below 16, by the lowest four bits
;;
;; Methods
;;   approve(other, amount)
;;   take(from, to, amount)
;;   balance(who) -> i64

(module $lpt
  (import "ethereum" "getCaller" (func $getCaller (param i32)))
  (import "ethereum" "revert" (func $revert (param i32 i32)))
  (import "storage" "balances" (memory $balances 1))
  (import "storage" "allowances" (memory $allowances 1))
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
    (i32.add (i32.const 0) (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 15)))))

  (func $allowances (param $row i64) (param $column i64) (result i32)
    (i32.add
      (i32.add
        (i32.const 0)
        (i32.mul (i32.const 2048) (i32.and (i32.wrap_i64 (local.get $row)) (i32.const 15))))
      (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $column)) (i32.const 15)))))

  (func $balance (export "balance") (param $who i64) (result i64)
    (return (i64.load $balances (call $balances (local.get $who)))))

  (func $approve (export "approve") (param $other i64) (param $amount i64)
    (call $require
      (i32.and
        (i64.ge_s (local.get $amount) (i64.const 0))
        (i64.le_s (local.get $amount) (i64.const 1000000))))
    (i64.store $allowances (call $allowances (call $me) (local.get $other)) (local.get $amount)))

  (func $take (export "take") (param $src i64) (param $dst i64) (param $amount i64)
    (call $require
      (i32.and
        (i64.ge_s (local.get $amount) (i64.const 0))
        (i64.le_s (local.get $amount) (i64.load $balances (call $balances (local.get $src))))))
    (if (i64.ne (local.get $src) (call $me))
      (then
        (call $require
          (i64.le_s (local.get $amount) (i64.load $allowances (call $allowances (local.get $src) (call $me)))))
        (i64.store $allowances
          (call $allowances (local.get $src) (call $me))
          (i64.sub (i64.load $allowances (call $allowances (local.get $src) (call $me))) (local.get $amount)))))
    (i64.store $balances
      (call $balances (local.get $src))
      (i64.sub (i64.load $balances (call $balances (local.get $src))) (local.get $amount)))
    (i64.store $balances
      (call $balances (local.get $dst))
      (i64.add (i64.load $balances (call $balances (local.get $dst))) (local.get $amount)))))
