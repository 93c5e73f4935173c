;; Keeps dollars for accounts, and trades them through pools that the trader names. Everything is `main`: call data begin
;; with a number of four bytes that says what to do.
;;
;; Always: it has all the dollars that it owes.
;;
;; Storage
;;   0            i64  lock
;;   1024 + 8*who  i64  what account `who` has here
;;
;; Call data of main, little-endian
;;   0xd0e30db0, amount i64                           deposit
;;   0x2e1a7d4d, amount i64                           withdraw
;;   0x38ed1739, amount i64, the pool's address of 20 bytes   swap: the pool gets the dollars, and what it sends back counts
;;
;; Calls
;;   main of the pool, with the amount

(module $exchange
  (import "contract:usd" "move" (func $usd.move (param i64 i64 i64)))
  (import "contract:usd" "balance" (func $usd.balance (param i64) (result i64)))
  (import "ethereum" "call" (func $call (param i64 i32 i32 i32 i32) (result i32)))
  (import "ethereum" "callDataCopy" (func $callDataCopy (param i32 i32 i32)))
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

  ;; Eight bytes of call data.
  (func $data (param $at i32) (result i64)
    (call $callDataCopy (i32.const 64) (local.get $at) (i32.const 8))
    (i64.load $memory (i32.const 64)))

  ;; Four bytes of call data.
  (func $data4 (param $at i32) (result i32)
    (call $callDataCopy (i32.const 64) (local.get $at) (i32.const 4))
    (i32.load $memory (i32.const 64)))

  ;; Whose address of 20 bytes stands in call data, as the last byte of its address.
  (func $data_address (param $at i32) (result i64)
    (call $callDataCopy (i32.const 64) (local.get $at) (i32.const 20))
    (i64.load8_u $memory (i32.const 83)))

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

  (func $credit (param $key i64) (result i32)
    (i32.add
      (i32.const 1024)
      (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 255)))))

  (func $main (export "main")
    (local $selector i32)
    (local.set $selector (call $data4 (i32.const 0)))
    (call $require
      (i32.or
        (i32.or
          (i32.eq (local.get $selector) (i32.const 0xd0e30db0))
          (i32.eq (local.get $selector) (i32.const 0x2e1a7d4d)))
        (i32.eq (local.get $selector) (i32.const 0x38ed1739))))
    (if (i32.eq (local.get $selector) (i32.const 0xd0e30db0))
      (then (call $_deposit (call $data (i32.const 4)))))
    (if (i32.eq (local.get $selector) (i32.const 0x2e1a7d4d))
      (then (call $_withdraw (call $data (i32.const 4)))))
    (if (i32.eq (local.get $selector) (i32.const 0x38ed1739))
      (then (call $_swap (call $data (i32.const 4)) (call $data_address (i32.const 12))))))

  (func $_deposit (param $amount i64)
    (call $require
      (i32.and
        (i64.gt_s (local.get $amount) (i64.const 0))
        (i64.le_s (local.get $amount) (i64.const 1000000))))
    (call $usd.move (call $me) (i64.const 65) (local.get $amount))
    (call $store_i64
      (call $credit (call $me))
      (i64.add (call $load_i64 (call $credit (call $me))) (local.get $amount))))

  (func $_withdraw (param $amount i64)
    (call $require
      (i32.and
        (i64.gt_s (local.get $amount) (i64.const 0))
        (i64.le_s (local.get $amount) (call $load_i64 (call $credit (call $me))))))
    (call $store_i64
      (call $credit (call $me))
      (i64.sub (call $load_i64 (call $credit (call $me))) (local.get $amount)))
    (call $usd.move (i64.const 65) (call $me) (local.get $amount)))

  (func $_swap (param $amount i64) (param $pool i64)
    (local $earlier i64)
    (call $require
      (i32.and
        (i64.gt_s (local.get $amount) (i64.const 0))
        (i64.le_s (local.get $amount) (call $load_i64 (call $credit (call $me))))))
    (call $store_i64
      (call $credit (call $me))
      (i64.sub (call $load_i64 (call $credit (call $me))) (local.get $amount)))
    (call $usd.move (i64.const 65) (local.get $pool) (local.get $amount))
    (local.set $earlier (call $usd.balance (i64.const 65)))
    (call $put (i32.const 0) (local.get $amount))
    (call $require (i32.eq (call $ask (local.get $pool) (i64.const 0) (i32.const 8)) (i32.const 0)))
    (call $store_i64
      (call $credit (call $me))
      (i64.add
        (call $load_i64 (call $credit (call $me)))
        (i64.sub (call $usd.balance (i64.const 65)) (local.get $earlier))))))
