;; Keeps collateral, and says who may borrow: members only, half of their collateral.
;;
;; Storage, memory `members`
;;   8*who  i64  1 for members
;; Storage, memory `collateral`
;;   8*who  i64  the collateral of account `who`
;;   4096 + 8*who  i64  its wallet, from which collateral comes and into which it goes
;;
;; Methods
;;   enter(), exit()            exit: who owes nothing
;;   put_in(amount)
;;   take_out(amount)           who is no member
;;   allowed(who, amount) -> i64

(module $comptroller
  (import "contract:market" "debt" (func $market.debt (param i64) (result i64)))
  (import "ethereum" "getCaller" (func $getCaller (param i32)))
  (import "ethereum" "revert" (func $revert (param i32 i32)))
  (import "storage" "members" (memory $members 1))
  (import "storage" "collateral" (memory $collateral 1))
  (memory $memory (export "memory") 1)

  ;; Gives up and undoes this call where the condition does not hold.
  (func $require (param $condition i32)
    (if (i32.eqz (local.get $condition))
      (then (call $revert (i32.const 0) (i32.const 0)))))

  ;; Who calls, as the last byte of its address.
  (func $me (result i64)
    (call $getCaller (i32.const 0))
    (i64.load8_u $memory (i32.const 19)))

  (func $members (param $key i64) (result i32)
    (i32.add (i32.const 0) (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 255)))))

  (func $wallets (param $key i64) (result i32)
    (i32.add
      (i32.const 4096)
      (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 255)))))

  (func $collateral (param $key i64) (result i32)
    (i32.add (i32.const 0) (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 255)))))

  (func $enter (export "enter")
    (i64.store $members (call $members (call $me)) (i64.const 1)))

  (func $exit (export "exit")
    (call $require (i64.eq (call $market.debt (call $me)) (i64.const 0)))
    (i64.store $members (call $members (call $me)) (i64.const 0)))

  (func $put_in (export "put_in") (param $amount i64)
    (call $require
      (i32.and
        (i64.gt_s (local.get $amount) (i64.const 0))
        (i64.le_s (local.get $amount) (i64.load $collateral (call $wallets (call $me))))))
    (i64.store $collateral
      (call $wallets (call $me))
      (i64.sub (i64.load $collateral (call $wallets (call $me))) (local.get $amount)))
    (i64.store $collateral
      (call $collateral (call $me))
      (i64.add (i64.load $collateral (call $collateral (call $me))) (local.get $amount))))

  (func $take_out (export "take_out") (param $amount i64)
    (call $require
      (i32.and
        (i32.and
          (i64.eq (i64.load $members (call $members (call $me))) (i64.const 0))
          (i64.gt_s (local.get $amount) (i64.const 0)))
        (i64.le_s (local.get $amount) (i64.load $collateral (call $collateral (call $me))))))
    (i64.store $collateral
      (call $collateral (call $me))
      (i64.sub (i64.load $collateral (call $collateral (call $me))) (local.get $amount)))
    (i64.store $collateral
      (call $wallets (call $me))
      (i64.add (i64.load $collateral (call $wallets (call $me))) (local.get $amount))))

  (func $allowed (export "allowed") (param $who i64) (param $amount i64) (result i64)
    (if
      (i32.and
        (i64.eq (i64.load $members (call $members (local.get $who))) (i64.const 1))
        (i64.le_s
          (i64.mul (i64.const 2) (i64.add (call $market.debt (local.get $who)) (local.get $amount)))
          (i64.load $collateral (call $collateral (local.get $who)))))
      (then (return (i64.const 1))))
    (return (i64.const 0))))
