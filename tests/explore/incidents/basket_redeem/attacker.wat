;; The attack by hand.
(module $attacker
  (import "contract:basket" "redeem" (func $basket.redeem (param i64 i64)))
  (import "storage" "memory" (memory $storage 1))
  (memory $memory (export "memory") 3)

  (func $main (export "main")
    (local $n i64)
    (if (i64.gt_s (i64.load $storage (i32.const 0)) (i64.const 0))
      (then
        (local.set $n (i64.load $storage (i32.const 0)))
        (i64.store $storage (i32.const 0) (i64.const 0))
        (call $basket.redeem (i64.const 2) (local.get $n)))))

  (func $arm (export "arm") (param $x i64)
    (i64.store $storage (i32.const 0) (local.get $x))))
