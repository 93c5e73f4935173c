;; A bank with shares, which lends to strategies for the length of a call, for a thousandth. `main` takes call data:
;;   none                                                  a gift, or what a strategy gives back
;;   0x01, with a value                                    deposit
;;   0x02, strategy 20 bytes, loan u64 (little-endian)     lends the loan, and the value along with it, to the strategy,
;;                                                         which is called; what comes back beyond what is due is the caller's
;; Storage: 0 lock i32; 8 shares i64; 16 what is lent i64; 32 32 rows of 16 bytes by probing: account i64, shares i64
;; Methods: redeem(n); total() -> i64; supply() -> i64; shares(who) -> i64

(module $bank
  (import "ethereum" "getAddress" (func $eth_getAddress (param i32)))
  (import "ethereum" "getExternalBalance" (func $eth_getExternalBalance (param i32 i32)))
  (import "ethereum" "getCaller" (func $eth_getCaller (param i32)))
  (import "ethereum" "revert" (func $eth_revert (param i32 i32)))
  (import "ethereum" "getCallValue" (func $eth_getCallValue (param i32)))
  (import "ethereum" "call" (func $eth_call (param i64 i32 i32 i32 i32) (result i32)))
  (import "ethereum" "getCallDataSize" (func $eth_getCallDataSize (result i32)))
  (import "ethereum" "callDataCopy" (func $eth_callDataCopy (param i32 i32 i32)))
  (import "storage" "memory" (memory $storage 1))
  (memory $memory (export "memory") 3)

  (func $require (param $condition i32)
    (if (i32.eqz (local.get $condition))
      (then (call $eth_revert (i32.const 0) (i32.const 0)))))

  (func $_balance (result i64)
    (call $eth_getAddress (i32.const 0))
    (call $eth_getExternalBalance (i32.const 0) (i32.const 32))
    (return (i64.load $memory (i32.const 32))))

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

  (func $_value (result i64)
    (call $eth_getCallValue (i32.const 32))
    (call $require (if (result i32) (if (result i32) (i64.eq (i64.load $memory (i32.const 40)) (i64.const 0)) (then (i64.ge_s (i64.load $memory (i32.const 32)) (i64.const 0))) (else (i32.const 0))) (then (i64.le_s (i64.load $memory (i32.const 32)) (i64.const 1099511627776))) (else (i32.const 0))))
    (return (i64.load $memory (i32.const 32))))

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

  (func $setup (export "setup") (param $a i64) (param $x i64) (param $b i64) (param $y i64)
    (call $require (i64.eq (i64.load $storage (i32.const 8)) (i64.const 0)))
    (i64.store $storage (i32.const 8) (i64.add (local.get $x) (local.get $y)))
    (i64.store $storage (i32.wrap_i64 (call $_row (local.get $a))) (local.get $x))
    (i64.store $storage (i32.wrap_i64 (call $_row (local.get $b))) (local.get $y)))

  (func $_row (param $who i64) (result i64)
    (local $i i64)
    (local $n i64)
    (call $require (i64.gt_s (local.get $who) (i64.const 0)))
    (local.set $i (i64.and (i64.mul (local.get $who) (i64.const 13)) (i64.const 31)))
    (local.set $n (i64.const 0))
    (block $end11
      (loop $again11
        (br_if $end11 (i32.eqz (i64.ne (i64.load $storage (i32.wrap_i64 (i64.add (i64.const 32) (i64.mul (local.get $i) (i64.const 16))))) (local.get $who))))
        (if (i64.eq (i64.load $storage (i32.wrap_i64 (i64.add (i64.const 32) (i64.mul (local.get $i) (i64.const 16))))) (i64.const 0))
          (then
            (i64.store $storage (i32.wrap_i64 (i64.add (i64.const 32) (i64.mul (local.get $i) (i64.const 16)))) (local.get $who)))
          (else
            (local.set $i (i64.and (i64.add (local.get $i) (i64.const 1)) (i64.const 31)))
            (local.set $n (i64.add (local.get $n) (i64.const 1)))
            (call $require (i64.lt_s (local.get $n) (i64.const 32)))))
        (br $again11)))
    (return (i64.add (i64.const 40) (i64.mul (local.get $i) (i64.const 16)))))

  (func $shares (export "shares") (param $who i64) (result i64)
    (return (i64.load $storage (i32.wrap_i64 (call $_row (local.get $who))))))

  (func $supply (export "supply") (result i64)
    (return (i64.load $storage (i32.const 8))))

  (func $total (export "total") (result i64)
    (call $require (i64.eq (i64.load32_u $storage (i32.const 0)) (i64.const 0)))
    (return (i64.add (call $_balance ) (i64.load $storage (i32.const 16)))))

  (func $main (export "main")
    (if (i64.eq (i64.extend_i32_u (call $eth_getCallDataSize )) (i64.const 0))
      (then
        (return)))
    (call $eth_callDataCopy (i32.const 64) (i32.const 0) (i32.const 1))
    (if (i64.eq (i64.load8_u $memory (i32.const 64)) (i64.const 1))
      (then
        (call $_deposit ))
      (else
        (call $require (i64.eq (i64.load8_u $memory (i32.const 64)) (i64.const 2)))
        (call $_work ))))

  (func $_deposit
    (local $n i64)
    (local $r i64)
    (local $v i64)
    (call $require (i64.eq (i64.load32_u $storage (i32.const 0)) (i64.const 0)))
    (local.set $v (call $_value ))
    (local.set $n (i64.div_s (i64.mul (local.get $v) (i64.load $storage (i32.const 8))) (i64.sub (call $_balance ) (local.get $v))))
    (call $require (if (result i32) (i64.gt_s (local.get $n) (i64.const 0)) (then (i64.lt_s (local.get $n) (i64.const 1000000000))) (else (i32.const 0))))
    (i64.store $storage (i32.const 8) (i64.add (i64.load $storage (i32.const 8)) (local.get $n)))
    (local.set $r (call $_row (call $_me )))
    (i64.store $storage (i32.wrap_i64 (local.get $r)) (i64.add (i64.load $storage (i32.wrap_i64 (local.get $r))) (local.get $n))))

  (func $redeem (export "redeem") (param $n i64)
    (local $amount i64)
    (local $me i64)
    (local $r i64)
    (call $require (i64.eq (i64.load32_u $storage (i32.const 0)) (i64.const 0)))
    (local.set $me (call $_me ))
    (local.set $r (call $_row (local.get $me)))
    (call $require (if (result i32) (if (result i32) (i64.gt_s (local.get $n) (i64.const 0)) (then (i64.le_s (local.get $n) (i64.load $storage (i32.wrap_i64 (local.get $r))))) (else (i32.const 0))) (then (i64.lt_s (local.get $n) (i64.load $storage (i32.const 8)))) (else (i32.const 0))))
    (local.set $amount (i64.div_s (i64.mul (local.get $n) (call $_balance )) (i64.load $storage (i32.const 8))))
    (i64.store $storage (i32.wrap_i64 (local.get $r)) (i64.sub (i64.load $storage (i32.wrap_i64 (local.get $r))) (local.get $n)))
    (i64.store $storage (i32.const 8) (i64.sub (i64.load $storage (i32.const 8)) (local.get $n)))
    (call $_pay (local.get $me) (local.get $amount)))

  (func $_work
    (local $back i64)
    (local $due i64)
    (local $left i64)
    (local $loan i64)
    (local $me i64)
    (local $v i64)
    (call $require (if (result i32) (i64.eq (i64.load32_u $storage (i32.const 0)) (i64.const 0)) (then (i64.eq (i64.extend_i32_u (call $eth_getCallDataSize )) (i64.const 29))) (else (i32.const 0))))
    (i64.store32 $storage (i32.const 0) (i64.const 1))
    (local.set $v (call $_value ))
    (local.set $me (call $_me ))
    (local.set $left (i64.sub (call $_balance ) (local.get $v)))
    (call $eth_callDataCopy (i32.const 96) (i32.const 0) (i32.const 29))
    (local.set $loan (i64.load $memory (i32.const 117)))
    (call $require (if (result i32) (i64.gt_s (local.get $loan) (i64.const 0)) (then (i64.le_s (local.get $loan) (local.get $left))) (else (i32.const 0))))
    (local.set $left (i64.sub (local.get $left) (local.get $loan)))
    (i64.store $storage (i32.const 16) (local.get $loan))
    (i64.store $memory (i32.const 0) (i64.load $memory (i32.const 97)))
    (i64.store $memory (i32.const 8) (i64.load $memory (i32.const 105)))
    (i64.store32 $memory (i32.const 16) (i64.load32_u $memory (i32.const 113)))
    (i64.store $memory (i32.const 32) (i64.add (local.get $v) (local.get $loan)))
    (i64.store $memory (i32.const 40) (i64.const 0))
    (call $require (i64.eq (i64.extend_i32_u (call $eth_call (i64.const 9223372036854775807) (i32.const 0) (i32.const 32) (i32.const 0) (i32.const 0))) (i64.const 0)))
    (local.set $back (i64.sub (call $_balance ) (local.get $left)))
    (local.set $due (i64.add (i64.add (local.get $loan) (i64.div_s (local.get $loan) (i64.const 1000))) (i64.const 1)))
    (call $require (i64.ge_s (local.get $back) (local.get $due)))
    (i64.store $storage (i32.const 16) (i64.const 0))
    (i64.store32 $storage (i32.const 0) (i64.const 0))
    (if (i64.gt_s (local.get $back) (local.get $due))
      (then
        (call $_pay (local.get $me) (i64.sub (local.get $back) (local.get $due)))))))
