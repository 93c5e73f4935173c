;; A token whose balances grow: an account has shares, and an index says what one is worth in thousandths. The oracle, 0x10,
;; reports the next index, which counts as soon as anybody calls `rebase`. Who sends can have a hook called before: 0x02,
;; amount u64 (big-endian), if the hook answers 0x01 and the account with the 32 bytes of ERC-1820.
;; Storage: 0 index i64; 8 next index i64; 64 32 rows of 24 bytes by probing: account i64, shares i64, hook i64
;; Methods: setup(a, x, b, y) once; report(next); rebase(); register(hook); move(dst, amount);
;; for the wrapper, 0x21: pull(src, amount) -> shares, push(dst, shares) -> shares; shares(who), index() -> i64

(module $token
  (import "ethereum" "getCaller" (func $eth_getCaller (param i32)))
  (import "ethereum" "call" (func $eth_call (param i64 i32 i32 i32 i32) (result i32)))
  (import "ethereum" "revert" (func $eth_revert (param i32 i32)))
  (import "ethereum" "callStatic" (func $eth_callStatic (param i64 i32 i32 i32) (result i32)))
  (import "ethereum" "getReturnDataSize" (func $eth_getReturnDataSize (result i32)))
  (import "ethereum" "returnDataCopy" (func $eth_returnDataCopy (param i32 i32 i32)))
  (import "storage" "memory" (memory $storage 1))
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

  (func $setup (export "setup") (param $a i64) (param $x i64) (param $b i64) (param $y i64)
    (call $require (i64.eq (i64.load $storage (i32.const 0)) (i64.const 0)))
    (i64.store $storage (i32.const 0) (i64.const 1000))
    (i64.store $storage (i32.wrap_i64 (i64.add (call $_row (local.get $a)) (i64.const 8))) (local.get $x))
    (i64.store $storage (i32.wrap_i64 (i64.add (call $_row (local.get $b)) (i64.const 8))) (local.get $y)))

  (func $main (export "main"))

  (func $_row (param $who i64) (result i64)
    (local $i i64)
    (local $n i64)
    (call $require (i64.gt_s (local.get $who) (i64.const 0)))
    (local.set $i (i64.and (i64.xor (local.get $who) (i64.const 21)) (i64.const 31)))
    (local.set $n (i64.const 0))
    (block $end15
      (loop $again15
        (br_if $end15 (i32.eqz (i64.ne (i64.load $storage (i32.wrap_i64 (i64.add (i64.const 64) (i64.mul (local.get $i) (i64.const 24))))) (local.get $who))))
        (if (i64.eq (i64.load $storage (i32.wrap_i64 (i64.add (i64.const 64) (i64.mul (local.get $i) (i64.const 24))))) (i64.const 0))
          (then
            (i64.store $storage (i32.wrap_i64 (i64.add (i64.const 64) (i64.mul (local.get $i) (i64.const 24)))) (local.get $who)))
          (else
            (local.set $i (i64.and (i64.add (local.get $i) (i64.const 1)) (i64.const 31)))
            (local.set $n (i64.add (local.get $n) (i64.const 1)))
            (call $require (i64.lt_s (local.get $n) (i64.const 32)))))
        (br $again15)))
    (return (i64.add (i64.const 64) (i64.mul (local.get $i) (i64.const 24)))))

  (func $shares (export "shares") (param $who i64) (result i64)
    (return (i64.load $storage (i32.wrap_i64 (i64.add (call $_row (local.get $who)) (i64.const 8))))))

  (func $index (export "index") (result i64)
    (return (i64.load $storage (i32.const 0))))

  (func $report (export "report") (param $next i64)
    (call $require (i64.eq (call $_me ) (i64.const 16)))
    (call $require (if (result i32) (i64.gt_s (local.get $next) (i64.load $storage (i32.const 0))) (then (i64.le_s (local.get $next) (i64.mul (i64.const 2) (i64.load $storage (i32.const 0))))) (else (i32.const 0))))
    (i64.store $storage (i32.const 8) (local.get $next)))

  (func $rebase (export "rebase")
    (call $require (i64.gt_s (i64.load $storage (i32.const 8)) (i64.load $storage (i32.const 0))))
    (i64.store $storage (i32.const 0) (i64.load $storage (i32.const 8)))
    (i64.store $storage (i32.const 8) (i64.const 0)))

  (func $register (export "register") (param $hook i64)
    (local $me i64)
    (local.set $me (call $_me ))
    (i64.store8 $memory (i32.const 64) (i64.const 1))
    (call $_be_set (i64.const 65) (i64.const 8) (local.get $me))
    (call $_to (local.get $hook))
    (call $require (i64.eq (i64.extend_i32_u (call $eth_callStatic (i64.const 9223372036854775807) (i32.const 0) (i32.const 64) (i32.const 9))) (i64.const 0)))
    (call $require (i64.eq (i64.extend_i32_u (call $eth_getReturnDataSize )) (i64.const 32)))
    (call $eth_returnDataCopy (i32.const 96) (i32.const 0) (i32.const 32))
    (call $require (if (result i32) (i64.eq (call $_be (i64.const 96) (i64.const 8)) (i64.const 11740679723003544109)) (then (i64.eq (call $_be (i64.const 104) (i64.const 8)) (i64.const 5993525052777514823))) (else (i32.const 0))))
    (call $require (if (result i32) (i64.eq (call $_be (i64.const 112) (i64.const 8)) (i64.const 5073259836771438629)) (then (i64.eq (call $_be (i64.const 120) (i64.const 8)) (i64.const 1419456324974474420))) (else (i32.const 0))))
    (i64.store $storage (i32.wrap_i64 (i64.add (call $_row (local.get $me)) (i64.const 16))) (local.get $hook)))

  (func $_move (param $src i64) (param $dst i64) (param $n i64) (result i64)
    (local $d i64)
    (local $s i64)
    (call $require (if (result i32) (i64.ne (local.get $src) (local.get $dst)) (then (i64.gt_s (local.get $n) (i64.const 0))) (else (i32.const 0))))
    (local.set $s (i64.add (call $_row (local.get $src)) (i64.const 8)))
    (call $require (i64.le_s (local.get $n) (i64.load $storage (i32.wrap_i64 (local.get $s)))))
    (i64.store $storage (i32.wrap_i64 (local.get $s)) (i64.sub (i64.load $storage (i32.wrap_i64 (local.get $s))) (local.get $n)))
    (local.set $d (i64.add (call $_row (local.get $dst)) (i64.const 8)))
    (i64.store $storage (i32.wrap_i64 (local.get $d)) (i64.add (i64.load $storage (i32.wrap_i64 (local.get $d))) (local.get $n)))
    (return (local.get $n)))

  (func $_tell (param $src i64) (param $amount i64)
    (local $hook i64)
    (local.set $hook (i64.load $storage (i32.wrap_i64 (i64.add (call $_row (local.get $src)) (i64.const 16)))))
    (if (i64.gt_s (local.get $hook) (i64.const 0))
      (then
        (i64.store8 $memory (i32.const 64) (i64.const 2))
        (call $_be_set (i64.const 65) (i64.const 8) (local.get $amount))
        (call $require (i64.eq (call $_send (local.get $hook) (i64.const 0) (i64.const 64) (i64.const 9)) (i64.const 0))))))

  (func $move (export "move") (param $dst i64) (param $amount i64)
    (local $me i64)
    (call $require (if (result i32) (i64.gt_s (local.get $amount) (i64.const 0)) (then (i64.lt_s (local.get $amount) (i64.const 1000000000))) (else (i32.const 0))))
    (local.set $me (call $_me ))
    (call $_tell (local.get $me) (local.get $amount))
    (drop (call $_move (local.get $me) (local.get $dst) (i64.div_s (i64.mul (local.get $amount) (i64.const 1000)) (i64.load $storage (i32.const 0))))))

  (func $pull (export "pull") (param $src i64) (param $amount i64) (result i64)
    (call $require (i64.eq (call $_me ) (i64.const 33)))
    (call $require (if (result i32) (i64.gt_s (local.get $amount) (i64.const 0)) (then (i64.lt_s (local.get $amount) (i64.const 1000000000))) (else (i32.const 0))))
    (call $_tell (local.get $src) (local.get $amount))
    (return (call $_move (local.get $src) (i64.const 33) (i64.div_s (i64.mul (local.get $amount) (i64.const 1000)) (i64.load $storage (i32.const 0))))))

  (func $push (export "push") (param $dst i64) (param $n i64) (result i64)
    (call $require (i64.eq (call $_me ) (i64.const 33)))
    (return (call $_move (i64.const 33) (local.get $dst) (local.get $n)))))
