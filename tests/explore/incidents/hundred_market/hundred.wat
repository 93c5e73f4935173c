;; A market of tokens, with all that belongs to it.
;;
;; Storage
;;   0              i64  the rate of interest, of 10,000
;;   8              i64  1 while it is paused
;;   16             i64  what is owed all in all
;;   24             i64  the admin: the last byte of an address
;;   512 + 8*who    i64  the collateral of account `who`
;;   2560 + 8*who   i64  what it owes
;;
;; Methods
;;   borrow(amount), repay(amount)
;;   set_rate(rate), pause(yes), take_fees(amount)    the admin only
;;   admin, rate, paused, decimals, version, total, cash, used, collateral_of(who), debt_of(who), room_of(who), is_safe(who)

(module $hundred
  (import "contract:token" "balance" (func $token.balance (param i64) (result i64)))
  (import "contract:token" "transfer" (func $token.transfer (param i64 i64)))
  (import "contract:token" "collect" (func $token.collect (param i64 i64)))
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

  (func $collateral (param $key i64) (result i32)
    (i32.add
      (i32.const 512)
      (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 255)))))

  (func $debts (param $key i64) (result i32)
    (i32.add
      (i32.const 2560)
      (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 255)))))

  (func $admin (export "admin") (result i64)
    (return (call $load_i64 (i32.const 24))))

  (func $rate (export "rate") (result i64)
    (return (call $load_i64 (i32.const 0))))

  (func $paused (export "paused") (result i64)
    (return (call $load_i64 (i32.const 8))))

  (func $decimals (export "decimals") (result i64) (return (i64.const 18)))

  (func $version (export "version") (result i64) (return (i64.const 3)))

  (func $total (export "total") (result i64)
    (return (call $load_i64 (i32.const 16))))

  (func $cash (export "cash") (result i64)
    (return (call $token.balance (i64.const 243))))

  (func $used (export "used") (result i64)
    (return
      (i64.div_s
        (i64.mul (call $load_i64 (i32.const 16)) (i64.const 10000))
        (i64.add
          (i64.add (call $token.balance (i64.const 243)) (call $load_i64 (i32.const 16)))
          (i64.const 1)))))

  (func $collateral_of (export "collateral_of") (param $who i64) (result i64)
    (return (call $load_i64 (call $collateral (local.get $who)))))

  (func $debt_of (export "debt_of") (param $who i64) (result i64)
    (return (call $load_i64 (call $debts (local.get $who)))))

  (func $room_of (export "room_of") (param $who i64) (result i64)
    (return
      (i64.sub
        (i64.div_s (i64.mul (call $load_i64 (call $collateral (local.get $who))) (i64.const 3)) (i64.const 4))
        (call $load_i64 (call $debts (local.get $who))))))

  (func $is_safe (export "is_safe") (param $who i64) (result i64)
    (if (i64.ge_s (call $room_of (local.get $who)) (i64.const 0))
      (then (return (i64.const 1))))
    (return (i64.const 0)))

  (func $set_rate (export "set_rate") (param $new i64)
    (call $require
      (i32.and
        (i32.and
          (i64.eq (call $me) (call $load_i64 (i32.const 24)))
          (i64.ge_s (local.get $new) (i64.const 0)))
        (i64.le_s (local.get $new) (i64.const 10000))))
    (call $store_i64 (i32.const 0) (local.get $new)))

  (func $pause (export "pause") (param $yes i64)
    (call $require (i64.eq (call $me) (call $load_i64 (i32.const 24))))
    (call $store_i64 (i32.const 8) (i64.and (local.get $yes) (i64.const 1))))

  (func $take_fees (export "take_fees") (param $amount i64)
    (call $require (i64.eq (call $me) (call $load_i64 (i32.const 24))))
    (call $token.transfer (call $load_i64 (i32.const 24)) (local.get $amount)))

  (func $borrow (export "borrow") (param $amount i64)
    (call $require
      (i32.and
        (i32.and
          (i64.eq (call $load_i64 (i32.const 8)) (i64.const 0))
          (i64.gt_s (local.get $amount) (i64.const 0)))
        (i64.le_s (local.get $amount) (call $room_of (call $me)))))
    (call $token.transfer (call $me) (local.get $amount))
    (call $store_i64
      (call $debts (call $me))
      (i64.add (call $load_i64 (call $debts (call $me))) (local.get $amount)))
    (call $store_i64 (i32.const 16) (i64.add (call $load_i64 (i32.const 16)) (local.get $amount))))

  (func $repay (export "repay") (param $amount i64)
    (call $require
      (i32.and
        (i64.gt_s (local.get $amount) (i64.const 0))
        (i64.le_s (local.get $amount) (call $load_i64 (call $debts (call $me))))))
    (call $token.collect (call $me) (local.get $amount))
    (call $store_i64
      (call $debts (call $me))
      (i64.sub (call $load_i64 (call $debts (call $me))) (local.get $amount)))
    (call $store_i64 (i32.const 16) (i64.sub (call $load_i64 (i32.const 16)) (local.get $amount)))))
