;; A token that tells who gets it, as in ERC-677.
;;
;; Storage
;;   128 + 8*who   i64  the balance of account `who`
;;
;; Methods
;;   transfer(to, amount)
;;   collect(from, amount)     for the market, whose address ends in 0xf3
;;   balance(who) -> i64
;;
;; Calls
;;   receiver.on_token_transfer(from, amount)   after a transfer by a market

(module $xdai
  (import "contract:receiver" "on_token_transfer" (func $receiver.on_token_transfer (param i64 i64)))
  (import "ethereum" "getCaller" (func $getCaller (param i32)))
  (import "ethereum" "revert" (func $revert (param i32 i32)))
  ;; @storage
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
    (i32.add
      (i32.const 128)
      (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 255)))))

  (func $balance (export "balance") (param $who i64) (result i64)
    (return (call $load_i64 (call $balances (local.get $who)))))

  (func $transfer (export "transfer") (param $to i64) (param $amount i64)
    (call $require
      (i32.and
        (i64.ge_s (local.get $amount) (i64.const 0))
        (i64.le_s (local.get $amount) (call $load_i64 (call $balances (call $me))))))
    (call $store_i64
      (call $balances (call $me))
      (i64.sub (call $load_i64 (call $balances (call $me))) (local.get $amount)))
    (call $store_i64
      (call $balances (local.get $to))
      (i64.add (call $load_i64 (call $balances (local.get $to))) (local.get $amount)))
    (if (i64.eq (call $me) (i64.const 243))
      (then (call $receiver.on_token_transfer (call $me) (local.get $amount)))))

  (func $collect (export "collect") (param $src i64) (param $amount i64)
    (call $require
      (i32.and
        (i32.and (i64.eq (call $me) (i64.const 243)) (i64.ge_s (local.get $amount) (i64.const 0)))
        (i64.le_s (local.get $amount) (call $load_i64 (call $balances (local.get $src))))))
    (call $store_i64
      (call $balances (local.get $src))
      (i64.sub (call $load_i64 (call $balances (local.get $src))) (local.get $amount)))
    (call $store_i64
      (call $balances (call $me))
      (i64.add (call $load_i64 (call $balances (call $me))) (local.get $amount)))))
