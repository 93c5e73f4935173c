;; Does several things in one call, and looks only at the end whether who has borrowed has enough collateral, two for one.
;;
;; Storage, memory `state`
;;   0              i64  1 where somebody has borrowed, so that there is something to look at
;; Storage, memory `books`
;;   8*who          i64  the collateral of account `who`
;;   2048 + 8*who   i64  what it owes
;;   4096 + 8*who   i64  its cash
;;
;; Call data of main, little-endian
;;   n i64, of 6 at most, then n times: what to do, i64; an amount, i64; an address of 20 bytes
;;   1  cash becomes collateral     2  borrows cash     3  pays back     4  calls main of the address, with the amount as data
;;
;; Methods
;;   take_out(amount)    collateral becomes cash

(module $cauldron
  (import "ethereum" "call" (func $call (param i64 i32 i32 i32 i32) (result i32)))
  (import "ethereum" "callDataCopy" (func $callDataCopy (param i32 i32 i32)))
  (import "ethereum" "getCaller" (func $getCaller (param i32)))
  (import "ethereum" "revert" (func $revert (param i32 i32)))
  (import "storage" "state" (memory $state 1))
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

  ;; Eight bytes of call data.
  (func $data (param $at i32) (result i64)
    (call $callDataCopy (i32.const 64) (local.get $at) (i32.const 8))
    (i64.load $memory (i32.const 64)))

  ;; Whose address of 20 bytes stands in call data, as the last byte of its address.
  (func $data_address (param $at i32) (result i64)
    (call $callDataCopy (i32.const 64) (local.get $at) (i32.const 20))
    (i64.load8_u $memory (i32.const 83)))

  ;; Writes a number of eight bytes where call data are put together.
  (func $put (param $at i32) (param $number i64)
    (i64.store $memory (i32.add (i32.const 96) (local.get $at)) (local.get $number)))

  ;; Calls `main` of an account with a value and some call data, which stands in working memory; 0 where that
  ;; went well.
  (func $ask (param $who i64) (param $amount i64) (param $length i32) (result i32)
    (call $address (local.get $who))
    (i64.store $memory (i32.const 32) (i64.const 0))
    (i64.store $memory (i32.const 40) (i64.const 0))
    (i64.store $memory (i32.const 32) (local.get $amount))
    (call $call
      (i64.const 0x7fffffffffffffff)
      (i32.const 0)
      (i32.const 32)
      (i32.const 96)
      (local.get $length)))

  (func $debts (param $key i64) (result i32)
    (i32.add
      (i32.const 2048)
      (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 255)))))

  (func $collateral (param $key i64) (result i32)
    (i32.add (i32.const 0) (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 255)))))

  (func $cash (param $key i64) (result i32)
    (i32.add
      (i32.const 4096)
      (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 255)))))

  (func $main (export "main")
    (local $n i64) (local $earlier i64) (local $k i64)
    (local.set $n (call $data (i32.const 0)))
    (call $require (i32.and (i64.ge_s (local.get $n) (i64.const 0)) (i64.le_s (local.get $n) (i64.const 6))))
    (local.set $earlier (i64.load $state (i32.const 0)))
    (i64.store $state (i32.const 0) (i64.const 0))
    (local.set $k (i64.const 0))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (i64.lt_s (local.get $k) (local.get $n))))
        (call $_do
          (call $data (i32.wrap_i64 (i64.add (i64.const 8) (i64.mul (i64.const 36) (local.get $k)))))
          (call $data (i32.wrap_i64 (i64.add (i64.const 16) (i64.mul (i64.const 36) (local.get $k)))))
          (call $data_address (i32.wrap_i64 (i64.add (i64.const 24) (i64.mul (i64.const 36) (local.get $k))))))
        (local.set $k (i64.add (local.get $k) (i64.const 1)))
        (br $next)))
    (if (i64.eq (i64.load $state (i32.const 0)) (i64.const 1))
      (then (call $require (call $_safe (call $me)))))
    (i64.store $state (i32.const 0) (local.get $earlier)))

  (func $_safe (param $who i64) (result i32)
    (return
      (i64.le_s
        (i64.mul (i64.const 2) (i64.load $books (call $debts (local.get $who))))
        (i64.load $books (call $collateral (local.get $who))))))

  (func $_do (param $what i64) (param $amount i64) (param $who i64)
    (call $require
      (i32.and
        (i32.and
          (i32.and (i64.ge_s (local.get $what) (i64.const 1)) (i64.le_s (local.get $what) (i64.const 4)))
          (i64.ge_s (local.get $amount) (i64.const 0)))
        (i64.le_s (local.get $amount) (i64.const 1000000))))
    (if (i64.eq (local.get $what) (i64.const 1))
      (then
        (call $require (i64.le_s (local.get $amount) (i64.load $books (call $cash (call $me)))))
        (i64.store $books
          (call $cash (call $me))
          (i64.sub (i64.load $books (call $cash (call $me))) (local.get $amount)))
        (i64.store $books
          (call $collateral (call $me))
          (i64.add (i64.load $books (call $collateral (call $me))) (local.get $amount)))))
    (if (i64.eq (local.get $what) (i64.const 2))
      (then
        (i64.store $state (i32.const 0) (i64.const 1))
        (i64.store $books
          (call $debts (call $me))
          (i64.add (i64.load $books (call $debts (call $me))) (local.get $amount)))
        (i64.store $books
          (call $cash (call $me))
          (i64.add (i64.load $books (call $cash (call $me))) (local.get $amount)))))
    (if (i64.eq (local.get $what) (i64.const 3))
      (then
        (call $require
          (i32.and
            (i64.le_s (local.get $amount) (i64.load $books (call $cash (call $me))))
            (i64.le_s (local.get $amount) (i64.load $books (call $debts (call $me))))))
        (i64.store $books
          (call $cash (call $me))
          (i64.sub (i64.load $books (call $cash (call $me))) (local.get $amount)))
        (i64.store $books
          (call $debts (call $me))
          (i64.sub (i64.load $books (call $debts (call $me))) (local.get $amount)))))
    (if (i64.eq (local.get $what) (i64.const 4))
      (then
        (call $put (i32.const 0) (local.get $amount))
        (call $require (i32.eq (call $ask (local.get $who) (i64.const 0) (i32.const 8)) (i32.const 0))))))

  (func $take_out (export "take_out") (param $amount i64)
    (call $require
      (i32.and
        (i64.gt_s (local.get $amount) (i64.const 0))
        (i64.le_s (local.get $amount) (i64.load $books (call $collateral (call $me))))))
    (i64.store $books
      (call $collateral (call $me))
      (i64.sub (i64.load $books (call $collateral (call $me))) (local.get $amount)))
    (i64.store $books
      (call $cash (call $me))
      (i64.add (i64.load $books (call $cash (call $me))) (local.get $amount)))
    (call $require (call $_safe (call $me)))))
