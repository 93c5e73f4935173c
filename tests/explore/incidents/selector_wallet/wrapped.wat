;; Wraps money, as in WETH, for callers who speak the binary interface of Ethereum: call data begin with a selector, the
;; most significant byte first, and go on with addresses of 20 bytes and amounts of 8 bytes, likewise.
;;
;; Always: it has all that is wrapped.
;;
;; Storage, memory `addresses`
;;   32*n  20 bytes  the address of account `n`, of 64; then i32: 1 where there is one
;; Storage, memory `amounts`
;;   8*n   i64       what it has
;;
;; Working memory
;;   0    call data
;;   64   the address of the caller
;;   96   the value of a call
;;
;; Call data of main
;;   d0e30db0                 deposit(): the value that comes along
;;   2e1a7d4d amount          withdraw(amount)
;;   853828b6                 withdrawAll()
;;   a9059cbb address amount  transfer(address, amount)
;;   70a08231 address         balanceOf(address), answered with an i64

(module $wrapped
  (import "ethereum" "call" (func $call (param i64 i32 i32 i32 i32) (result i32)))
  (import "ethereum" "callDataCopy" (func $callDataCopy (param i32 i32 i32)))
  (import "ethereum" "finish" (func $finish (param i32 i32)))
  (import "ethereum" "getCallDataSize" (func $getCallDataSize (result i32)))
  (import "ethereum" "getCallValue" (func $getCallValue (param i32)))
  (import "ethereum" "getCaller" (func $getCaller (param i32)))
  (import "ethereum" "revert" (func $revert (param i32 i32)))
  (import "storage" "addresses" (memory $addresses 1))
  (import "storage" "amounts" (memory $amounts 1))
  (memory $memory (export "memory") 1)

  ;; Gives up and undoes this call where the condition does not hold.
  (func $require (param $condition i32)
    (if (i32.eqz (local.get $condition))
      (then (call $revert (i32.const 0) (i32.const 0)))))

  ;; Four bytes of working memory, the most significant first.
  (func $big32 (param $at i32) (result i32)
    (local $x i32)
    (local.set $x (i32.load $memory (local.get $at)))
    (i32.or
      (i32.and (i32.rotr (local.get $x) (i32.const 8)) (i32.const 0xff00ff00))
      (i32.and (i32.rotl (local.get $x) (i32.const 8)) (i32.const 0x00ff00ff))))

  ;; Eight bytes likewise.
  (func $big64 (param $at i32) (result i64)
    (i64.or
      (i64.shl (i64.extend_i32_u (call $big32 (local.get $at))) (i64.const 32))
      (i64.extend_i32_u (call $big32 (i32.add (local.get $at) (i32.const 4))))))

  ;; Where the amount of the account stands whose address is in working memory; a new one is added.
  (func $slot (param $at i32) (result i32)
    (local $n i32) (local $row i32)
    (block $none
      (loop $next
        (local.set $row (i32.mul (local.get $n) (i32.const 32)))
        (call $require (i32.lt_u (local.get $n) (i32.const 64)))
        (br_if $none (i32.eqz (i32.load $addresses offset=20 (local.get $row))))
        (if (i32.and
              (i32.and
                (i64.eq (i64.load $addresses (local.get $row)) (i64.load $memory (local.get $at)))
                (i64.eq (i64.load $addresses offset=8 (local.get $row)) (i64.load $memory offset=8 (local.get $at))))
              (i32.eq (i32.load $addresses offset=16 (local.get $row)) (i32.load $memory offset=16 (local.get $at))))
          (then (return (i32.mul (local.get $n) (i32.const 8)))))
        (local.set $n (i32.add (local.get $n) (i32.const 1)))
        (br $next)))
    (i64.store $addresses (local.get $row) (i64.load $memory (local.get $at)))
    (i64.store $addresses offset=8 (local.get $row) (i64.load $memory offset=8 (local.get $at)))
    (i32.store $addresses offset=16 (local.get $row) (i32.load $memory offset=16 (local.get $at)))
    (i32.store $addresses offset=20 (local.get $row) (i32.const 1))
    (i32.mul (local.get $n) (i32.const 8)))

  ;; Takes an amount off an account, which has to have it.
  (func $take (param $at i32) (param $amount i64)
    (call $require
      (i32.and
        (i64.gt_s (local.get $amount) (i64.const 0))
        (i64.le_s (local.get $amount) (i64.load $amounts (local.get $at)))))
    (i64.store $amounts (local.get $at) (i64.sub (i64.load $amounts (local.get $at)) (local.get $amount))))

  (func $add (param $at i32) (param $amount i64)
    (i64.store $amounts (local.get $at) (i64.add (i64.load $amounts (local.get $at)) (local.get $amount))))

  ;; Pays the caller, who is called; where that fails, so does this call.
  (func $pay_caller (param $amount i64)
    (i64.store $memory (i32.const 96) (local.get $amount))
    (i64.store $memory (i32.const 104) (i64.const 0))
    (call $require
      (i32.eqz
        (call $call (i64.const 0x7fffffffffffffff) (i32.const 64) (i32.const 96) (i32.const 0) (i32.const 0)))))

  (func $deposit
    (call $getCallValue (i32.const 96))
    (call $add (call $slot (i32.const 64)) (i64.load $memory (i32.const 96))))

  (func $withdraw (param $amount i64)
    (call $take (call $slot (i32.const 64)) (local.get $amount))
    (call $pay_caller (local.get $amount)))

  (func $withdraw_all
    (local $at i32) (local $amount i64)
    (local.set $at (call $slot (i32.const 64)))
    (call $require (i64.gt_s (i64.load $amounts (local.get $at)) (i64.const 0)))
    (call $pay_caller (i64.load $amounts (local.get $at)))
    (i64.store $amounts (local.get $at) (i64.const 0)))

  (func $transfer (param $amount i64)
    (call $take (call $slot (i32.const 64)) (local.get $amount))
    (call $add (call $slot (i32.const 4)) (local.get $amount)))

  (func $balance_of
    (i64.store $memory (i32.const 96) (i64.load $amounts (call $slot (i32.const 4))))
    (call $finish (i32.const 96) (i32.const 8)))

  (func $main (export "main")
    (local $selector i32)
    (call $require (i32.le_u (call $getCallDataSize) (i32.const 32)))
    (call $callDataCopy (i32.const 0) (i32.const 0) (call $getCallDataSize))
    (call $getCaller (i32.const 64))
    (local.set $selector (call $big32 (i32.const 0)))
    (if (i32.eq (local.get $selector) (i32.const 0xd0e30db0)) (then (call $deposit) (return)))
    (if (i32.eq (local.get $selector) (i32.const 0x2e1a7d4d))
      (then (call $withdraw (call $big64 (i32.const 4))) (return)))
    (if (i32.eq (local.get $selector) (i32.const 0x853828b6)) (then (call $withdraw_all) (return)))
    (if (i32.eq (local.get $selector) (i32.const 0xa9059cbb))
      (then (call $transfer (call $big64 (i32.const 24))) (return)))
    (if (i32.eq (local.get $selector) (i32.const 0x70a08231)) (then (call $balance_of) (return)))
    (call $revert (i32.const 0) (i32.const 0))))
