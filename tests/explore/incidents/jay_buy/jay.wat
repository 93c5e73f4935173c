;; A token that is bought from and sold to itself; a tenth stays behind at a sale. Who buys gives an NFT along, if it likes.
;;
;; Storage
;;   0             i32  lock
;;   4             i32  how many tokens there are
;;   32 + 4*who    i32  those of account `who`
;;
;; Methods
;;   buy(collection, id)   for the value that comes along; `collection` is the last byte of the NFT's contract, 0 for none
;;   sell(n)
;;   price() -> i32        of 1,000 tokens
;;
;; Calls
;;   main of the collection: id, the new owner, four bytes each

(module $jay
  (import "ethereum" "call" (func $call (param i64 i32 i32 i32 i32) (result i32)))
  (import "ethereum" "getAddress" (func $getAddress (param i32)))
  (import "ethereum" "getCallValue" (func $getCallValue (param i32)))
  (import "ethereum" "getCaller" (func $getCaller (param i32)))
  (import "ethereum" "getExternalBalance" (func $getExternalBalance (param i32 i32)))
  (import "ethereum" "revert" (func $revert (param i32 i32)))
  ;; @storage
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

  ;; Who calls, as the last byte of its address.
  (func $me (result i32)
    (call $getCaller (i32.const 0))
    (i32.load8_u $memory (i32.const 19)))

  ;; This contract, as the last byte of its address.
  (func $this (result i32)
    (call $getAddress (i32.const 0))
    (i32.load8_u $memory (i32.const 19)))

  ;; The value that comes with the call.
  (func $value (result i32)
    (call $getCallValue (i32.const 32))
    (i32.load $memory (i32.const 32)))

  ;; Calls `main` of an account with a value; 0 where that went well.
  (func $send (param $who i32) (param $amount i32) (result i32)
    (call $address (local.get $who))
    (i64.store $memory (i32.const 32) (i64.const 0))
    (i64.store $memory (i32.const 40) (i64.const 0))
    (i32.store $memory (i32.const 32) (local.get $amount))
    (call $call (i64.const 0x7fffffffffffffff) (i32.const 0) (i32.const 32) (i32.const 0) (i32.const 0)))

  ;; Pays an account, which is called; where that fails, so does this call.
  (func $pay (param $who i32) (param $amount i32)
    (call $require (i32.eqz (call $send (local.get $who) (local.get $amount)))))

  ;; Writes a number of four bytes where call data are put together.
  (func $put4 (param $at i32) (param $number i32)
    (i32.store $memory (i32.add (i32.const 96) (local.get $at)) (local.get $number)))

  ;; Calls `main` of an account with a value and some call data, which stands in working memory; 0 where that
  ;; went well.
  (func $ask (param $who i32) (param $amount i32) (param $length i32) (result i32)
    (call $address (local.get $who))
    (i64.store $memory (i32.const 32) (i64.const 0))
    (i64.store $memory (i32.const 40) (i64.const 0))
    (i32.store $memory (i32.const 32) (local.get $amount))
    (call $call
      (i64.const 0x7fffffffffffffff)
      (i32.const 0)
      (i32.const 32)
      (i32.const 96)
      (local.get $length)))

  ;; The money that an account has.
  (func $balance_of (param $who i32) (result i32)
    (call $address (local.get $who))
    (call $getExternalBalance (i32.const 0) (i32.const 32))
    (i32.load $memory (i32.const 32)))

  (func $tokens (param $key i32) (result i32)
    (i32.add (i32.const 32) (i32.mul (i32.const 4) (i32.and (local.get $key) (i32.const 255)))))

  (func $price (export "price") (result i32)
    (return
      (i32.div_s (i32.mul (call $balance_of (call $this)) (i32.const 1000)) (call $load_i32 (i32.const 4)))))

  (func $buy (export "buy") (param $collection i32) (param $id i32)
    (local $n i32)
    (call $require (i32.and (i32.gt_s (call $value) (i32.const 0)) (i32.le_s (call $value) (i32.const 1000))))
    (if (i32.ne (local.get $collection) (i32.const 0))
      (then
        (call $put4 (i32.const 0) (local.get $id))
        (call $put4 (i32.const 4) (call $this))
        (call $require (i32.eq (call $ask (local.get $collection) (i32.const 0) (i32.const 8)) (i32.const 0)))))
    (local.set $n
      (i32.div_s
        (i32.mul (call $value) (call $load_i32 (i32.const 4)))
        (i32.sub (call $balance_of (call $this)) (call $value))))
    (call $store_i32 (i32.const 4) (i32.add (call $load_i32 (i32.const 4)) (local.get $n)))
    (call $store_i32
      (call $tokens (call $me))
      (i32.add (call $load_i32 (call $tokens (call $me))) (local.get $n))))

  (func $sell (export "sell") (param $n i32)
    (local $amount i32)
    (call $require
      (i32.and
        (i32.and
          (i32.gt_s (local.get $n) (i32.const 0))
          (i32.le_s (local.get $n) (call $load_i32 (call $tokens (call $me)))))
        (i32.lt_s (local.get $n) (call $load_i32 (i32.const 4)))))
    (local.set $amount
      (i32.div_s
        (i32.mul
          (i32.div_s (i32.mul (local.get $n) (call $balance_of (call $this))) (call $load_i32 (i32.const 4)))
          (i32.const 9))
        (i32.const 10)))
    (call $store_i32
      (call $tokens (call $me))
      (i32.sub (call $load_i32 (call $tokens (call $me))) (local.get $n)))
    (call $store_i32 (i32.const 4) (i32.sub (call $load_i32 (i32.const 4)) (local.get $n)))
    (call $pay (call $me) (local.get $amount))))
