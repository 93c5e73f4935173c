;; Money, wrapped as shares. Shares can be minted for the length of a call, for a fee of a thousandth that is burnt.
;;
;; Storage
;;   sums: 0 money behind shares i64; 8 shares i64; 16 lock (a byte)
;;   books: 64 rows of 16 bytes by probing: account i64 (the last 8 bytes of its address), shares i64
;;
;; Methods
;;   setup(a, x, b, y) once; deposit() -> shares; redeem(n); move(dst, n); pull(src, n) for the pool, 0x21
;;   rate() -> i64, a million is 1; balance(who) -> i64
;;   flash_mint(n)   calls the caller with n (8 bytes), which answers with the 32 bytes of ERC-3156

(module $wrapped
  (import "ethereum" "getCaller" (func $eth_getCaller (param i32)))
  (import "ethereum" "call" (func $eth_call (param i64 i32 i32 i32 i32) (result i32)))
  (import "ethereum" "revert" (func $eth_revert (param i32 i32)))
  (import "ethereum" "getCallValue" (func $eth_getCallValue (param i32)))
  (import "ethereum" "getReturnDataSize" (func $eth_getReturnDataSize (result i32)))
  (import "ethereum" "returnDataCopy" (func $eth_returnDataCopy (param i32 i32 i32)))
  (import "storage" "sums" (memory $sums 1))
  (import "storage" "books" (memory $books 1))
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

  (func $_pay (param $who i64) (param $amount i64)
    (call $require (i64.eq (call $_send (local.get $who) (local.get $amount) (i64.const 0) (i64.const 0)) (i64.const 0))))

  (func $_value (result i64)
    (call $eth_getCallValue (i32.const 32))
    (call $require (if (result i32) (if (result i32) (i64.eq (i64.load $memory (i32.const 40)) (i64.const 0)) (then (i64.ge_s (i64.load $memory (i32.const 32)) (i64.const 0))) (else (i32.const 0))) (then (i64.le_s (i64.load $memory (i32.const 32)) (i64.const 1099511627776))) (else (i32.const 0))))
    (return (i64.load $memory (i32.const 32))))

  (func $_row (param $who i64) (result i64)
    (local $i i64)
    (local $n i64)
    (call $require (i64.gt_s (local.get $who) (i64.const 0)))
    (local.set $i (i64.and (i64.mul (local.get $who) (i64.const 31)) (i64.const 63)))
    (local.set $n (i64.const 0))
    (block $end6
      (loop $again6
        (br_if $end6 (i32.eqz (i64.ne (i64.load $books (i32.wrap_i64 (i64.mul (local.get $i) (i64.const 16)))) (local.get $who))))
        (if (i64.eq (i64.load $books (i32.wrap_i64 (i64.mul (local.get $i) (i64.const 16)))) (i64.const 0))
          (then
            (i64.store $books (i32.wrap_i64 (i64.mul (local.get $i) (i64.const 16))) (local.get $who)))
          (else
            (local.set $i (i64.and (i64.add (local.get $i) (i64.const 1)) (i64.const 63)))
            (local.set $n (i64.add (local.get $n) (i64.const 1)))
            (call $require (i64.lt_s (local.get $n) (i64.const 64)))))
        (br $again6)))
    (return (i64.add (i64.mul (local.get $i) (i64.const 16)) (i64.const 8))))

  (func $setup (export "setup") (param $a i64) (param $x i64) (param $b i64) (param $y i64)
    (call $require (i64.eq (i64.load $sums (i32.const 8)) (i64.const 0)))
    (i64.store $sums (i32.const 0) (i64.add (local.get $x) (local.get $y)))
    (i64.store $sums (i32.const 8) (i64.add (local.get $x) (local.get $y)))
    (i64.store $books (i32.wrap_i64 (call $_row (local.get $a))) (local.get $x))
    (i64.store $books (i32.wrap_i64 (call $_row (local.get $b))) (local.get $y)))

  (func $main (export "main"))

  (func $balance (export "balance") (param $who i64) (result i64)
    (return (i64.load $books (i32.wrap_i64 (call $_row (local.get $who))))))

  (func $rate (export "rate") (result i64)
    (return (i64.div_s (i64.mul (i64.load $sums (i32.const 0)) (i64.const 1000000)) (i64.load $sums (i32.const 8)))))

  (func $deposit (export "deposit") (result i64)
    (local $n i64)
    (local $r i64)
    (local $v i64)
    (call $require (i64.eq (i64.load8_u $sums (i32.const 16)) (i64.const 0)))
    (local.set $v (call $_value ))
    (local.set $n (i64.div_s (i64.mul (local.get $v) (i64.load $sums (i32.const 8))) (i64.load $sums (i32.const 0))))
    (call $require (if (result i32) (i64.gt_s (local.get $n) (i64.const 0)) (then (i64.lt_s (i64.add (i64.load $sums (i32.const 0)) (local.get $v)) (i64.const 1073741824))) (else (i32.const 0))))
    (i64.store $sums (i32.const 0) (i64.add (i64.load $sums (i32.const 0)) (local.get $v)))
    (i64.store $sums (i32.const 8) (i64.add (i64.load $sums (i32.const 8)) (local.get $n)))
    (local.set $r (call $_row (call $_me )))
    (i64.store $books (i32.wrap_i64 (local.get $r)) (i64.add (i64.load $books (i32.wrap_i64 (local.get $r))) (local.get $n)))
    (return (local.get $n)))

  (func $redeem (export "redeem") (param $n i64)
    (local $amount i64)
    (local $me i64)
    (local $r i64)
    (call $require (i64.eq (i64.load8_u $sums (i32.const 16)) (i64.const 0)))
    (local.set $me (call $_me ))
    (local.set $r (call $_row (local.get $me)))
    (call $require (if (result i32) (if (result i32) (i64.gt_s (local.get $n) (i64.const 0)) (then (i64.le_s (local.get $n) (i64.load $books (i32.wrap_i64 (local.get $r))))) (else (i32.const 0))) (then (i64.lt_s (local.get $n) (i64.load $sums (i32.const 8)))) (else (i32.const 0))))
    (local.set $amount (i64.div_s (i64.mul (local.get $n) (i64.load $sums (i32.const 0))) (i64.load $sums (i32.const 8))))
    (i64.store $books (i32.wrap_i64 (local.get $r)) (i64.sub (i64.load $books (i32.wrap_i64 (local.get $r))) (local.get $n)))
    (i64.store $sums (i32.const 8) (i64.sub (i64.load $sums (i32.const 8)) (local.get $n)))
    (i64.store $sums (i32.const 0) (i64.sub (i64.load $sums (i32.const 0)) (local.get $amount)))
    (call $_pay (local.get $me) (local.get $amount)))

  (func $_move (param $src i64) (param $dst i64) (param $n i64)
    (local $d i64)
    (local $s i64)
    (call $require (i64.ne (local.get $src) (local.get $dst)))
    (local.set $s (call $_row (local.get $src)))
    (call $require (if (result i32) (i64.gt_s (local.get $n) (i64.const 0)) (then (i64.le_s (local.get $n) (i64.load $books (i32.wrap_i64 (local.get $s))))) (else (i32.const 0))))
    (i64.store $books (i32.wrap_i64 (local.get $s)) (i64.sub (i64.load $books (i32.wrap_i64 (local.get $s))) (local.get $n)))
    (local.set $d (call $_row (local.get $dst)))
    (i64.store $books (i32.wrap_i64 (local.get $d)) (i64.add (i64.load $books (i32.wrap_i64 (local.get $d))) (local.get $n))))

  (func $move (export "move") (param $dst i64) (param $n i64)
    (call $_move (call $_me ) (local.get $dst) (local.get $n)))

  (func $pull (export "pull") (param $src i64) (param $n i64)
    (call $require (i64.eq (call $_me ) (i64.const 33)))
    (call $_move (local.get $src) (i64.const 33) (local.get $n)))

  (func $flash_mint (export "flash_mint") (param $n i64)
    (local $me i64)
    (local $r i64)
    (call $require (i64.eq (i64.load8_u $sums (i32.const 16)) (i64.const 0)))
    (i64.store8 $sums (i32.const 16) (i64.const 1))
    (call $require (if (result i32) (i64.gt_s (local.get $n) (i64.const 0)) (then (i64.le_s (local.get $n) (i64.const 1000000))) (else (i32.const 0))))
    (local.set $me (call $_me ))
    (local.set $r (call $_row (local.get $me)))
    (i64.store $books (i32.wrap_i64 (local.get $r)) (i64.add (i64.load $books (i32.wrap_i64 (local.get $r))) (local.get $n)))
    (i64.store $sums (i32.const 8) (i64.add (i64.load $sums (i32.const 8)) (local.get $n)))
    (call $_be_set (i64.const 64) (i64.const 8) (local.get $n))
    (call $require (i64.eq (call $_send (local.get $me) (i64.const 0) (i64.const 64) (i64.const 8)) (i64.const 0)))
    (call $require (i64.eq (i64.extend_i32_u (call $eth_getReturnDataSize )) (i64.const 32)))
    (call $eth_returnDataCopy (i32.const 96) (i32.const 0) (i32.const 32))
    (call $require (if (result i32) (i64.eq (call $_be (i64.const 96) (i64.const 8)) (i64.const 4868752870943916746)) (then (i64.eq (call $_be (i64.const 104) (i64.const 8)) (i64.const 548954093327151297))) (else (i32.const 0))))
    (call $require (if (result i32) (if (result i32) (i64.eq (call $_be (i64.const 112) (i64.const 8)) (i64.const 16408901464511066217)) (then (i64.eq (call $_be (i64.const 120) (i64.const 4)) (i64.const 3632802495))) (else (i32.const 0))) (then (i64.eq (call $_be (i64.const 124) (i64.const 4)) (i64.const 2364640729))) (else (i32.const 0))))
    (local.set $n (i64.add (local.get $n) (i64.div_s (local.get $n) (i64.const 1000))))
    (call $require (i64.le_s (local.get $n) (i64.load $books (i32.wrap_i64 (local.get $r)))))
    (i64.store $books (i32.wrap_i64 (local.get $r)) (i64.sub (i64.load $books (i32.wrap_i64 (local.get $r))) (local.get $n)))
    (i64.store $sums (i32.const 8) (i64.sub (i64.load $sums (i32.const 8)) (local.get $n)))
    (i64.store8 $sums (i32.const 16) (i64.const 0))))
