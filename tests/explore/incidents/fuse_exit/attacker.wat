;; The attack by hand.

(module $attacker
  (import "contract:comptroller" "exit" (func $comptroller.exit))
  (memory $memory (export "memory") 1)

  (func $main (export "main") (call $comptroller.exit)))
