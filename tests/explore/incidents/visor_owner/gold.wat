;; A token without hooks.
;;
;; Storage
;;   8*who  i64  the balance of account `who`
;;
;; Methods
;;   transfer(to, amount)
;;   transfer_from(from, to, amount)   for the vault, whose address ends in 0x62, and wallets, ending in 0x63
;;   balance(who) -> i64

(module $gold
  (import "ethereum" "getCaller" (func $getCaller (param i32)))
  (import "ethereum" "revert" (func $revert (param i32 i32)))
  (import "storage" "memory" (memory $storage 1))
  (memory $memory (export "memory") 1)

  ;; Gives up and undoes this call where the condition does not hold.
  (func $require (param $condition i32)
    (if (i32.eqz (local.get $condition))
      (then (call $revert (i32.const 0) (i32.const 0)))))

  ;; Who calls, as the last byte of its address.
  (func $me (result i64)
    (call $getCaller (i32.const 0))
    (i64.load8_u $memory (i32.const 19)))

  (func $balances (param $key i64) (result i32)
    (i32.add (i32.const 0) (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 255)))))

  (func $balance (export "balance") (param $who i64) (result i64)
    (return (i64.load $storage (call $balances (local.get $who)))))

  (func $transfer (export "transfer") (param $to i64) (param $amount i64)
    (call $_move (call $me) (local.get $to) (local.get $amount)))

  (func $transfer_from (export "transfer_from") (param $src i64) (param $dst i64) (param $amount i64)
    (call $require (i32.or (i64.eq (call $me) (i64.const 98)) (i64.eq (call $me) (local.get $src))))
    (call $_move (local.get $src) (local.get $dst) (local.get $amount)))

  (func $_move (param $src i64) (param $dst i64) (param $amount i64)
    (call $require
      (i32.and
        (i64.ge_s (local.get $amount) (i64.const 0))
        (i64.le_s (local.get $amount) (i64.load $storage (call $balances (local.get $src))))))
    (i64.store $storage
      (call $balances (local.get $src))
      (i64.sub (i64.load $storage (call $balances (local.get $src))) (local.get $amount)))
    (i64.store $storage
      (call $balances (local.get $dst))
      (i64.add (i64.load $storage (call $balances (local.get $dst))) (local.get $amount)))))
