;; Payment channels: money, and perhaps a token, are put in, and given back when nobody answers in time.
;;
;; Always: it has the money of all channels, and what it owes.
;;
;; Storage
;;   512 + 8*id   i64  the money in channel `id`, of 32
;;   768 + 8*id   i64  whose channel it is: the last four bytes of an address
;;   1024 + 8*id  i64  its token, likewise; 0 for none
;;   2048 + 8*slot  i64  what the account with that slot, of 61, can take out
;;
;; Methods
;;   open(id, token)   with the value that comes along
;;   timeout(id)       closes a channel; tells its token to give back what it has
;;   cash_out()
;;
;; Calls
;;   main of the channel's token, with the id

(module $channels
  (import "ethereum" "call" (func $call (param i64 i32 i32 i32 i32) (result i32)))
  (import "ethereum" "getCallValue" (func $getCallValue (param i32)))
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

  ;; Writes the address of an account to working memory.
  (func $address (param $who i64)
    (i64.store $memory (i32.const 0) (i64.const 0))
    (i64.store $memory (i32.const 8) (i64.const 0))
    (i32.store $memory (i32.const 16) (i32.const 0))
    (i32.store $memory (i32.const 16) (call $swap (i32.wrap_i64 (local.get $who)))))

  ;; Who calls, as the last four bytes of its address.
  (func $me (result i64)
    (call $getCaller (i32.const 0))
    (i64.extend_i32_u (call $swap (i32.load $memory (i32.const 16)))))

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

  (func $owners (param $key i64) (result i32)
    (i32.add (i32.const 768) (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 31)))))

  (func $money (param $key i64) (result i32)
    (i32.add (i32.const 512) (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 31)))))

  (func $tokens (param $key i64) (result i32)
    (i32.add
      (i32.const 1024)
      (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 31)))))

  ;; Where what belongs to an account is: the place comes from a hash of its address.
  (func $owed (param $key i64) (result i32)
    (i32.add
      (i32.const 2048)
      (i32.mul (i32.const 8) (i32.rem_u (call $hash (local.get $key)) (i32.const 61)))))

  (func $open (export "open") (param $id i64) (param $token i64)
    (call $require
      (i32.and
        (i32.and
          (i32.and
            (i32.and (i64.ge_s (local.get $id) (i64.const 0)) (i64.lt_s (local.get $id) (i64.const 32)))
            (i64.eq (call $load_i64 (call $owners (local.get $id))) (i64.const 0)))
          (i64.gt_s (call $value) (i64.const 0)))
        (i64.le_s (call $value) (i64.const 1000000))))
    (call $store_i64 (call $money (local.get $id)) (call $value))
    (call $store_i64 (call $owners (local.get $id)) (call $me))
    (call $store_i64 (call $tokens (local.get $id)) (local.get $token)))

  (func $timeout (export "timeout") (param $id i64)
    (call $require
      (i32.and
        (i32.and (i64.ge_s (local.get $id) (i64.const 0)) (i64.lt_s (local.get $id) (i64.const 32)))
        (i64.eq (call $load_i64 (call $owners (local.get $id))) (call $me))))
    (call $store_i64
      (call $owed (call $me))
      (i64.add (call $load_i64 (call $owed (call $me))) (call $load_i64 (call $money (local.get $id)))))
    (if (i64.ne (call $load_i64 (call $tokens (local.get $id))) (i64.const 0))
      (then
        (call $put (i32.const 0) (local.get $id))
        (call $require
          (i32.eq
            (call $ask (call $load_i64 (call $tokens (local.get $id))) (i64.const 0) (i32.const 8))
            (i32.const 0)))))
    (call $store_i64 (call $money (local.get $id)) (i64.const 0))
    (call $store_i64 (call $owners (local.get $id)) (i64.const 0))
    (call $store_i64 (call $tokens (local.get $id)) (i64.const 0)))

  (func $cash_out (export "cash_out")
    (local $amount i64)
    (local.set $amount (call $load_i64 (call $owed (call $me))))
    (call $require (i64.gt_s (local.get $amount) (i64.const 0)))
    (call $store_i64 (call $owed (call $me)) (i64.const 0))
    (call $pay (call $me) (local.get $amount))))
