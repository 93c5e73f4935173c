;; A token, plain. Storage: 0 supply i64; at 1024 64 rows of 16 bytes by probing: account i64 (the last 8 bytes of its
;; address), balance i64. Methods: setup(a, x, b, y, c, z) once; move(dst, amount); balance(who) -> i64

(module $coin
  (import "ethereum" "getCaller" (func $eth_getCaller (param i32)))
  (import "ethereum" "revert" (func $eth_revert (param i32 i32)))
  ;; @storage
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

  (func $main (export "main"))

  (func $_row (param $who i64) (result i64)
    (local $i i64)
    (local $n i64)
    (call $require (i64.gt_s (local.get $who) (i64.const 0)))
    (local.set $i (i64.and (i64.add (i64.mul (local.get $who) (i64.const 29)) (i64.const 11)) (i64.const 63)))
    (local.set $n (i64.const 0))
    (block $end9
      (loop $again9
        (br_if $end9 (i32.eqz (i64.ne (call $load_i64 (i32.wrap_i64 (i64.add (i64.const 1024) (i64.mul (local.get $i) (i64.const 16))))) (local.get $who))))
        (if (i64.eq (call $load_i64 (i32.wrap_i64 (i64.add (i64.const 1024) (i64.mul (local.get $i) (i64.const 16))))) (i64.const 0))
          (then
            (call $store_i64 (i32.wrap_i64 (i64.add (i64.const 1024) (i64.mul (local.get $i) (i64.const 16)))) (local.get $who)))
          (else
            (local.set $i (i64.and (i64.add (local.get $i) (i64.const 7)) (i64.const 63)))
            (local.set $n (i64.add (local.get $n) (i64.const 1)))
            (call $require (i64.lt_s (local.get $n) (i64.const 64)))))
        (br $again9)))
    (return (i64.add (i64.const 1032) (i64.mul (local.get $i) (i64.const 16)))))

  (func $setup (export "setup") (param $a i64) (param $x i64) (param $b i64) (param $y i64) (param $c i64) (param $z i64)
    (call $require (i64.eq (call $load_i64 (i32.const 0)) (i64.const 0)))
    (call $store_i64 (i32.const 0) (i64.add (i64.add (local.get $x) (local.get $y)) (local.get $z)))
    (call $store_i64 (i32.wrap_i64 (call $_row (local.get $a))) (local.get $x))
    (call $store_i64 (i32.wrap_i64 (call $_row (local.get $b))) (local.get $y))
    (call $store_i64 (i32.wrap_i64 (call $_row (local.get $c))) (local.get $z)))

  (func $balance (export "balance") (param $who i64) (result i64)
    (return (call $load_i64 (i32.wrap_i64 (call $_row (local.get $who))))))

  (func $_move (param $src i64) (param $dst i64) (param $amount i64)
    (local $d i64)
    (local $s i64)
    (call $require (if (result i32) (i64.ne (local.get $src) (local.get $dst)) (then (i64.ge_s (local.get $amount) (i64.const 0))) (else (i32.const 0))))
    (local.set $s (call $_row (local.get $src)))
    (call $require (i64.le_s (local.get $amount) (call $load_i64 (i32.wrap_i64 (local.get $s)))))
    (call $store_i64 (i32.wrap_i64 (local.get $s)) (i64.sub (call $load_i64 (i32.wrap_i64 (local.get $s))) (local.get $amount)))
    (local.set $d (call $_row (local.get $dst)))
    (call $store_i64 (i32.wrap_i64 (local.get $d)) (i64.add (call $load_i64 (i32.wrap_i64 (local.get $d))) (local.get $amount))))

  (func $move (export "move") (param $dst i64) (param $amount i64)
    (call $_move (call $_me ) (local.get $dst) (local.get $amount))))
