;; Deposits that are locked for a time of the depositor's choice; who does not wait loses a tenth, to all.
;;
;; Storage
;;   0             i64  the seconds by which a deposit is locked at least
;;   32 + 8*who    i64  the deposit of account `who`
;;   2080 + 8*who  i64  from when on it can be taken out
;;
;; Methods
;;   deposit(seconds)    of the value that comes along
;;   withdraw()
;;   withdraw_early()
;;   time_left(who) -> i64

(module $deposits
  (import "ethereum" "call" (func $call (param i64 i32 i32 i32 i32) (result i32)))
  (import "ethereum" "getBlockTimestamp" (func $getBlockTimestamp (result i64)))
  (import "ethereum" "getCallValue" (func $getCallValue (param i32)))
  (import "ethereum" "getCaller" (func $getCaller (param i32)))
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

  ;; The value that comes with the call.
  (func $value (result i64)
    (call $getCallValue (i32.const 32))
    (i64.load $memory (i32.const 32)))

  ;; The time of the block, in seconds.
  (func $now (result i64) (call $getBlockTimestamp))

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

  (func $until (param $key i64) (result i32)
    (i32.add
      (i32.const 2080)
      (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 255)))))

  (func $deposits (param $key i64) (result i32)
    (i32.add (i32.const 32) (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 255)))))

  (func $time_left (export "time_left") (param $who i64) (result i64)
    (return (i64.sub (call $load_i64 (call $until (local.get $who))) (call $now))))

  (func $deposit (export "deposit") (param $seconds i64)
    (call $require
      (i32.and
        (i32.and
          (i32.and
            (i64.ge_s (local.get $seconds) (call $load_i64 (i32.const 0)))
            (i64.le_s (local.get $seconds) (i64.const 31536000)))
          (i64.gt_s (call $value) (i64.const 0)))
        (i64.le_s (call $value) (i64.const 1000000))))
    (call $require (i64.eq (call $load_i64 (call $deposits (call $me))) (i64.const 0)))
    (call $store_i64 (call $deposits (call $me)) (call $value))
    (call $store_i64 (call $until (call $me)) (i64.add (call $now) (local.get $seconds))))

  (func $withdraw (export "withdraw")
    (local $amount i64)
    (local.set $amount (call $load_i64 (call $deposits (call $me))))
    (call $require
      (i32.and
        (i64.gt_s (local.get $amount) (i64.const 0))
        (i64.ge_s (call $now) (call $load_i64 (call $until (call $me))))))
    (call $store_i64 (call $deposits (call $me)) (i64.const 0))
    (call $pay (call $me) (local.get $amount)))

  (func $withdraw_early (export "withdraw_early")
    (local $amount i64)
    (local.set $amount (call $load_i64 (call $deposits (call $me))))
    (call $require
      (i32.and
        (i64.gt_s (local.get $amount) (i64.const 0))
        (i64.lt_s (call $now) (call $load_i64 (call $until (call $me))))))
    (call $store_i64 (call $deposits (call $me)) (i64.const 0))
    (call $pay (call $me) (i64.sub (local.get $amount) (i64.div_s (local.get $amount) (i64.const 10))))))
