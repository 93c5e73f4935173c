;; Orders to open positions in the vault. It knows the size of all positions, from which it works out prices.
;;
;; Storage
;;   0              i64  the size of all positions
;;   64 + 8*who     i64  the order of account `who`
;;   2112 + 8*who   i64  what came with it for its execution
;;
;; Methods
;;   place(n)      an order; 10 at least come along for its execution
;;   execute(who)  whoever likes to; it costs 4, and the rest goes back to who placed it
;;   close(n)      a part of one's own position

(module $book
  (import "contract:vault" "allow" (func $vault.allow (param i64)))
  (import "contract:vault" "increase_for" (func $vault.increase_for (param i64 i64)))
  (import "contract:vault" "decrease_for" (func $vault.decrease_for (param i64 i64)))
  (import "ethereum" "call" (func $call (param i64 i32 i32 i32 i32) (result i32)))
  (import "ethereum" "getCallValue" (func $getCallValue (param i32)))
  (import "ethereum" "getCaller" (func $getCaller (param i32)))
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

  ;; Who calls, as the last byte of its address.
  (func $me (result i64)
    (call $getCaller (i32.const 0))
    (i64.load8_u $memory (i32.const 19)))

  ;; The value that comes with the call.
  (func $value (result i64)
    (call $getCallValue (i32.const 32))
    (i64.load $memory (i32.const 32)))

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

  (func $orders (param $key i64) (result i32)
    (i32.add (i32.const 64) (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 255)))))

  (func $fees (param $key i64) (result i32)
    (i32.add
      (i32.const 2112)
      (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 255)))))

  (func $place (export "place") (param $n i64)
    (call $require
      (i32.and
        (i32.and
          (i32.and (i64.gt_s (local.get $n) (i64.const 0)) (i64.le_s (local.get $n) (i64.const 100000)))
          (i64.eq (call $load_i64 (call $orders (call $me))) (i64.const 0)))
        (i64.ge_s (call $value) (i64.const 10))))
    (call $store_i64 (call $orders (call $me)) (local.get $n))
    (call $store_i64 (call $fees (call $me)) (call $value)))

  (func $execute (export "execute") (param $who i64)
    (local $n i64) (local $refund i64)
    (local.set $n (call $load_i64 (call $orders (local.get $who))))
    (local.set $refund (i64.sub (call $load_i64 (call $fees (local.get $who))) (i64.const 4)))
    (call $require (i64.gt_s (local.get $n) (i64.const 0)))
    (call $store_i64 (call $orders (local.get $who)) (i64.const 0))
    (call $store_i64 (call $fees (local.get $who)) (i64.const 0))
    (call $vault.allow (i64.const 1))
    (call $vault.increase_for (local.get $who) (local.get $n))
    (call $store_i64 (i32.const 0) (i64.add (call $load_i64 (i32.const 0)) (local.get $n)))
    (call $vault.allow (i64.const 0))
    (call $pay (local.get $who) (local.get $refund)))

  (func $close (export "close") (param $n i64)
    (call $vault.decrease_for (call $me) (local.get $n))
    (call $store_i64 (i32.const 0) (i64.sub (call $load_i64 (i32.const 0)) (local.get $n)))))
