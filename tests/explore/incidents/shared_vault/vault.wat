;; Keeps money, and the books of it, for two contracts that deal with people: the desk, whose address ends in 0xd1, and the
;; exchange, whose ends in 0xd2.
;;
;; Storage, memory `books`
;;   8*who  i64  what account `who` has
;;
;; Methods
;;   main                   takes money, from the desk
;;   credit(who) -> i64
;;   set(who, amount)       the two only
;;   pay_out(who, amount)   the desk only

(module $vault
  (import "ethereum" "call" (func $call (param i64 i32 i32 i32 i32) (result i32)))
  (import "ethereum" "getCaller" (func $getCaller (param i32)))
  (import "ethereum" "revert" (func $revert (param i32 i32)))
  (import "storage" "books" (memory $books 1))
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

  ;; Who calls, as the last byte of its address.
  (func $me (result i64)
    (call $getCaller (i32.const 0))
    (i64.load8_u $memory (i32.const 19)))

  ;; Calls `main` of an account with a value; 0 where that went well.
  (func $send (param $who i64) (param $amount i64) (result i32)
    (call $address (local.get $who))
    (i64.store $memory (i32.const 32) (i64.const 0))
    (i64.store $memory (i32.const 40) (i64.const 0))
    (i64.store $memory (i32.const 32) (local.get $amount))
    (call $call (i64.const 0x7fffffffffffffff) (i32.const 0) (i32.const 32) (i32.const 0) (i32.const 0)))

  ;; Pays an account, which is called; where that fails, so does this call.
  (func $pay (param $who i64) (param $amount i64)
    (call $require (i32.eqz (call $send (local.get $who) (local.get $amount)))))

  (func $books (param $key i64) (result i32)
    (i32.add (i32.const 0) (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 255)))))

  (func $credit (export "credit") (param $who i64) (result i64)
    (return (i64.load $books (call $books (local.get $who)))))

  (func $set (export "set") (param $who i64) (param $amount i64)
    (call $require
      (i32.and
        (i32.or (i64.eq (call $me) (i64.const 209)) (i64.eq (call $me) (i64.const 210)))
        (i64.ge_s (local.get $amount) (i64.const 0))))
    (i64.store $books (call $books (local.get $who)) (local.get $amount)))

  (func $pay_out (export "pay_out") (param $who i64) (param $amount i64)
    (call $require (i64.eq (call $me) (i64.const 209)))
    (call $pay (local.get $who) (local.get $amount)))

  (func $main (export "main") (call $require (i64.eq (call $me) (i64.const 209)))))
