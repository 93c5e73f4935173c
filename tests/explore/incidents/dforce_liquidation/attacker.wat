;; The attack by hand.

(module $attacker
  (import "contract:dforce" "liquidate" (func $dforce.liquidate (param i32)))
  (memory $memory (export "memory") 1)

  (func $main (export "main") (call $dforce.liquidate (i32.const 1))))
