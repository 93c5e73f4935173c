;; A pool that gives two silver for a gold, to the router only: amount u64 (big-endian), payer 20 bytes.

(module $pool
  (import "contract:silver" "move" (func $silver.move (param i64 i64)))
  (import "contract:gold" "balance" (func $gold.balance (param i64) (result i64)))
  (import "ethereum" "getCaller" (func $eth_getCaller (param i32)))
  (import "ethereum" "call" (func $eth_call (param i64 i32 i32 i32 i32) (result i32)))
  (import "ethereum" "getCallDataSize" (func $eth_getCallDataSize (result i32)))
  (import "ethereum" "revert" (func $eth_revert (param i32 i32)))
  (import "ethereum" "callDataCopy" (func $eth_callDataCopy (param i32 i32 i32)))
  (memory $memory (export "memory") 3)

  (func $require (param $condition i32)
    (if (i32.eqz (local.get $condition))
      (then (call $eth_revert (i32.const 0) (i32.const 0)))))

  (func $_be (param $at i64) (param $n i64) (result i64)
    (local $i i64)
    (local $x i64)
    (local.set $x (i64.const 0))
    (local.set $i (i64.const 0))
    (block $end37
      (loop $again37
        (br_if $end37 (i32.eqz (i64.lt_s (local.get $i) (local.get $n))))
        (local.set $x (i64.or (i64.shl (local.get $x) (i64.const 8)) (i64.load8_u $memory (i32.wrap_i64 (i64.add (local.get $at) (local.get $i))))))
        (local.set $i (i64.add (local.get $i) (i64.const 1)))
        (br $again37)))
    (return (local.get $x)))

  (func $_be_set (param $at i64) (param $n i64) (param $x i64)
    (local $i i64)
    (local.set $i (i64.sub (local.get $n) (i64.const 1)))
    (block $end43
      (loop $again43
        (br_if $end43 (i32.eqz (i64.ge_s (local.get $i) (i64.const 0))))
        (i64.store8 $memory (i32.wrap_i64 (i64.add (local.get $at) (local.get $i))) (i64.and (local.get $x) (i64.const 255)))
        (local.set $x (i64.shr_u (local.get $x) (i64.const 8)))
        (local.set $i (i64.sub (local.get $i) (i64.const 1)))
        (br $again43))))

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

  (func $main (export "main")
    (local $amount i64)
    (local $had i64)
    (local $payer i64)
    (if (i64.eq (i64.extend_i32_u (call $eth_getCallDataSize )) (i64.const 0))
      (then
        (return)))
    (call $require (if (result i32) (i64.eq (i64.extend_i32_u (call $eth_getCallDataSize )) (i64.const 28)) (then (i64.eq (call $_me ) (i64.const 32))) (else (i32.const 0))))
    (call $eth_callDataCopy (i32.const 128) (i32.const 0) (i32.const 28))
    (local.set $amount (call $_be (i64.const 128) (i64.const 8)))
    (local.set $payer (call $_be (i64.const 148) (i64.const 8)))
    (call $require (i64.lt_s (local.get $amount) (i64.const 1000000)))
    (call $silver.move (local.get $payer) (i64.mul (local.get $amount) (i64.const 2)))
    (local.set $had (call $gold.balance (i64.const 36)))
    (i64.store8 $memory (i32.const 160) (i64.const 2))
    (call $_be_set (i64.const 161) (i64.const 8) (local.get $amount))
    (i64.store $memory (i32.const 169) (i64.const 0))
    (i64.store32 $memory (i32.const 177) (i64.const 0))
    (call $_be_set (i64.const 181) (i64.const 8) (local.get $payer))
    (call $require (i64.eq (call $_send (i64.const 32) (i64.const 0) (i64.const 160) (i64.const 29)) (i64.const 0)))
    (call $require (i64.ge_s (i64.sub (call $gold.balance (i64.const 36)) (local.get $had)) (local.get $amount)))))
