;; Gives shares for gold. It can come from a wallet of the depositor's, which says who owns it.
;;
;; Storage
;;   0             i64  lock
;;   64 + 8*who    i64  the shares of account `who`
;;
;; Methods
;;   deposit(amount, wallet)   from the wallet whose address ends so
;;   deposit_own(amount)
;;   withdraw(amount)
;;
;; Calls
;;   main of the wallet: 1, to be answered with the last byte of its owner's address as i64;
;;   2, the amount: to send so much here

(module $visor
  (import "contract:gold" "balance" (func $gold.balance (param i64) (result i64)))
  (import "contract:gold" "transfer" (func $gold.transfer (param i64 i64)))
  (import "contract:gold" "transfer_from" (func $gold.transfer_from (param i64 i64 i64)))
  (import "ethereum" "call" (func $call (param i64 i32 i32 i32 i32) (result i32)))
  (import "ethereum" "getCaller" (func $getCaller (param i32)))
  (import "ethereum" "getReturnDataSize" (func $getReturnDataSize (result i32)))
  (import "ethereum" "returnDataCopy" (func $returnDataCopy (param i32 i32 i32)))
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

  ;; Eight bytes of what the last call answered; 0 where it was shorter.
  (func $answer (result i64)
    (i64.store $memory (i32.const 64) (i64.const 0))
    (if (i32.ge_u (call $getReturnDataSize) (i32.const 8))
      (then (call $returnDataCopy (i32.const 64) (i32.const 0) (i32.const 8))))
    (i64.load $memory (i32.const 64)))

  (func $shares (param $key i64) (result i32)
    (i32.add (i32.const 64) (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 255)))))

  (func $deposit (export "deposit") (param $amount i64) (param $wallet i64)
    (local $earlier i64)
    (call $require
      (i32.and
        (i64.gt_s (local.get $amount) (i64.const 0))
        (i64.le_s (local.get $amount) (i64.const 1000000))))
    (call $put (i32.const 0) (i64.const 1))
    (call $require (i32.eq (call $ask (local.get $wallet) (i64.const 0) (i32.const 8)) (i32.const 0)))
    (call $require (i64.eq (call $answer) (call $me)))
    (local.set $earlier (call $gold.balance (i64.const 98)))
    (call $put (i32.const 0) (i64.const 2))
    (call $put (i32.const 8) (local.get $amount))
    (call $require (i32.eq (call $ask (local.get $wallet) (i64.const 0) (i32.const 16)) (i32.const 0)))
    (i64.store $storage
      (call $shares (call $me))
      (i64.add
        (i64.load $storage (call $shares (call $me)))
        (i64.sub (call $gold.balance (i64.const 98)) (local.get $earlier)))))

  (func $deposit_own (export "deposit_own") (param $amount i64)
    (call $require
      (i32.and
        (i64.gt_s (local.get $amount) (i64.const 0))
        (i64.le_s (local.get $amount) (i64.const 1000000))))
    (call $gold.transfer_from (call $me) (i64.const 98) (local.get $amount))
    (i64.store $storage
      (call $shares (call $me))
      (i64.add (i64.load $storage (call $shares (call $me))) (local.get $amount))))

  (func $withdraw (export "withdraw") (param $amount i64)
    (call $require
      (i32.and
        (i64.gt_s (local.get $amount) (i64.const 0))
        (i64.le_s (local.get $amount) (i64.load $storage (call $shares (call $me))))))
    (i64.store $storage
      (call $shares (call $me))
      (i64.sub (i64.load $storage (call $shares (call $me))) (local.get $amount)))
    (call $gold.transfer (call $me) (local.get $amount))))
