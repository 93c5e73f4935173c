;; A vault of money. `main` takes call data of Ethereum's binary interface:
;;   deposit() 0xd0e30db0, with a value; withdraw(uint256 shares) 0x2e1a7d4d; price() 0xa035b1fe -> uint256, a million is 1
;; Storage: 0 lock (a byte); 8 assets i64; 16 shares i64; 256 128 rows of 16 bytes by probing: account i64, shares i64

(module $vault
  (import "ethereum" "getCaller" (func $eth_getCaller (param i32)))
  (import "ethereum" "revert" (func $eth_revert (param i32 i32)))
  (import "ethereum" "call" (func $eth_call (param i64 i32 i32 i32 i32) (result i32)))
  (import "ethereum" "getCallValue" (func $eth_getCallValue (param i32)))
  (import "ethereum" "getCallDataSize" (func $eth_getCallDataSize (result i32)))
  (import "ethereum" "callDataCopy" (func $eth_callDataCopy (param i32 i32 i32)))
  (import "ethereum" "finish" (func $eth_finish (param i32 i32)))
  (import "storage" "load_i32_8_u" (func $load_i32_8_u (param i32) (result i32)))
  (import "storage" "load_i64" (func $load_i64 (param i32) (result i64)))
  (import "storage" "store_i32_8" (func $store_i32_8 (param i32 i32)))
  (import "storage" "store_i64" (func $store_i64 (param i32 i64)))
  (memory $memory (export "memory") 3)

  (func $require (param $condition i32)
    (if (i32.eqz (local.get $condition))
      (then (call $eth_revert (i32.const 0) (i32.const 0)))))

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
    (if (i64.eq (local.get $s) (i64.const 3504541104))
      (then
        (call $_deposit ))
      (else
        (if (i64.eq (local.get $s) (i64.const 773487949))
          (then
            (call $_withdraw ))
          (else
            (call $require (i64.eq (local.get $s) (i64.const 2687873534)))
            (call $_price ))))))

  (func $_key (param $who i64) (result i64)
    (local $i i64)
    (local $n i64)
    (call $require (i64.gt_s (local.get $who) (i64.const 0)))
    (local.set $i (i64.and (i64.xor (local.get $who) (i64.shr_u (local.get $who) (i64.const 5))) (i64.const 127)))
    (local.set $n (i64.const 0))
    (block $end28
      (loop $again28
        (br_if $end28 (i32.eqz (i64.ne (call $load_i64 (i32.wrap_i64 (i64.add (i64.const 256) (i64.mul (local.get $i) (i64.const 16))))) (local.get $who))))
        (if (i64.eq (call $load_i64 (i32.wrap_i64 (i64.add (i64.const 256) (i64.mul (local.get $i) (i64.const 16))))) (i64.const 0))
          (then
            (call $store_i64 (i32.wrap_i64 (i64.add (i64.const 256) (i64.mul (local.get $i) (i64.const 16)))) (local.get $who)))
          (else
            (local.set $i (i64.and (i64.add (local.get $i) (i64.const 1)) (i64.const 127)))
            (local.set $n (i64.add (local.get $n) (i64.const 1)))
            (call $require (i64.lt_s (local.get $n) (i64.const 128)))))
        (br $again28)))
    (return (i64.add (i64.const 264) (i64.mul (local.get $i) (i64.const 16)))))

  (func $_deposit
    (local $k i64)
    (local $n i64)
    (local $v i64)
    (call $require (i64.eq (i64.extend_i32_u (call $load_i32_8_u (i32.const 0))) (i64.const 0)))
    (local.set $v (call $_value ))
    (local.set $n (local.get $v))
    (if (i64.gt_s (call $load_i64 (i32.const 16)) (i64.const 0))
      (then
        (local.set $n (i64.div_s (i64.mul (local.get $v) (call $load_i64 (i32.const 16))) (call $load_i64 (i32.const 8))))))
    (call $require (if (result i32) (i64.gt_s (local.get $n) (i64.const 0)) (then (i64.lt_s (i64.add (call $load_i64 (i32.const 8)) (local.get $v)) (i64.const 2147483648))) (else (i32.const 0))))
    (call $store_i64 (i32.const 8) (i64.add (call $load_i64 (i32.const 8)) (local.get $v)))
    (call $store_i64 (i32.const 16) (i64.add (call $load_i64 (i32.const 16)) (local.get $n)))
    (local.set $k (call $_key (call $_me )))
    (call $store_i64 (i32.wrap_i64 (local.get $k)) (i64.add (call $load_i64 (i32.wrap_i64 (local.get $k))) (local.get $n))))

  (func $_withdraw
    (local $amount i64)
    (local $k i64)
    (local $me i64)
    (local $n i64)
    (call $require (i64.eq (i64.extend_i32_u (call $load_i32_8_u (i32.const 0))) (i64.const 0)))
    (call $store_i32_8 (i32.const 0) (i32.const 1))
    (local.set $n (call $_arg ))
    (local.set $me (call $_me ))
    (local.set $k (call $_key (local.get $me)))
    (call $require (if (result i32) (i64.gt_s (local.get $n) (i64.const 0)) (then (i64.le_s (local.get $n) (call $load_i64 (i32.wrap_i64 (local.get $k))))) (else (i32.const 0))))
    (local.set $amount (i64.div_s (i64.mul (local.get $n) (call $load_i64 (i32.const 8))) (call $load_i64 (i32.const 16))))
    (call $store_i64 (i32.const 8) (i64.sub (call $load_i64 (i32.const 8)) (local.get $amount)))
    (call $_pay (local.get $me) (local.get $amount))
    (call $store_i64 (i32.const 16) (i64.sub (call $load_i64 (i32.const 16)) (local.get $n)))
    (call $store_i64 (i32.wrap_i64 (local.get $k)) (i64.sub (call $load_i64 (i32.wrap_i64 (local.get $k))) (local.get $n)))
    (call $store_i32_8 (i32.const 0) (i32.const 0)))

  (func $_price
    (local $p i64)
    (local.set $p (i64.const 1000000))
    (if (i64.gt_s (call $load_i64 (i32.const 16)) (i64.const 0))
      (then
        (local.set $p (i64.div_s (i64.mul (call $load_i64 (i32.const 8)) (i64.const 1000000)) (call $load_i64 (i32.const 16))))))
    (i64.store $memory (i32.const 64) (i64.const 0))
    (i64.store $memory (i32.const 72) (i64.const 0))
    (i64.store $memory (i32.const 80) (i64.const 0))
    (call $_be_set (i64.const 88) (i64.const 8) (local.get $p))
    (call $eth_finish (i32.const 64) (i32.const 32))))
