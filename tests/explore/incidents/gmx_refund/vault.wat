;; Keeps positions. They are opened through the order book, which allows it while it carries out an order.
;;
;; Storage
;;   0              i64  1 while positions may be opened
;;   8              i64  the size of all positions
;;   512 + 8*who    i64  the position of account `who`
;;   2560 + 8*who   i64  its margin, which bounds it
;;
;; Methods
;;   increase(n)                      for oneself, while that is allowed
;;   increase_for(who, n), decrease_for(who, n), allow(yes)   the order book only, whose address ends in 0xb2
;;   position(who) -> i64

(module $vault
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

  (func $sizes (param $key i64) (result i32)
    (i32.add
      (i32.const 512)
      (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 255)))))

  (func $margins (param $key i64) (result i32)
    (i32.add
      (i32.const 2560)
      (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 255)))))

  (func $position (export "position") (param $who i64) (result i64)
    (return (call $load_i64 (call $sizes (local.get $who)))))

  (func $allow (export "allow") (param $yes i64)
    (call $require (i64.eq (call $me) (i64.const 178)))
    (call $store_i64 (i32.const 0) (local.get $yes)))

  (func $increase (export "increase") (param $n i64)
    (call $_increase (call $me) (local.get $n)))

  (func $increase_for (export "increase_for") (param $who i64) (param $n i64)
    (call $require (i64.eq (call $me) (i64.const 178)))
    (call $_increase (local.get $who) (local.get $n)))

  (func $decrease_for (export "decrease_for") (param $who i64) (param $n i64)
    (call $require
      (i32.and
        (i32.and (i64.eq (call $me) (i64.const 178)) (i64.gt_s (local.get $n) (i64.const 0)))
        (i64.le_s (local.get $n) (call $load_i64 (call $sizes (local.get $who))))))
    (call $store_i64
      (call $sizes (local.get $who))
      (i64.sub (call $load_i64 (call $sizes (local.get $who))) (local.get $n)))
    (call $store_i64 (i32.const 8) (i64.sub (call $load_i64 (i32.const 8)) (local.get $n))))

  (func $_increase (param $who i64) (param $n i64)
    (call $require
      (i32.and
        (i32.and
          (i64.eq (call $load_i64 (i32.const 0)) (i64.const 1))
          (i64.gt_s (local.get $n) (i64.const 0)))
        (i64.le_s
          (i64.add (call $load_i64 (call $sizes (local.get $who))) (local.get $n))
          (i64.mul (i64.const 10) (call $load_i64 (call $margins (local.get $who)))))))
    (call $store_i64
      (call $sizes (local.get $who))
      (i64.add (call $load_i64 (call $sizes (local.get $who))) (local.get $n)))
    (call $store_i64 (i32.const 8) (i64.add (call $load_i64 (i32.const 8)) (local.get $n)))))
