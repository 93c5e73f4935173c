;; Cover against a fall of the vault's price below 95 %. `main` takes call data of Ethereum's binary interface:
;;   buy() 0xa6f2ae3a, with a value: the premium, a tenth of the cover; claim(uint256 policy) 0x379607f5
;; Storage: 0 policies i32; 8 what is covered i64; 64 + 16*id who holds policy `id` i64, its cover i64

(module $cover
  (import "ethereum" "getCaller" (func $eth_getCaller (param i32)))
  (import "ethereum" "revert" (func $eth_revert (param i32 i32)))
  (import "ethereum" "call" (func $eth_call (param i64 i32 i32 i32 i32) (result i32)))
  (import "ethereum" "getAddress" (func $eth_getAddress (param i32)))
  (import "ethereum" "getExternalBalance" (func $eth_getExternalBalance (param i32 i32)))
  (import "ethereum" "getCallValue" (func $eth_getCallValue (param i32)))
  (import "ethereum" "getCallDataSize" (func $eth_getCallDataSize (result i32)))
  (import "ethereum" "callDataCopy" (func $eth_callDataCopy (param i32 i32 i32)))
  (import "ethereum" "callStatic" (func $eth_callStatic (param i64 i32 i32 i32) (result i32)))
  (import "ethereum" "getReturnDataSize" (func $eth_getReturnDataSize (result i32)))
  (import "ethereum" "returnDataCopy" (func $eth_returnDataCopy (param i32 i32 i32)))
  (import "storage" "memory" (memory $storage 1))
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

  (func $_pay (param $who i64) (param $amount i64)
    (call $require (i64.eq (call $_send (local.get $who) (local.get $amount) (i64.const 0) (i64.const 0)) (i64.const 0))))

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

  (func $_send (param $who i64) (param $amount i64) (param $data i64) (param $length i64) (result i64)
    (call $_to (local.get $who))
    (i64.store $memory (i32.const 32) (local.get $amount))
    (i64.store $memory (i32.const 40) (i64.const 0))
    (return (i64.extend_i32_u (call $eth_call (i64.const 9223372036854775807) (i32.const 0) (i32.const 32) (i32.wrap_i64 (local.get $data)) (i32.wrap_i64 (local.get $length))))))

  (func $_balance (result i64)
    (call $eth_getAddress (i32.const 0))
    (call $eth_getExternalBalance (i32.const 0) (i32.const 32))
    (return (i64.load $memory (i32.const 32))))

  (func $_value (result i64)
    (call $eth_getCallValue (i32.const 32))
    (call $require (if (result i32) (if (result i32) (i64.eq (i64.load $memory (i32.const 40)) (i64.const 0)) (then (i64.ge_s (i64.load $memory (i32.const 32)) (i64.const 0))) (else (i32.const 0))) (then (i64.le_s (i64.load $memory (i32.const 32)) (i64.const 1099511627776))) (else (i32.const 0))))
    (return (i64.load $memory (i32.const 32))))

  (func $_arg (result i64)
    (local $x i64)
    (call $require (i64.eq (i64.extend_i32_u (call $eth_getCallDataSize )) (i64.const 36)))
    (call $eth_callDataCopy (i32.const 64) (i32.const 4) (i32.const 32))
    (call $require (if (result i32) (if (result i32) (i64.eq (i64.load $memory (i32.const 64)) (i64.const 0)) (then (i64.eq (i64.load $memory (i32.const 72)) (i64.const 0))) (else (i32.const 0))) (then (i64.eq (i64.load $memory (i32.const 80)) (i64.const 0))) (else (i32.const 0))))
    (local.set $x (call $_be (i64.const 88) (i64.const 8)))
    (call $require (i64.ge_s (local.get $x) (i64.const 0)))
    (return (local.get $x)))

  (func $_selector (result i64)
    (call $require (i64.ge_s (i64.extend_i32_u (call $eth_getCallDataSize )) (i64.const 4)))
    (call $eth_callDataCopy (i32.const 64) (i32.const 0) (i32.const 4))
    (return (call $_be (i64.const 64) (i64.const 4))))

  (func $main (export "main")
    (local $s i64)
    (local.set $s (call $_selector ))
    (if (i64.eq (local.get $s) (i64.const 2800922170))
      (then
        (call $_buy ))
      (else
        (call $require (i64.eq (local.get $s) (i64.const 932579317)))
        (call $_claim ))))

  (func $_buy
    (local $id i64)
    (local $sum_insured i64)
    (local $v i64)
    (local.set $v (call $_value ))
    (call $require (if (result i32) (i64.ge_s (local.get $v) (i64.const 10)) (then (i64.lt_s (i64.load32_u $storage (i32.const 0)) (i64.const 1000))) (else (i32.const 0))))
    (local.set $sum_insured (i64.mul (local.get $v) (i64.const 10)))
    (call $require (i64.le_s (i64.add (i64.load $storage (i32.const 8)) (local.get $sum_insured)) (i64.sub (call $_balance ) (local.get $v))))
    (i64.store $storage (i32.const 8) (i64.add (i64.load $storage (i32.const 8)) (local.get $sum_insured)))
    (local.set $id (i64.load32_u $storage (i32.const 0)))
    (i64.store32 $storage (i32.const 0) (i64.add (local.get $id) (i64.const 1)))
    (i64.store $storage (i32.wrap_i64 (i64.add (i64.const 64) (i64.mul (local.get $id) (i64.const 16)))) (call $_me ))
    (i64.store $storage (i32.wrap_i64 (i64.add (i64.const 72) (i64.mul (local.get $id) (i64.const 16)))) (local.get $sum_insured)))

  (func $_claim
    (local $amount i64)
    (local $id i64)
    (local $me i64)
    (local.set $id (call $_arg ))
    (call $require (i64.lt_s (local.get $id) (i64.load32_u $storage (i32.const 0))))
    (local.set $me (call $_me ))
    (call $require (i64.eq (i64.load $storage (i32.wrap_i64 (i64.add (i64.const 64) (i64.mul (local.get $id) (i64.const 16))))) (local.get $me)))
    (call $_be_set (i64.const 128) (i64.const 4) (i64.const 2687873534))
    (call $_to (i64.const 32))
    (call $require (i64.eq (i64.extend_i32_u (call $eth_callStatic (i64.const 9223372036854775807) (i32.const 0) (i32.const 128) (i32.const 4))) (i64.const 0)))
    (call $require (i64.eq (i64.extend_i32_u (call $eth_getReturnDataSize )) (i64.const 32)))
    (call $eth_returnDataCopy (i32.const 160) (i32.const 0) (i32.const 32))
    (call $require (if (result i32) (if (result i32) (i64.eq (i64.load $memory (i32.const 160)) (i64.const 0)) (then (i64.eq (i64.load $memory (i32.const 168)) (i64.const 0))) (else (i32.const 0))) (then (i64.eq (i64.load $memory (i32.const 176)) (i64.const 0))) (else (i32.const 0))))
    (call $require (i64.lt_s (call $_be (i64.const 184) (i64.const 8)) (i64.const 950000)))
    (local.set $amount (i64.load $storage (i32.wrap_i64 (i64.add (i64.const 72) (i64.mul (local.get $id) (i64.const 16))))))
    (i64.store $storage (i32.wrap_i64 (i64.add (i64.const 64) (i64.mul (local.get $id) (i64.const 16)))) (i64.const 0))
    (i64.store $storage (i32.wrap_i64 (i64.add (i64.const 72) (i64.mul (local.get $id) (i64.const 16)))) (i64.const 0))
    (i64.store $storage (i32.const 8) (i64.sub (i64.load $storage (i32.const 8)) (local.get $amount)))
    (call $_pay (local.get $me) (local.get $amount))))
