;; A pool of money, which belongs to its shares. It has a lock, which others can ask for.
;;
;; Storage
;;   0             i32  lock
;;   4             i32  how many shares there are
;;   256 + 4*who   i32  the shares of account `who`
;;
;; Methods
;;   remove_liquidity(n)     pays, then takes the shares
;;   virtual_price() -> i32  of 100 shares
;;   locked() -> i32

(module $curve
  (import "ethereum" "call" (func $call (param i64 i32 i32 i32 i32) (result i32)))
  (import "ethereum" "getAddress" (func $getAddress (param i32)))
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

  ;; The money that an account has.
  (func $balance_of (param $who i32) (result i32)
    (call $address (local.get $who))
    (call $getExternalBalance (i32.const 0) (i32.const 32))
    (i32.load $memory (i32.const 32)))

  (func $shares (param $key i32) (result i32)
    (i32.add (i32.const 256) (i32.mul (i32.const 4) (i32.and (local.get $key) (i32.const 255)))))

  (func $virtual_price (export "virtual_price") (result i32)
    (return
      (i32.div_s (i32.mul (call $balance_of (call $this)) (i32.const 100)) (call $load_i32 (i32.const 4)))))

  (func $locked (export "locked") (result i32)
    (return (call $load_i32 (i32.const 0))))

  (func $remove_liquidity (export "remove_liquidity") (param $n i32)
    (call $require (i32.eq (call $load_i32 (i32.const 0)) (i32.const 0)))
    (call $store_i32 (i32.const 0) (i32.const 1))
    (call $require
      (i32.and
        (i32.and
          (i32.gt_s (local.get $n) (i32.const 0))
          (i32.le_s (local.get $n) (call $load_i32 (call $shares (call $me)))))
        (i32.lt_s (local.get $n) (call $load_i32 (i32.const 4)))))
    (call $pay
      (call $me)
      (i32.div_s (i32.mul (local.get $n) (call $balance_of (call $this))) (call $load_i32 (i32.const 4))))
    (call $store_i32
      (call $shares (call $me))
      (i32.sub (call $load_i32 (call $shares (call $me))) (local.get $n)))
    (call $store_i32 (i32.const 4) (i32.sub (call $load_i32 (i32.const 4)) (local.get $n)))
    (call $store_i32 (i32.const 0) (i32.const 0))))
