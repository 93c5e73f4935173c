;; Loans against shares in a pool. Who owes more than 60 of 100 of what its shares are worth can be liquidated by anybody
;; who pays its debt.
;;
;; Storage
;;   256 + 4*who   i32  the shares that account `who` has put in
;;   1280 + 4*who  i32  what it owes
;;   2304 + 4*who  i32  its cash
;;
;; Methods
;;   borrow(amount), repay(amount)
;;   liquidate(who)
;;   can_be_liquidated(who) -> i32

(module $dforce
  (import "contract:pool" "virtual_price" (func $pool.virtual_price (result i32)))
  (import "contract:pool" "locked" (func $pool.locked (result i32)))
  (import "ethereum" "getCaller" (func $getCaller (param i32)))
  (import "ethereum" "revert" (func $revert (param i32 i32)))
  ;; @storage
  (memory $memory (export "memory") 1)

  ;; Gives up and undoes this call where the condition does not hold.
  (func $require (param $condition i32)
    (if (i32.eqz (local.get $condition))
      (then (call $revert (i32.const 0) (i32.const 0)))))

  ;; Who calls, as the last byte of its address.
  (func $me (result i32)
    (call $getCaller (i32.const 0))
    (i32.load8_u $memory (i32.const 19)))

  (func $debts (param $key i32) (result i32)
    (i32.add (i32.const 1280) (i32.mul (i32.const 4) (i32.and (local.get $key) (i32.const 255)))))

  (func $shares (param $key i32) (result i32)
    (i32.add (i32.const 256) (i32.mul (i32.const 4) (i32.and (local.get $key) (i32.const 255)))))

  (func $cash (param $key i32) (result i32)
    (i32.add (i32.const 2304) (i32.mul (i32.const 4) (i32.and (local.get $key) (i32.const 255)))))

  (func $can_be_liquidated (export "can_be_liquidated") (param $who i32) (result i32)
    (return
      (i32.gt_s
        (i32.mul (call $load_i32 (call $debts (local.get $who))) (i32.const 1000))
        (i32.mul
          (i32.mul (call $load_i32 (call $shares (local.get $who))) (call $pool.virtual_price))
          (i32.const 6)))))

  (func $borrow (export "borrow") (param $amount i32)
    (call $require
      (i32.and (i32.gt_s (local.get $amount) (i32.const 0)) (i32.le_s (local.get $amount) (i32.const 10000))))
    (call $store_i32
      (call $debts (call $me))
      (i32.add (call $load_i32 (call $debts (call $me))) (local.get $amount)))
    (call $store_i32
      (call $cash (call $me))
      (i32.add (call $load_i32 (call $cash (call $me))) (local.get $amount)))
    (call $require (i32.eqz (call $can_be_liquidated (call $me)))))

  (func $repay (export "repay") (param $amount i32)
    (call $require
      (i32.and
        (i32.and
          (i32.gt_s (local.get $amount) (i32.const 0))
          (i32.le_s (local.get $amount) (call $load_i32 (call $debts (call $me)))))
        (i32.le_s (local.get $amount) (call $load_i32 (call $cash (call $me))))))
    (call $store_i32
      (call $debts (call $me))
      (i32.sub (call $load_i32 (call $debts (call $me))) (local.get $amount)))
    (call $store_i32
      (call $cash (call $me))
      (i32.sub (call $load_i32 (call $cash (call $me))) (local.get $amount))))

  (func $liquidate (export "liquidate") (param $who i32)
    (call $require (i32.eq (call $pool.locked) (i32.const 0)))
    (call $require (i32.and (i32.ne (local.get $who) (call $me)) (call $can_be_liquidated (local.get $who))))
    (call $require
      (i32.ge_s (call $load_i32 (call $cash (call $me))) (call $load_i32 (call $debts (local.get $who)))))
    (call $store_i32
      (call $cash (call $me))
      (i32.sub (call $load_i32 (call $cash (call $me))) (call $load_i32 (call $debts (local.get $who)))))
    (call $store_i32 (call $debts (local.get $who)) (i32.const 0))
    (call $store_i32
      (call $shares (call $me))
      (i32.add (call $load_i32 (call $shares (call $me))) (call $load_i32 (call $shares (local.get $who)))))
    (call $store_i32 (call $shares (local.get $who)) (i32.const 0))))
