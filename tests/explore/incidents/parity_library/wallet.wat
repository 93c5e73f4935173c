;; Keeps deposits. What it does is written in a library, whose code it runs on its own storage.
;;
;; Storage: as the library says
;;
;; Methods
;;   deposit()          takes the value that comes along
;;   withdraw(amount)
;;   move(to, amount)
;;
;; Delegates
;;   to main of the library, whose address ends in 0x1b

(module $wallet
  (import "ethereum" "callDelegate" (func $callDelegate (param i64 i32 i32 i32) (result i32)))
  (import "ethereum" "revert" (func $revert (param i32 i32)))
  ;; @storage
  (memory $memory (export "memory") 1)

  ;; Gives up and undoes this call where the condition does not hold.
  (func $require (param $condition i32)
    (if (i32.eqz (local.get $condition))
      (then (call $revert (i32.const 0) (i32.const 0)))))

  ;; Writes the address of an account to working memory.
  (func $address (param $who i64)
    (i64.store $memory (i32.const 0) (i64.const 0))
    (i64.store $memory (i32.const 8) (i64.const 0))
    (i32.store $memory (i32.const 16) (i32.const 0))
    (i32.store8 $memory (i32.const 19) (i32.wrap_i64 (local.get $who))))

  ;; Writes a number of eight bytes where call data are put together.
  (func $put (param $at i32) (param $number i64)
    (i64.store $memory (i32.add (i32.const 96) (local.get $at)) (local.get $number)))

  (func $deposit (export "deposit")
    (call $_run (i64.const 1) (i64.const 0) (i64.const 0)))

  (func $withdraw (export "withdraw") (param $amount i64)
    (call $_run (i64.const 2) (local.get $amount) (i64.const 0)))

  (func $move (export "move") (param $to i64) (param $amount i64)
    (call $_run (i64.const 3) (local.get $amount) (local.get $to)))

  (func $_run (param $what i64) (param $amount i64) (param $who i64)
    (call $put (i32.const 0) (local.get $what))
    (call $put (i32.const 8) (local.get $amount))
    (call $put (i32.const 16) (local.get $who))
    (call $address (i64.const 27))
    (call $require
      (i32.eq
        (call $callDelegate (i64.const 0x7fffffffffffffff) (i32.const 0) (i32.const 96) (i32.const 24))
        (i32.const 0))))

  (func $total (export "total") (result i64)
    (return (call $load_i64 (i32.const 0)))))
