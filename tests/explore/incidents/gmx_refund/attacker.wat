;; The attack by hand.

(module $attacker
  (import "contract:vault" "increase" (func $vault.increase (param i64)))
  (memory $memory (export "memory") 1)

  (func $main (export "main") (call $vault.increase (i64.const 90))))
