;; A market for money: keeps what is supplied in a token.
;;
;; Storage
;;   2048 + 8*slot  i64  what the account with that slot has supplied, of 127
;;
;; Methods
;;   supply(amount)
;;   withdraw(amount)

(module $market
  (import "contract:token" "collect" (func $token.collect (param i64 i64)))
  (import "contract:token" "transfer" (func $token.transfer (param i64 i64)))
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
  (func $supplies (param $key i64) (result i32)
    (i32.add
      (i32.const 2048)
      (i32.mul (i32.const 8) (i32.rem_u (call $hash (local.get $key)) (i32.const 127)))))

  (func $supply (export "supply") (param $amount i64)
    (call $require
      (i32.and
        (i64.gt_s (local.get $amount) (i64.const 0))
        (i64.le_s (local.get $amount) (i64.const 1000000))))
    (call $token.collect (call $me) (local.get $amount))
    (call $store_i64
      (call $supplies (call $me))
      (i64.add (call $load_i64 (call $supplies (call $me))) (local.get $amount))))

  (func $withdraw (export "withdraw") (param $amount i64)
    (call $require
      (i32.and
        (i64.gt_s (local.get $amount) (i64.const 0))
        (i64.le_s (local.get $amount) (call $load_i64 (call $supplies (call $me))))))
    (call $store_i64
      (call $supplies (call $me))
      (i64.sub (call $load_i64 (call $supplies (call $me))) (local.get $amount)))
    (call $token.transfer (call $me) (local.get $amount))))
