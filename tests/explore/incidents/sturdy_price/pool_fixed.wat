;; A pool of money, which belongs to its shares.
;;
;; Storage
;;   0             i64  the reserve
;;   8             i64  how many shares there are
;;   128 + 8*who   i64  the shares of account `who`
;;
;; Methods
;;   join()              buys shares for the value that comes along
;;   leave(n)            sells them
;;   give(to, n)         hands on
;;   pull(from, n)       for the lender, whose address ends in 0x72
;;   price() -> i64      of 1,000 shares

(module $pool
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

  (func $shares (param $key i64) (result i32)
    (i32.add
      (i32.const 128)
      (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 255)))))

  (func $price (export "price") (result i64)
    (return
      (i64.div_s (i64.mul (call $load_i64 (i32.const 0)) (i64.const 1000)) (call $load_i64 (i32.const 8)))))

  (func $join (export "join")
    (local $n i64)
    (call $require
      (i32.and (i64.gt_s (call $value) (i64.const 0)) (i64.le_s (call $value) (i64.const 1000000))))
    (local.set $n
      (i64.div_s (i64.mul (call $value) (call $load_i64 (i32.const 8))) (call $load_i64 (i32.const 0))))
    (call $store_i64 (i32.const 0) (i64.add (call $load_i64 (i32.const 0)) (call $value)))
    (call $store_i64 (i32.const 8) (i64.add (call $load_i64 (i32.const 8)) (local.get $n)))
    (call $store_i64
      (call $shares (call $me))
      (i64.add (call $load_i64 (call $shares (call $me))) (local.get $n))))

  (func $leave (export "leave") (param $n i64)
    (local $amount i64)
    (call $require
      (i32.and
        (i32.and
          (i64.gt_s (local.get $n) (i64.const 0))
          (i64.le_s (local.get $n) (call $load_i64 (call $shares (call $me)))))
        (i64.lt_s (local.get $n) (call $load_i64 (i32.const 8)))))
    (local.set $amount
      (i64.div_s (i64.mul (local.get $n) (call $load_i64 (i32.const 0))) (call $load_i64 (i32.const 8))))
    (call $store_i64
      (call $shares (call $me))
      (i64.sub (call $load_i64 (call $shares (call $me))) (local.get $n)))
    (call $store_i64 (i32.const 8) (i64.sub (call $load_i64 (i32.const 8)) (local.get $n)))
    (call $store_i64 (i32.const 0) (i64.sub (call $load_i64 (i32.const 0)) (local.get $amount)))
    (call $pay (call $me) (local.get $amount)))

  (func $give (export "give") (param $to i64) (param $n i64)
    (call $require
      (i32.and
        (i64.ge_s (local.get $n) (i64.const 0))
        (i64.le_s (local.get $n) (call $load_i64 (call $shares (call $me))))))
    (call $store_i64
      (call $shares (call $me))
      (i64.sub (call $load_i64 (call $shares (call $me))) (local.get $n)))
    (call $store_i64
      (call $shares (local.get $to))
      (i64.add (call $load_i64 (call $shares (local.get $to))) (local.get $n))))

  (func $pull (export "pull") (param $src i64) (param $n i64)
    (call $require
      (i32.and
        (i32.and (i64.eq (call $me) (i64.const 114)) (i64.ge_s (local.get $n) (i64.const 0)))
        (i64.le_s (local.get $n) (call $load_i64 (call $shares (local.get $src))))))
    (call $store_i64
      (call $shares (local.get $src))
      (i64.sub (call $load_i64 (call $shares (local.get $src))) (local.get $n)))
    (call $store_i64
      (call $shares (call $me))
      (i64.add (call $load_i64 (call $shares (call $me))) (local.get $n)))))
