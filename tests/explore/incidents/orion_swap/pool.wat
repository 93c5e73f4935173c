;; Gives back 99 of 100 dollars that it gets.
;;
;; Call data of main
;;   amount i64

(module $pool
  (import "contract:usd" "move" (func $usd.move (param i64 i64 i64)))
  (import "ethereum" "callDataCopy" (func $callDataCopy (param i32 i32 i32)))
  (memory $memory (export "memory") 1)

  ;; Eight bytes of call data.
  (func $data (param $at i32) (result i64)
    (call $callDataCopy (i32.const 64) (local.get $at) (i32.const 8))
    (i64.load $memory (i32.const 64)))

  (func $main (export "main")
    (call $usd.move
      (i64.const 66)
      (i64.const 65)
      (i64.div_s (i64.mul (call $data (i32.const 0)) (i64.const 99)) (i64.const 100)))))
