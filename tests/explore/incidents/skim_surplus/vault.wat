;; A vault of money. Who withdraws may name a referrer, who gets a fiftieth. What came in without a deposit is anybody's.
;;
;; Storage
;;   0         i32  lock
;;   64        64 rows of 16 bytes, by linear probing: account + 1 i64 (the last 8 bytes of its address), balance i64
;;   4096      i64  what is owed to all
;;
;; Methods
;;   deposit(), withdraw(amount, referrer), skim(to), owed() -> i64

(module $vault
  (import "ethereum" "getAddress" (func $eth_getAddress (param i32)))
  (import "ethereum" "getExternalBalance" (func $eth_getExternalBalance (param i32 i32)))
  (import "ethereum" "revert" (func $eth_revert (param i32 i32)))
  (import "ethereum" "call" (func $eth_call (param i64 i32 i32 i32 i32) (result i32)))
  (import "ethereum" "getCaller" (func $eth_getCaller (param i32)))
  (import "ethereum" "getCallValue" (func $eth_getCallValue (param i32)))
  ;; @storage
  (memory $memory (export "memory") 3)

  (func $require (param $condition i32)
    (if (i32.eqz (local.get $condition))
      (then (call $eth_revert (i32.const 0) (i32.const 0)))))

  (func $_balance (result i64)
    (call $eth_getAddress (i32.const 0))
    (call $eth_getExternalBalance (i32.const 0) (i32.const 32))
    (return (i64.load $memory (i32.const 32))))

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

  (func $_value (result i64)
    (call $eth_getCallValue (i32.const 32))
    (call $require (if (result i32) (if (result i32) (i64.eq (i64.load $memory (i32.const 40)) (i64.const 0)) (then (i64.ge_s (i64.load $memory (i32.const 32)) (i64.const 0))) (else (i32.const 0))) (then (i64.le_s (i64.load $memory (i32.const 32)) (i64.const 1099511627776))) (else (i32.const 0))))
    (return (i64.load $memory (i32.const 32))))

  (func $main (export "main"))

  (func $_row (param $who i64) (result i64)
    (local $i i64)
    (local $n i64)
    (call $require (i64.ge_s (local.get $who) (i64.const 0)))
    (local.set $i (i64.and (i64.mul (local.get $who) (i64.const 40503)) (i64.const 63)))
    (local.set $n (i64.const 0))
    (block $end11
      (loop $again11
        (br_if $end11 (i32.eqz (i64.ne (call $load_i64 (i32.wrap_i64 (i64.add (i64.const 64) (i64.mul (local.get $i) (i64.const 16))))) (i64.add (local.get $who) (i64.const 1)))))
        (if (i64.eq (call $load_i64 (i32.wrap_i64 (i64.add (i64.const 64) (i64.mul (local.get $i) (i64.const 16))))) (i64.const 0))
          (then
            (call $store_i64 (i32.wrap_i64 (i64.add (i64.const 64) (i64.mul (local.get $i) (i64.const 16)))) (i64.add (local.get $who) (i64.const 1))))
          (else
            (local.set $i (i64.and (i64.add (local.get $i) (i64.const 1)) (i64.const 63)))
            (local.set $n (i64.add (local.get $n) (i64.const 1)))
            (call $require (i64.lt_s (local.get $n) (i64.const 64)))))
        (br $again11)))
    (return (i64.add (i64.const 64) (i64.mul (local.get $i) (i64.const 16)))))

  (func $deposit (export "deposit")
    (local $r i64)
    (local $v i64)
    (call $require (i64.eq (i64.extend_i32_u (call $load_i32 (i32.const 0))) (i64.const 0)))
    (local.set $v (call $_value ))
    (call $require (i64.gt_s (local.get $v) (i64.const 0)))
    (local.set $r (call $_row (call $_me )))
    (call $store_i64 (i32.wrap_i64 (i64.add (local.get $r) (i64.const 8))) (i64.add (call $load_i64 (i32.wrap_i64 (i64.add (local.get $r) (i64.const 8)))) (local.get $v)))
    (call $store_i64 (i32.const 4096) (i64.add (call $load_i64 (i32.const 4096)) (local.get $v))))

  (func $withdraw (export "withdraw") (param $amount i64) (param $referrer i64)
    (local $fee i64)
    (local $me i64)
    (local $r i64)
    (call $require (i64.eq (i64.extend_i32_u (call $load_i32 (i32.const 0))) (i64.const 0)))
    (call $store_i32 (i32.const 0) (i32.const 1))
    (local.set $me (call $_me ))
    (local.set $r (call $_row (local.get $me)))
    (call $require (if (result i32) (i64.gt_s (local.get $amount) (i64.const 0)) (then (i64.le_s (local.get $amount) (call $load_i64 (i32.wrap_i64 (i64.add (local.get $r) (i64.const 8)))))) (else (i32.const 0))))
    (call $store_i64 (i32.wrap_i64 (i64.add (local.get $r) (i64.const 8))) (i64.sub (call $load_i64 (i32.wrap_i64 (i64.add (local.get $r) (i64.const 8)))) (local.get $amount)))
    (call $store_i64 (i32.const 4096) (i64.sub (call $load_i64 (i32.const 4096)) (local.get $amount)))
    (local.set $fee (i64.div_s (local.get $amount) (i64.const 50)))
    (if (if (result i32) (i64.gt_s (local.get $fee) (i64.const 0)) (then (i64.ne (local.get $referrer) (i64.const 0))) (else (i32.const 0)))
      (then
        (call $_pay (local.get $referrer) (local.get $fee))
        (call $_pay (local.get $me) (i64.sub (local.get $amount) (local.get $fee))))
      (else
        (call $_pay (local.get $me) (local.get $amount))))
    (call $store_i32 (i32.const 0) (i32.const 0)))

  (func $skim (export "skim") (param $to i64)
    (local $surplus i64)
    (local.set $surplus (i64.sub (call $_balance ) (call $load_i64 (i32.const 4096))))
    (call $require (i64.gt_s (local.get $surplus) (i64.const 0)))
    (call $_pay (local.get $to) (local.get $surplus)))

  (func $owed (export "owed") (result i64)
    (return (call $load_i64 (i32.const 4096)))))
