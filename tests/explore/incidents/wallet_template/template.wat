;; A wallet. When it is made it greets who has sent the transaction. Its code is its own.
;;
;; Calls
;;   main of the sender, without anything

(module $template
  (import "ethereum" "call" (func $call (param i64 i32 i32 i32 i32) (result i32)))
  (import "ethereum" "codeCopy" (func $codeCopy (param i32 i32 i32)))
  (import "ethereum" "finish" (func $finish (param i32 i32)))
  (import "ethereum" "getCodeSize" (func $getCodeSize (result i32)))
  (import "ethereum" "getTxOrigin" (func $getTxOrigin (param i32)))
  (import "ethereum" "revert" (func $revert (param i32 i32)))
  (memory $memory (export "memory") 1)

  ;; Gives up and undoes this call where the condition does not hold.
  (func $require (param $condition i32)
    (if (i32.eqz (local.get $condition))
      (then (call $revert (i32.const 0) (i32.const 0)))))

  ;; Writes the address of an account to working memory.
  (func $address (param $who i32)
    (i64.store $memory (i32.const 0) (i64.const 0))
    (i64.store $memory (i32.const 8) (i64.const 0))
    (i32.store $memory (i32.const 16) (i32.const 0))
    (i32.store8 $memory (i32.const 19) (local.get $who)))

  ;; Who sent the transaction, as the last byte of its address.
  (func $origin (result i32)
    (call $getTxOrigin (i32.const 0))
    (i32.load8_u $memory (i32.const 19)))

  ;; Calls `main` of an account with a value; 0 where that went well.
  (func $send (param $who i32) (param $amount i32) (result i32)
    (call $address (local.get $who))
    (i64.store $memory (i32.const 32) (i64.const 0))
    (i64.store $memory (i32.const 40) (i64.const 0))
    (i32.store $memory (i32.const 32) (local.get $amount))
    (call $call (i64.const 0x7fffffffffffffff) (i32.const 0) (i32.const 32) (i32.const 0) (i32.const 0)))

  (func $main (export "main")
    (call $require (i32.eq (call $send (call $origin) (i32.const 0)) (i32.const 0)))
    (call $codeCopy (i32.const 4096) (i32.const 0) (call $getCodeSize))
    (call $finish (i32.const 4096) (call $getCodeSize))))
