;; The attack by hand.

(module $attacker
  (memory $memory (export "memory") 1)

  (func $main (export "main")))
