;; The attack by hand.
(module $attacker
  (import "contract:vault" "skim" (func $vault.skim (param i64)))
  (import "storage" "memory" (memory $storage 1))
  (memory $memory (export "memory") 3)

  (func $main (export "main")
    (if (i64.eq (i64.load $storage (i32.const 0)) (i64.const 1))
      (then
        (i64.store $storage (i32.const 0) (i64.const 0))
        (call $vault.skim (i64.const 9)))))

  (func $arm (export "arm") (param $x i64)
    (i64.store $storage (i32.const 0) (local.get $x))))
