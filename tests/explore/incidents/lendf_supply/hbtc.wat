;; A token that tells holders of transfers before they happen. Its books are a hash table.
;;
;; Storage
;;   1024 + 8*slot  i64  the balance of the account with that slot, of 127
;;
;; Methods
;;   transfer(to, amount)
;;   collect(from, amount)   for the money market, whose address ends in 0x0f00d001
;;   balance_of_account(who) -> i64
;;
;; Calls
;;   holder.tokens_to_send(from, amount)   before a collection

(module $hbtc
  (import "contract:holder" "tokens_to_send" (func $holder.tokens_to_send (param i64 i64)))
  (import "ethereum" "getCaller" (func $getCaller (param i32)))
  (import "ethereum" "revert" (func $revert (param i32 i32)))
  ;; @storage
  (memory $memory (export "memory") 1)

  ;; Gives up and undoes this call where the condition does not hold.
  (func $require (param $condition i32)
    (if (i32.eqz (local.get $condition))
      (then (call $revert (i32.const 0) (i32.const 0)))))

  ;; The bytes of a word the other way round.
  (func $swap (param $x i32) (result i32)
    (i32.or
      (i32.and (i32.rotr (local.get $x) (i32.const 8)) (i32.const 0xff00ff00))
      (i32.and (i32.rotl (local.get $x) (i32.const 8)) (i32.const 0x00ff00ff))))

  ;; Mixes the bits of the last four bytes of an address.
  (func $hash (param $key i64) (result i32)
    (local $x i32)
    (local.set $x (i32.mul (i32.wrap_i64 (local.get $key)) (i32.const 0x9e3779b1)))
    (i32.mul (i32.xor (local.get $x) (i32.shr_u (local.get $x) (i32.const 15))) (i32.const 0x85ebca77)))

  ;; Who calls, as the last four bytes of its address.
  (func $me (result i64)
    (call $getCaller (i32.const 0))
    (i64.extend_i32_u (call $swap (i32.load $memory (i32.const 16)))))

  ;; Where what belongs to an account is: the place comes from a hash of its address.
  (func $balances (param $key i64) (result i32)
    (i32.add
      (i32.const 1024)
      (i32.mul (i32.const 8) (i32.rem_u (call $hash (local.get $key)) (i32.const 127)))))

  (func $balance_of_account (export "balance_of_account") (param $who i64) (result i64)
    (return (call $load_i64 (call $balances (local.get $who)))))

  (func $transfer (export "transfer") (param $to i64) (param $amount i64)
    (call $require
      (i32.and
        (i32.and
          (i64.ge_s (local.get $amount) (i64.const 0))
          (i64.le_s (local.get $amount) (i64.const 1000000)))
        (i64.ge_s (call $load_i64 (call $balances (call $me))) (local.get $amount))))
    (call $store_i64
      (call $balances (call $me))
      (i64.sub (call $load_i64 (call $balances (call $me))) (local.get $amount)))
    (call $store_i64
      (call $balances (local.get $to))
      (i64.add (call $load_i64 (call $balances (local.get $to))) (local.get $amount))))

  (func $collect (export "collect") (param $src i64) (param $amount i64)
    (call $require
      (i32.and
        (i32.and (i64.eq (call $me) (i64.const 0xf00d001)) (i64.ge_s (local.get $amount) (i64.const 0)))
        (i64.le_s (local.get $amount) (i64.const 1000000))))
    (call $holder.tokens_to_send (local.get $src) (local.get $amount))
    (call $require (i64.ge_s (call $load_i64 (call $balances (local.get $src))) (local.get $amount)))
    (call $store_i64
      (call $balances (local.get $src))
      (i64.sub (call $load_i64 (call $balances (local.get $src))) (local.get $amount)))
    (call $store_i64
      (call $balances (call $me))
      (i64.add (call $load_i64 (call $balances (call $me))) (local.get $amount)))))
