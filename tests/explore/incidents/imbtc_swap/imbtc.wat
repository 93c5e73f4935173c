;; A token whose holders can have themselves told of transfers before they happen, as in ERC-777.
;;
;; Storage
;;   256 + 8*who   i64  the balance of account `who`
;;   2304 + 8*who  i64  1 for who is to be told
;;
;; Methods
;;   register(), unregister()
;;   move(from, to, amount)   the holder, or the exchange, whose address ends in 0x31
;;   balance(who) -> i64
;;
;; Calls
;;   holder.tokens_to_send(from, to, amount)   before balances change, for who is registered

(module $imbtc
  (import "contract:holder" "tokens_to_send" (func $holder.tokens_to_send (param i64 i64 i64)))
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

  (func $told (param $key i64) (result i32)
    (i32.add
      (i32.const 2304)
      (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 255)))))

  (func $balances (param $key i64) (result i32)
    (i32.add
      (i32.const 256)
      (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 255)))))

  (func $register (export "register")
    (call $store_i64 (call $told (call $me)) (i64.const 1)))

  (func $unregister (export "unregister")
    (call $store_i64 (call $told (call $me)) (i64.const 0)))

  (func $balance (export "balance") (param $who i64) (result i64)
    (return (call $load_i64 (call $balances (local.get $who)))))

  (func $move (export "move") (param $src i64) (param $dst i64) (param $amount i64)
    (call $require
      (i32.and
        (i32.and
          (i32.and
            (i32.and (i64.ge_s (local.get $src) (i64.const 0)) (i64.lt_s (local.get $src) (i64.const 256)))
            (i64.ge_s (local.get $dst) (i64.const 0)))
          (i64.lt_s (local.get $dst) (i64.const 256)))
        (i64.ne (local.get $src) (local.get $dst))))
    (call $require (i32.or (i64.eq (call $me) (local.get $src)) (i64.eq (call $me) (i64.const 49))))
    (call $require
      (i32.and
        (i64.ge_s (local.get $amount) (i64.const 0))
        (i64.le_s (local.get $amount) (i64.const 1000000))))
    (if (i64.eq (call $load_i64 (call $told (local.get $src))) (i64.const 1))
      (then (call $holder.tokens_to_send (local.get $src) (local.get $dst) (local.get $amount))))
    (call $require (i64.ge_s (call $load_i64 (call $balances (local.get $src))) (local.get $amount)))
    (call $store_i64
      (call $balances (local.get $src))
      (i64.sub (call $load_i64 (call $balances (local.get $src))) (local.get $amount)))
    (call $store_i64
      (call $balances (local.get $dst))
      (i64.add (call $load_i64 (call $balances (local.get $dst))) (local.get $amount)))))
