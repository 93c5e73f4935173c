;; Holds a buyer's money until the buyer hands it to the seller, or the seller gives it back.
;;
;; Storage
;;   8*id          i64  the money of deal `id`, of 16
;;   128 + 8*id    i64  the buyer: the last byte of an address
;;   256 + 8*id    i64  the seller
;;
;; Methods
;;   open(id, seller)   the value that comes along; nobody buys from oneself
;;   release(id)        the buyer: pays the seller
;;   refund(id)         the seller: pays the buyer

(module $escrow
  (import "ethereum" "call" (func $call (param i64 i32 i32 i32 i32) (result i32)))
  (import "ethereum" "getCallValue" (func $getCallValue (param i32)))
  (import "ethereum" "getCaller" (func $getCaller (param i32)))
  (import "ethereum" "revert" (func $revert (param i32 i32)))
  (import "storage" "memory" (memory $storage 1))
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

  (func $money (param $key i64) (result i32)
    (i32.add (i32.const 0) (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 15)))))

  (func $buyers (param $key i64) (result i32)
    (i32.add (i32.const 128) (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 15)))))

  (func $sellers (param $key i64) (result i32)
    (i32.add (i32.const 256) (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 15)))))

  (func $open (export "open") (param $id i64) (param $seller i64)
    (call $require
      (i32.and
        (i32.and
          (i32.and
            (i32.and (i64.ge_s (local.get $id) (i64.const 0)) (i64.lt_s (local.get $id) (i64.const 16)))
            (i64.gt_s (local.get $seller) (i64.const 0)))
          (i64.lt_s (local.get $seller) (i64.const 256)))
        (i64.ne (local.get $seller) (call $me))))
    (call $require
      (i32.and
        (i32.and
          (i64.eq (i64.load $storage (call $money (local.get $id))) (i64.const 0))
          (i64.gt_s (call $value) (i64.const 0)))
        (i64.le_s (call $value) (i64.const 1000000))))
    (i64.store $storage (call $money (local.get $id)) (call $value))
    (i64.store $storage (call $buyers (local.get $id)) (call $me))
    (i64.store $storage (call $sellers (local.get $id)) (local.get $seller)))

  (func $release (export "release") (param $id i64)
    (local $amount i64)
    (call $require
      (i32.and
        (i32.and
          (i32.and (i64.ge_s (local.get $id) (i64.const 0)) (i64.lt_s (local.get $id) (i64.const 16)))
          (i64.gt_s (i64.load $storage (call $money (local.get $id))) (i64.const 0)))
        (i64.eq (i64.load $storage (call $buyers (local.get $id))) (call $me))))
    (local.set $amount (i64.load $storage (call $money (local.get $id))))
    (i64.store $storage (call $money (local.get $id)) (i64.const 0))
    (call $pay (i64.load $storage (call $sellers (local.get $id))) (local.get $amount)))

  (func $refund (export "refund") (param $id i64)
    (local $amount i64)
    (call $require
      (i32.and
        (i32.and
          (i32.and (i64.ge_s (local.get $id) (i64.const 0)) (i64.lt_s (local.get $id) (i64.const 16)))
          (i64.gt_s (i64.load $storage (call $money (local.get $id))) (i64.const 0)))
        (i64.eq (i64.load $storage (call $sellers (local.get $id))) (call $me))))
    (local.set $amount (i64.load $storage (call $money (local.get $id))))
    (i64.store $storage (call $money (local.get $id)) (i64.const 0))
    (call $pay (i64.load $storage (call $buyers (local.get $id))) (local.get $amount))))
