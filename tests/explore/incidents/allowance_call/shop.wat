;; A shop that takes the token: says yes to whatever it gets.
(module $shop
  (import "ethereum" "finish" (func $finish (param i32 i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\88\a7\ca\5c")
  (func (export "main") (call $finish (i32.const 0) (i32.const 4))))
