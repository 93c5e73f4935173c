;; The attack by hand.

(module $attacker
  (import "contract:penpie" "stake" (func $penpie.stake (param i64 i64)))
  (memory $memory (export "memory") 1)

  (func $main (export "main") (call $penpie.stake (i64.const 9) (i64.const 200))))
