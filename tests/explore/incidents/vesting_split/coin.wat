;; A token that tells contracts what they received, as in ERC-1363: 0x88a7ca5c, who sent it u64, how much u64 (big-endian);
;; the answer has to be the same four bytes.
;; Storage: 0 supply i64; 128 61 rows of 16 bytes by probing: account i64 (the last 8 bytes of its address), balance i64
;; Methods: setup(a, x) once; move_and_call(dst, amount); balance(who) -> i64

(module $coin
  (import "ethereum" "getCaller" (func $eth_getCaller (param i32)))
  (import "ethereum" "call" (func $eth_call (param i64 i32 i32 i32 i32) (result i32)))
  (import "ethereum" "revert" (func $eth_revert (param i32 i32)))
  (import "ethereum" "getExternalCodeSize" (func $eth_getExternalCodeSize (param i32) (result i32)))
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

  (func $setup (export "setup") (param $a i64) (param $x i64)
    (call $require (i64.eq (i64.load $storage (i32.const 0)) (i64.const 0)))
    (i64.store $storage (i32.const 0) (local.get $x))
    (i64.store $storage (i32.wrap_i64 (call $_row (local.get $a))) (local.get $x)))

  (func $main (export "main"))

  (func $_row (param $who i64) (result i64)
    (local $i i64)
    (local $n i64)
    (call $require (i64.gt_s (local.get $who) (i64.const 0)))
    (local.set $i (i64.rem_s (local.get $who) (i64.const 61)))
    (local.set $n (i64.const 0))
    (block $end12
      (loop $again12
        (br_if $end12 (i32.eqz (i64.ne (i64.load $storage (i32.wrap_i64 (i64.add (i64.const 128) (i64.mul (local.get $i) (i64.const 16))))) (local.get $who))))
        (if (i64.eq (i64.load $storage (i32.wrap_i64 (i64.add (i64.const 128) (i64.mul (local.get $i) (i64.const 16))))) (i64.const 0))
          (then
            (i64.store $storage (i32.wrap_i64 (i64.add (i64.const 128) (i64.mul (local.get $i) (i64.const 16)))) (local.get $who)))
          (else
            (local.set $i (i64.rem_s (i64.add (local.get $i) (i64.const 1)) (i64.const 61)))
            (local.set $n (i64.add (local.get $n) (i64.const 1)))
            (call $require (i64.lt_s (local.get $n) (i64.const 61)))))
        (br $again12)))
    (return (i64.add (i64.const 136) (i64.mul (local.get $i) (i64.const 16)))))

  (func $balance (export "balance") (param $who i64) (result i64)
    (return (i64.load $storage (i32.wrap_i64 (call $_row (local.get $who))))))

  (func $move_and_call (export "move_and_call") (param $dst i64) (param $amount i64)
    (local $d i64)
    (local $s i64)
    (local $src i64)
    (local.set $src (call $_me ))
    (call $require (if (result i32) (i64.ne (local.get $src) (local.get $dst)) (then (i64.gt_s (local.get $amount) (i64.const 0))) (else (i32.const 0))))
    (local.set $s (call $_row (local.get $src)))
    (call $require (i64.le_s (local.get $amount) (i64.load $storage (i32.wrap_i64 (local.get $s)))))
    (i64.store $storage (i32.wrap_i64 (local.get $s)) (i64.sub (i64.load $storage (i32.wrap_i64 (local.get $s))) (local.get $amount)))
    (local.set $d (call $_row (local.get $dst)))
    (i64.store $storage (i32.wrap_i64 (local.get $d)) (i64.add (i64.load $storage (i32.wrap_i64 (local.get $d))) (local.get $amount)))
    (call $_to (local.get $dst))
    (if (i64.gt_s (i64.extend_i32_u (call $eth_getExternalCodeSize (i32.const 0))) (i64.const 0))
      (then
        (call $_be_set (i64.const 64) (i64.const 4) (i64.const 2292697692))
        (call $_be_set (i64.const 68) (i64.const 8) (local.get $src))
        (call $_be_set (i64.const 76) (i64.const 8) (local.get $amount))
        (call $require (i64.eq (call $_send (local.get $dst) (i64.const 0) (i64.const 64) (i64.const 20)) (i64.const 0)))
        (call $require (i64.eq (i64.extend_i32_u (call $eth_getReturnDataSize )) (i64.const 4)))
        (call $eth_returnDataCopy (i32.const 96) (i32.const 0) (i32.const 4))
        (call $require (i64.eq (call $_be (i64.const 96) (i64.const 4)) (i64.const 2292697692)))))))
