;; The attack by hand.

(module $attacker
  (import "contract:market" "send_to" (func $market.send_to (param i64 i64)))
  (memory $memory (export "memory") 1)

  (func $main (export "main")
    (call $market.send_to (i64.const 2) (i64.const 200))))
