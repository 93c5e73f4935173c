;; A token without hooks. Who calls `main` collects for itself, if the holder has allowed that.
;;
;; Storage
;;   16 + 8*who    i64  the balance of account `who`
;;   4096 + 8*who  i64  1 where the pool may collect from account `who`
;;
;; Methods
;;   allow(yes)
;;   pay_out(to, amount)         the caller's own
;;   balance(who) -> i64
;;   main: from i64, amount i64  for the pool, whose address ends in 0xa1

(module $dai
  (import "ethereum" "callDataCopy" (func $callDataCopy (param i32 i32 i32)))
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

  ;; Eight bytes of call data.
  (func $data (param $at i32) (result i64)
    (call $callDataCopy (i32.const 64) (local.get $at) (i32.const 8))
    (i64.load $memory (i32.const 64)))

  (func $balances (param $key i64) (result i32)
    (i32.add (i32.const 16) (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 255)))))

  (func $allowed (param $key i64) (result i32)
    (i32.add
      (i32.const 4096)
      (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 255)))))

  (func $balance (export "balance") (param $who i64) (result i64)
    (return (call $load_i64 (call $balances (local.get $who)))))

  (func $allow (export "allow") (param $yes i64)
    (call $store_i64 (call $allowed (call $me)) (i64.and (local.get $yes) (i64.const 1))))

  (func $pay_out (export "pay_out") (param $to i64) (param $amount i64)
    (call $_move (call $me) (local.get $to) (local.get $amount)))

  (func $main (export "main")
    (call $require
      (i32.and
        (i64.eq (call $me) (i64.const 161))
        (i64.eq (call $load_i64 (call $allowed (call $data (i32.const 0)))) (i64.const 1))))
    (call $_move (call $data (i32.const 0)) (i64.const 161) (call $data (i32.const 8))))

  (func $_move (param $src i64) (param $dst i64) (param $amount i64)
    (call $require
      (i32.and
        (i32.and
          (i32.and
            (i32.and (i64.ge_s (local.get $src) (i64.const 0)) (i64.lt_s (local.get $src) (i64.const 256)))
            (i64.ge_s (local.get $dst) (i64.const 0)))
          (i64.lt_s (local.get $dst) (i64.const 256)))
        (i64.ne (local.get $src) (local.get $dst))))
    (call $require
      (i32.and
        (i64.ge_s (local.get $amount) (i64.const 0))
        (i64.le_s (local.get $amount) (call $load_i64 (call $balances (local.get $src))))))
    (call $store_i64
      (call $balances (local.get $src))
      (i64.sub (call $load_i64 (call $balances (local.get $src))) (local.get $amount)))
    (call $store_i64
      (call $balances (local.get $dst))
      (i64.add (call $load_i64 (call $balances (local.get $dst))) (local.get $amount)))))
