;; The attack by hand.
(module $attacker
  (import "contract:pool" "cancel" (func $pool.cancel (param i64)))
  (import "storage" "memory" (memory $storage 1))
  (memory $memory (export "memory") 3)

  (func $main (export "main")
    (local $id i64)
    (if (i64.gt_s (i64.load $storage (i32.const 0)) (i64.const 0))
      (then
        (local.set $id (i64.load $storage (i32.const 0)))
        (i64.store $storage (i32.const 0) (i64.const 0))
        (call $pool.cancel (local.get $id)))))

  (func $arm (export "arm") (param $x i64)
    (i64.store $storage (i32.const 0) (local.get $x))))
