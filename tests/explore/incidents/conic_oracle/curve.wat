;; A pool of money with a lock that others can ask for.
;;
;; Storage
;;   0            i64  lock
;;   8            i64  how many shares there are
;;   64 + 8*who   i64  the shares of account `who`
;;
;; Methods
;;   remove(n)           pays, then takes the shares
;;   worth() -> i64      of 1,000 shares
;;   is_locked() -> i64

(module $curve
  (import "ethereum" "call" (func $call (param i64 i32 i32 i32 i32) (result i32)))
  (import "ethereum" "getAddress" (func $getAddress (param i32)))
  (import "ethereum" "getCaller" (func $getCaller (param i32)))
  (import "ethereum" "getExternalBalance" (func $getExternalBalance (param i32 i32)))
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

  ;; This contract, as the last byte of its address.
  (func $this (result i64)
    (call $getAddress (i32.const 0))
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

  ;; The money that an account has.
  (func $balance_of (param $who i64) (result i64)
    (call $address (local.get $who))
    (call $getExternalBalance (i32.const 0) (i32.const 32))
    (i64.load $memory (i32.const 32)))

  (func $shares (param $key i64) (result i32)
    (i32.add (i32.const 64) (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 255)))))

  (func $worth (export "worth") (result i64)
    (return
      (i64.div_s (i64.mul (call $balance_of (call $this)) (i64.const 1000)) (i64.load $storage (i32.const 8)))))

  (func $is_locked (export "is_locked") (result i64)
    (return (i64.load $storage (i32.const 0))))

  (func $remove (export "remove") (param $n i64)
    (call $require
      (i32.and
        (i32.and
          (i32.and
            (i64.eq (i64.load $storage (i32.const 0)) (i64.const 0))
            (i64.gt_s (local.get $n) (i64.const 0)))
          (i64.le_s (local.get $n) (i64.load $storage (call $shares (call $me)))))
        (i64.lt_s (local.get $n) (i64.load $storage (i32.const 8)))))
    (i64.store $storage (i32.const 0) (i64.const 1))
    (call $pay
      (call $me)
      (i64.div_s (i64.mul (local.get $n) (call $balance_of (call $this))) (i64.load $storage (i32.const 8))))
    (i64.store $storage
      (call $shares (call $me))
      (i64.sub (i64.load $storage (call $shares (call $me))) (local.get $n)))
    (i64.store $storage (i32.const 8) (i64.sub (i64.load $storage (i32.const 8)) (local.get $n)))
    (i64.store $storage (i32.const 0) (i64.const 0))))
