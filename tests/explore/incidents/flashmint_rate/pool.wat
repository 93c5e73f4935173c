;; Buys and sells wrapped money, of which it has some, for money at the rate that the wrapper says.
;; Methods: main, with a value and the least number of shares (u32, little-endian): buys; without data: a gift.
;; sell(n, least) sells

(module $pool
  (import "contract:wrapped" "rate" (func $wrapped.rate (result i64)))
  (import "contract:wrapped" "move" (func $wrapped.move (param i64 i64)))
  (import "contract:wrapped" "pull" (func $wrapped.pull (param i64 i64)))
  (import "ethereum" "getCaller" (func $eth_getCaller (param i32)))
  (import "ethereum" "revert" (func $eth_revert (param i32 i32)))
  (import "ethereum" "call" (func $eth_call (param i64 i32 i32 i32 i32) (result i32)))
  (import "ethereum" "getCallValue" (func $eth_getCallValue (param i32)))
  (import "ethereum" "getCallDataSize" (func $eth_getCallDataSize (result i32)))
  (import "ethereum" "callDataCopy" (func $eth_callDataCopy (param i32 i32 i32)))
  (memory $memory (export "memory") 3)

  (func $require (param $condition i32)
    (if (i32.eqz (local.get $condition))
      (then (call $eth_revert (i32.const 0) (i32.const 0)))))

  (func $_me (result i64)
    (local $i i64)
    (local $x i64)
    (call $eth_getCaller (i32.const 0))
    (local.set $x (i64.const 0))
    (local.set $i (i64.const 12))
    (block $end6
      (loop $again6
        (br_if $end6 (i32.eqz (i64.lt_s (local.get $i) (i64.const 20))))
        (local.set $x (i64.or (i64.shl (local.get $x) (i64.const 8)) (i64.load8_u $memory (i32.wrap_i64 (local.get $i)))))
        (local.set $i (i64.add (local.get $i) (i64.const 1)))
        (br $again6)))
    (return (local.get $x)))

  (func $_pay (param $who i64) (param $amount i64)
    (call $require (i64.eq (call $_send (local.get $who) (local.get $amount) (i64.const 0) (i64.const 0)) (i64.const 0))))

  (func $_send (param $who i64) (param $amount i64) (param $data i64) (param $length i64) (result i64)
    (call $_to (local.get $who))
    (i64.store $memory (i32.const 32) (local.get $amount))
    (i64.store $memory (i32.const 40) (i64.const 0))
    (return (i64.extend_i32_u (call $eth_call (i64.const 9223372036854775807) (i32.const 0) (i32.const 32) (i32.wrap_i64 (local.get $data)) (i32.wrap_i64 (local.get $length))))))

  (func $_to (param $who i64)
    (local $i i64)
    (i64.store $memory (i32.const 0) (i64.const 0))
    (i64.store $memory (i32.const 8) (i64.const 0))
    (i64.store32 $memory (i32.const 16) (i64.const 0))
    (local.set $i (i64.const 19))
    (block $end19
      (loop $again19
        (br_if $end19 (i32.eqz (i64.ge_s (local.get $i) (i64.const 12))))
        (i64.store8 $memory (i32.wrap_i64 (local.get $i)) (i64.and (local.get $who) (i64.const 255)))
        (local.set $who (i64.shr_u (local.get $who) (i64.const 8)))
        (local.set $i (i64.sub (local.get $i) (i64.const 1)))
        (br $again19))))

  (func $_value (result i64)
    (call $eth_getCallValue (i32.const 32))
    (call $require (if (result i32) (if (result i32) (i64.eq (i64.load $memory (i32.const 40)) (i64.const 0)) (then (i64.ge_s (i64.load $memory (i32.const 32)) (i64.const 0))) (else (i32.const 0))) (then (i64.le_s (i64.load $memory (i32.const 32)) (i64.const 1099511627776))) (else (i32.const 0))))
    (return (i64.load $memory (i32.const 32))))

  (func $main (export "main")
    (local $least i64)
    (local $n i64)
    (local $v i64)
    (local.set $v (call $_value ))
    (if (i64.eq (i64.extend_i32_u (call $eth_getCallDataSize )) (i64.const 0))
      (then
        (return)))
    (call $require (i64.eq (i64.extend_i32_u (call $eth_getCallDataSize )) (i64.const 4)))
    (call $eth_callDataCopy (i32.const 64) (i32.const 0) (i32.const 4))
    (local.set $least (i64.load32_u $memory (i32.const 64)))
    (local.set $n (i64.div_s (i64.mul (local.get $v) (i64.const 1000000)) (call $wrapped.rate )))
    (call $require (if (result i32) (i64.gt_s (local.get $n) (i64.const 0)) (then (i64.ge_s (local.get $n) (local.get $least))) (else (i32.const 0))))
    (call $wrapped.move (call $_me ) (local.get $n)))

  (func $sell (export "sell") (param $n i64) (param $least i64)
    (local $amount i64)
    (local $me i64)
    (call $require (if (result i32) (i64.gt_s (local.get $n) (i64.const 0)) (then (i64.le_s (local.get $n) (i64.const 1000000000))) (else (i32.const 0))))
    (local.set $amount (i64.div_s (i64.mul (local.get $n) (call $wrapped.rate )) (i64.const 1000000)))
    (call $require (if (result i32) (i64.ge_s (local.get $amount) (local.get $least)) (then (i64.gt_s (local.get $amount) (i64.const 0))) (else (i32.const 0))))
    (local.set $me (call $_me ))
    (call $wrapped.pull (local.get $me) (local.get $n))
    (call $_pay (local.get $me) (local.get $amount))))
