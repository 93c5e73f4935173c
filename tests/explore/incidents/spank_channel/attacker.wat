;; The attack by hand.

(module $attacker
  (import "contract:channels" "timeout" (func $channels.timeout (param i64)))
  ;; @storage
  (memory $memory (export "memory") 1)

  (func $arm (export "arm") (call $store_i64 (i32.const 0) (i64.const 1)))

  (func $main (export "main")
    (if (i64.gt_s (call $load_i64 (i32.const 0)) (i64.const 0))
      (then
        (call $store_i64 (i32.const 0) (i64.sub (call $load_i64 (i32.const 0)) (i64.const 1)))
        (call $channels.timeout (i64.const 11))))))
