;; The attack by hand.

(module $attacker
  (import "contract:jay" "sell" (func $jay.sell (param i32)))
  ;; @storage
  (memory $memory (export "memory") 1)

  (func $arm (export "arm") (param $n i32)
    (call $store_i32 (i32.const 8) (local.get $n)))

  (func $main (export "main")
    (local $n i32)
    (if (i32.gt_s (call $load_i32 (i32.const 8)) (i32.const 0))
      (then
        (local.set $n (call $load_i32 (i32.const 8)))
        (call $store_i32 (i32.const 8) (i32.const 0))
        (call $jay.sell (local.get $n))))))
