;; The attack by hand.

(module $attacker
  (import "contract:club" "leave" (func $club.leave))
  ;; @storage
  (memory $memory (export "memory") 1)

  (func $main (export "main")
    (if (i64.eq (call $load_i64 (i32.const 0)) (i64.const 0))
      (then (call $store_i64 (i32.const 0) (i64.const 1)) (call $club.leave)))))
