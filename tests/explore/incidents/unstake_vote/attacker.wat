;; The attack by hand.
(module $attacker
  (import "contract:council" "vote" (func $vote (param i32)))
  ;; @storage
  (memory $memory (export "memory") 3)

  (func $main (export "main")
    (if (i64.gt_s (call $load_i64 (i32.const 0)) (i64.const 0))
      (then
        (call $store_i64 (i32.const 0) (i64.sub (call $load_i64 (i32.const 0)) (i64.const 1)))
        (call $vote (i32.const 1)))))

  (func $arm (export "arm")
    (call $store_i64 (i32.const 0) (i64.const 1))))
