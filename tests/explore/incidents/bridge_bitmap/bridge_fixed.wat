;; The far end of a bridge, and the near one. `main` takes a selector of 8 bytes, little-endian, and
;;   0x53454e4400000001  receiver 20 bytes, with a value: a message that brings the value to the receiver
;;   0x44454c4900000002  number u16 (big-endian): delivers a message, for a hundredth, and calls the receiver (two bytes)
;; Each message is delivered once.
;; Storage: 0 messages i32; 8 one bit for each that is delivered; 128 + i a byte for each that is under way;
;; 1024 + 32*i the receiver (20 bytes), and at 24 the value i64

(module $bridge
  (import "ethereum" "getCaller" (func $eth_getCaller (param i32)))
  (import "ethereum" "revert" (func $eth_revert (param i32 i32)))
  (import "ethereum" "call" (func $eth_call (param i64 i32 i32 i32 i32) (result i32)))
  (import "ethereum" "getCallValue" (func $eth_getCallValue (param i32)))
  (import "ethereum" "getCallDataSize" (func $eth_getCallDataSize (result i32)))
  (import "ethereum" "callDataCopy" (func $eth_callDataCopy (param i32 i32 i32)))
  ;; @storage
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
    (local $s i64)
    (call $require (i64.ge_s (i64.extend_i32_u (call $eth_getCallDataSize )) (i64.const 8)))
    (call $eth_callDataCopy (i32.const 64) (i32.const 0) (i32.const 8))
    (local.set $s (i64.load $memory (i32.const 64)))
    (if (i64.eq (local.get $s) (i64.const 6000288132505796609))
      (then
        (call $_post ))
      (else
        (call $require (i64.eq (local.get $s) (i64.const 4919422044388458498)))
        (call $_deliver ))))

  (func $_post
    (local $at i64)
    (local $i i64)
    (local $v i64)
    (call $require (i64.eq (i64.extend_i32_u (call $eth_getCallDataSize )) (i64.const 28)))
    (local.set $v (call $_value ))
    (local.set $i (i64.extend_i32_u (call $load_i32 (i32.const 0))))
    (call $require (if (result i32) (i64.ge_s (local.get $v) (i64.const 100)) (then (i64.lt_s (local.get $i) (i64.const 64))) (else (i32.const 0))))
    (call $store_i32 (i32.const 0) (i32.wrap_i64 (i64.add (local.get $i) (i64.const 1))))
    (local.set $at (i64.add (i64.const 1024) (i64.mul (local.get $i) (i64.const 32))))
    (call $eth_callDataCopy (i32.const 96) (i32.const 8) (i32.const 20))
    (call $store_i64 (i32.wrap_i64 (local.get $at)) (i64.load $memory (i32.const 96)))
    (call $store_i64 (i32.wrap_i64 (i64.add (local.get $at) (i64.const 8))) (i64.load $memory (i32.const 104)))
    (call $store_i32 (i32.wrap_i64 (i64.add (local.get $at) (i64.const 16))) (i32.wrap_i64 (i64.load32_u $memory (i32.const 112))))
    (call $store_i64 (i32.wrap_i64 (i64.add (local.get $at) (i64.const 24))) (local.get $v)))

  (func $_deliver
    (local $at i64)
    (local $fee i64)
    (local $flags i64)
    (local $i i64)
    (local $me i64)
    (call $require (i64.eq (i64.extend_i32_u (call $eth_getCallDataSize )) (i64.const 10)))
    (call $eth_callDataCopy (i32.const 96) (i32.const 8) (i32.const 2))
    (local.set $i (call $_be (i64.const 96) (i64.const 2)))
    (call $require (i64.lt_s (local.get $i) (i64.extend_i32_u (call $load_i32 (i32.const 0)))))
    (local.set $flags (call $load_i64 (i32.const 8)))
    (call $require (i64.eq (i64.and (i64.shr_u (local.get $flags) (local.get $i)) (i64.const 1)) (i64.const 0)))
    (call $require (i64.eq (i64.extend_i32_u (call $load_u8 (i32.wrap_i64 (i64.add (i64.const 128) (local.get $i))))) (i64.const 0)))
    (call $store_u8 (i32.wrap_i64 (i64.add (i64.const 128) (local.get $i))) (i32.const 1))
    (local.set $me (call $_me ))
    (local.set $at (i64.add (i64.const 1024) (i64.mul (local.get $i) (i64.const 32))))
    (local.set $fee (i64.div_s (call $load_i64 (i32.wrap_i64 (i64.add (local.get $at) (i64.const 24)))) (i64.const 100)))
    (i64.store $memory (i32.const 0) (call $load_i64 (i32.wrap_i64 (local.get $at))))
    (i64.store $memory (i32.const 8) (call $load_i64 (i32.wrap_i64 (i64.add (local.get $at) (i64.const 8)))))
    (i64.store32 $memory (i32.const 16) (i64.extend_i32_u (call $load_i32 (i32.wrap_i64 (i64.add (local.get $at) (i64.const 16))))))
    (i64.store $memory (i32.const 32) (i64.sub (call $load_i64 (i32.wrap_i64 (i64.add (local.get $at) (i64.const 24)))) (local.get $fee)))
    (i64.store $memory (i32.const 40) (i64.const 0))
    (call $require (i64.eq (i64.extend_i32_u (call $eth_call (i64.const 9223372036854775807) (i32.const 0) (i32.const 32) (i32.const 96) (i32.const 2))) (i64.const 0)))
    (call $store_i64 (i32.const 8) (i64.or (call $load_i64 (i32.const 8)) (i64.shl (i64.const 1) (local.get $i))))
    (call $store_u8 (i32.wrap_i64 (i64.add (i64.const 128) (local.get $i))) (i32.const 0))
    (call $_pay (local.get $me) (local.get $fee))))
