;; Every player pays 25; each fourth gets 90 of the 100 that were paid.
;;
;; Always: the next one can play.
;;
;; Storage
;;   0            i64  what is in the pot
;;   8            i64  how many have paid since the last one won
;;   64 + 8*who   i64  what account `who` has won and can take out
;;
;; Methods
;;   play()            25 come along
;;   collect()
;;   open() -> i32     whether one can play

(module $game
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

  (func $won (param $key i64) (result i32)
    (i32.add (i32.const 64) (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 255)))))

  (func $open (export "open") (result i32)
    (return (i64.eq (call $balance_of (call $this)) (call $load_i64 (i32.const 0)))))

  (func $play (export "play")
    (call $require (i64.eq (call $value) (i64.const 25)))
    (call $require
      (i64.eq (call $balance_of (call $this)) (i64.add (call $load_i64 (i32.const 0)) (i64.const 25))))
    (call $store_i64 (i32.const 0) (i64.add (call $load_i64 (i32.const 0)) (i64.const 25)))
    (call $store_i64 (i32.const 8) (i64.add (call $load_i64 (i32.const 8)) (i64.const 1)))
    (if (i64.eq (call $load_i64 (i32.const 8)) (i64.const 4))
      (then
        (call $store_i64 (i32.const 8) (i64.const 0))
        (call $store_i64
          (call $won (call $me))
          (i64.add (call $load_i64 (call $won (call $me))) (i64.const 90))))))

  (func $collect (export "collect")
    (local $amount i64)
    (local.set $amount (call $load_i64 (call $won (call $me))))
    (call $require (i64.gt_s (local.get $amount) (i64.const 0)))
    (call $store_i64 (call $won (call $me)) (i64.const 0))
    (call $store_i64 (i32.const 0) (i64.sub (call $load_i64 (i32.const 0)) (local.get $amount)))
    (call $pay (call $me) (local.get $amount))))
