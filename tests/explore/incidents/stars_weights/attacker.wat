;; The attack by hand.

(module $attacker
  (import "contract:arena" "set_weight" (func $arena.set_weight (param i64)))
  (memory $memory (export "memory") 1)

  (func $main (export "main") (call $arena.set_weight (i64.const 170))))
