;; A market: its shares are bought with money, and lent against, up to half of their worth.
;;
;; Storage
;;   0              i64  how many shares there are
;;   8              i64  what is owed all in all
;;   1032 + 8*who   i64  the shares of account `who`
;;   3080 + 8*who   i64  what it owes
;;
;; Methods
;;   main              buys shares for the value that comes along
;;   redeem(n)
;;   borrow(amount)
;;   repay()           what is too much is given back

(module $sumer
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

  ;; The money that an account has.
  (func $balance_of (param $who i64) (result i64)
    (call $address (local.get $who))
    (call $getExternalBalance (i32.const 0) (i32.const 32))
    (i64.load $memory (i32.const 32)))

  (func $shares (param $key i64) (result i32)
    (i32.add
      (i32.const 1032)
      (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 255)))))

  (func $debts (param $key i64) (result i32)
    (i32.add
      (i32.const 3080)
      (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 255)))))

  (func $_worth (param $n i64) (result i64)
    (return
      (i64.div_s
        (i64.mul (local.get $n) (i64.add (call $balance_of (call $this)) (call $load_i64 (i32.const 8))))
        (call $load_i64 (i32.const 0)))))

  (func $main (export "main")
    (local $n i64)
    (call $require
      (i32.and (i64.gt_s (call $value) (i64.const 0)) (i64.le_s (call $value) (i64.const 1000000))))
    (local.set $n
      (i64.div_s
        (i64.mul (call $value) (call $load_i64 (i32.const 0)))
        (i64.add (i64.sub (call $balance_of (call $this)) (call $value)) (call $load_i64 (i32.const 8)))))
    (call $store_i64 (i32.const 0) (i64.add (call $load_i64 (i32.const 0)) (local.get $n)))
    (call $store_i64
      (call $shares (call $me))
      (i64.add (call $load_i64 (call $shares (call $me))) (local.get $n))))

  (func $redeem (export "redeem") (param $n i64)
    (local $amount i64)
    (call $require
      (i32.and
        (i32.and
          (i64.gt_s (local.get $n) (i64.const 0))
          (i64.le_s (local.get $n) (call $load_i64 (call $shares (call $me)))))
        (i64.lt_s (local.get $n) (call $load_i64 (i32.const 0)))))
    (call $require
      (i64.le_s
        (i64.mul (i64.const 2) (call $load_i64 (call $debts (call $me))))
        (call $_worth (i64.sub (call $load_i64 (call $shares (call $me))) (local.get $n)))))
    (local.set $amount (call $_worth (local.get $n)))
    (call $store_i64
      (call $shares (call $me))
      (i64.sub (call $load_i64 (call $shares (call $me))) (local.get $n)))
    (call $store_i64 (i32.const 0) (i64.sub (call $load_i64 (i32.const 0)) (local.get $n)))
    (call $pay (call $me) (local.get $amount)))

  (func $borrow (export "borrow") (param $amount i64)
    (call $require
      (i32.and
        (i64.gt_s (local.get $amount) (i64.const 0))
        (i64.le_s
          (i64.mul (i64.const 2) (i64.add (call $load_i64 (call $debts (call $me))) (local.get $amount)))
          (call $_worth (call $load_i64 (call $shares (call $me)))))))
    (call $store_i64
      (call $debts (call $me))
      (i64.add (call $load_i64 (call $debts (call $me))) (local.get $amount)))
    (call $store_i64 (i32.const 8) (i64.add (call $load_i64 (i32.const 8)) (local.get $amount)))
    (call $pay (call $me) (local.get $amount)))

  (func $repay (export "repay")
    (local $paid i64)
    (call $require
      (i32.and
        (i64.gt_s (call $load_i64 (call $debts (call $me))) (i64.const 0))
        (i64.le_s (call $value) (i64.const 1000000))))
    (local.set $paid (call $value))
    (if (i64.gt_s (local.get $paid) (call $load_i64 (call $debts (call $me))))
      (then (local.set $paid (call $load_i64 (call $debts (call $me))))))
    (call $store_i64
      (call $debts (call $me))
      (i64.sub (call $load_i64 (call $debts (call $me))) (local.get $paid)))
    (call $store_i64 (i32.const 8) (i64.sub (call $load_i64 (i32.const 8)) (local.get $paid)))
    (if (i64.gt_s (call $value) (local.get $paid))
      (then (call $pay (call $me) (i64.sub (call $value) (local.get $paid)))))))
