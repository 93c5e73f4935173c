;; The attack by hand.

(module $attacker
  (import "contract:conic" "deposit" (func $conic.deposit (param i64)))
  (memory $memory (export "memory") 1)

  (func $main (export "main") (call $conic.deposit (i64.const 400))))
