;; Takes a list of deposits at once, and gives shares for the dollars that came in all in all.
;;
;; Storage
;;   0             i64  lock
;;   512 + 8*who   i64  the shares of account `who`
;;
;; Call data of main, little-endian
;;   n i64, then n times: the address of a token, 20 bytes, and an amount, i64
;;
;; Methods
;;   withdraw(n)
;;
;; Calls
;;   main of each token: from whom, how much

(module $savings
  (import "contract:dai" "balance" (func $dai.balance (param i64) (result i64)))
  (import "contract:dai" "pay_out" (func $dai.pay_out (param i64 i64)))
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

  (func $shares (param $key i64) (result i32)
    (i32.add
      (i32.const 512)
      (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 255)))))

  (func $main (export "main")
    (local $n i64) (local $earlier i64) (local $k i64)
    (local.set $n (call $data (i32.const 0)))
    (call $require (i32.and (i64.gt_s (local.get $n) (i64.const 0)) (i64.le_s (local.get $n) (i64.const 8))))
    (local.set $earlier (call $dai.balance (i64.const 161)))
    (local.set $k (i64.const 0))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (i64.lt_s (local.get $k) (local.get $n))))
        (call $_collect (i64.add (i64.const 8) (i64.mul (i64.const 28) (local.get $k))))
        (local.set $k (i64.add (local.get $k) (i64.const 1)))
        (br $next)))
    (call $store_i64
      (call $shares (call $me))
      (i64.add
        (call $load_i64 (call $shares (call $me)))
        (i64.sub (call $dai.balance (i64.const 161)) (local.get $earlier)))))

  (func $_collect (param $at i64)
    (local $token i64)
    (local.set $token (call $data_address (i32.wrap_i64 (local.get $at))))
    (call $put (i32.const 0) (call $me))
    (call $put (i32.const 8) (call $data (i32.wrap_i64 (i64.add (local.get $at) (i64.const 20)))))
    (call $require (i32.eq (call $ask (local.get $token) (i64.const 0) (i32.const 16)) (i32.const 0))))

  (func $withdraw (export "withdraw") (param $n i64)
    (call $require
      (i32.and
        (i64.gt_s (local.get $n) (i64.const 0))
        (i64.le_s (local.get $n) (call $load_i64 (call $shares (call $me))))))
    (call $store_i64
      (call $shares (call $me))
      (i64.sub (call $load_i64 (call $shares (call $me))) (local.get $n)))
    (call $dai.pay_out (call $me) (local.get $n))))
