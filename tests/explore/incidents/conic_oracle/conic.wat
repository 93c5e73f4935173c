;; Invests in the shares of a pool. Its own shares are bought with, and sold for, the accounts' cash.
;;
;; Storage
;;   0              i64  how many of its shares there are
;;   8              i64  its cash
;;   16             i64  the shares of the pool that it has
;;   64 + 8*who     i64  its shares that account `who` has
;;   2112 + 8*who   i64  the cash of account `who`
;;
;; Methods
;;   deposit(amount)
;;   withdraw(n)
;;   worth() -> i64     of everything it has

(module $conic
  (import "contract:oracle" "price" (func $oracle.price (param i64) (result i64)))
  (import "ethereum" "getCaller" (func $getCaller (param i32)))
  (import "ethereum" "revert" (func $revert (param i32 i32)))
  (import "storage" "memory" (memory $storage 1))
  (memory $memory (export "memory") 1)

  ;; Gives up and undoes this call where the condition does not hold.
  (func $require (param $condition i32)
    (if (i32.eqz (local.get $condition))
      (then (call $revert (i32.const 0) (i32.const 0)))))

  ;; Who calls, as the last byte of its address.
  (func $me (result i64)
    (call $getCaller (i32.const 0))
    (i64.load8_u $memory (i32.const 19)))

  (func $money (param $key i64) (result i32)
    (i32.add
      (i32.const 2112)
      (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 255)))))

  (func $shares (param $key i64) (result i32)
    (i32.add (i32.const 64) (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 255)))))

  (func $worth (export "worth") (result i64)
    (return
      (i64.add
        (i64.load $storage (i32.const 8))
        (i64.div_s
          (i64.mul (i64.load $storage (i32.const 16)) (call $oracle.price (i64.const 32)))
          (i64.const 1000)))))

  (func $deposit (export "deposit") (param $amount i64)
    (local $n i64)
    (call $require
      (i32.and
        (i64.gt_s (local.get $amount) (i64.const 0))
        (i64.le_s (local.get $amount) (i64.load $storage (call $money (call $me))))))
    (local.set $n (i64.div_s (i64.mul (local.get $amount) (i64.load $storage (i32.const 0))) (call $worth)))
    (i64.store $storage
      (call $money (call $me))
      (i64.sub (i64.load $storage (call $money (call $me))) (local.get $amount)))
    (i64.store $storage (i32.const 8) (i64.add (i64.load $storage (i32.const 8)) (local.get $amount)))
    (i64.store $storage (i32.const 0) (i64.add (i64.load $storage (i32.const 0)) (local.get $n)))
    (i64.store $storage
      (call $shares (call $me))
      (i64.add (i64.load $storage (call $shares (call $me))) (local.get $n))))

  (func $withdraw (export "withdraw") (param $n i64)
    (local $amount i64)
    (call $require
      (i32.and
        (i32.and
          (i64.gt_s (local.get $n) (i64.const 0))
          (i64.le_s (local.get $n) (i64.load $storage (call $shares (call $me)))))
        (i64.lt_s (local.get $n) (i64.load $storage (i32.const 0)))))
    (local.set $amount (i64.div_s (i64.mul (local.get $n) (call $worth)) (i64.load $storage (i32.const 0))))
    (call $require (i64.le_s (local.get $amount) (i64.load $storage (i32.const 8))))
    (i64.store $storage
      (call $shares (call $me))
      (i64.sub (i64.load $storage (call $shares (call $me))) (local.get $n)))
    (i64.store $storage (i32.const 0) (i64.sub (i64.load $storage (i32.const 0)) (local.get $n)))
    (i64.store $storage (i32.const 8) (i64.sub (i64.load $storage (i32.const 8)) (local.get $amount)))
    (i64.store $storage
      (call $money (call $me))
      (i64.add (i64.load $storage (call $money (call $me))) (local.get $amount)))))
