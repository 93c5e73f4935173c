;; Wraps a token whose balances grow into one whose balances do not: one of these is one share of that.
;; Storage: 0 supply i64; 16 32 rows of 16 bytes by probing: account i64, balance i64
;; Methods: wrap(amount) -> how many; unwrap(n)

(module $wrapper
  (import "contract:token" "pull" (func $token.pull (param i64 i64) (result i64)))
  (import "contract:token" "push" (func $token.push (param i64 i64) (result i64)))
  (import "ethereum" "getCaller" (func $eth_getCaller (param i32)))
  (import "ethereum" "revert" (func $eth_revert (param i32 i32)))
  (import "storage" "load_i64" (func $load_i64 (param i32) (result i64)))
  (import "storage" "store_i64" (func $store_i64 (param i32 i64)))
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
    (local.set $i (i64.and (local.get $who) (i64.const 31)))
    (local.set $n (i64.const 0))
    (block $end8
      (loop $again8
        (br_if $end8 (i32.eqz (i64.ne (call $load_i64 (i32.wrap_i64 (i64.add (i64.const 16) (i64.mul (local.get $i) (i64.const 16))))) (local.get $who))))
        (if (i64.eq (call $load_i64 (i32.wrap_i64 (i64.add (i64.const 16) (i64.mul (local.get $i) (i64.const 16))))) (i64.const 0))
          (then
            (call $store_i64 (i32.wrap_i64 (i64.add (i64.const 16) (i64.mul (local.get $i) (i64.const 16)))) (local.get $who)))
          (else
            (local.set $i (i64.and (i64.add (local.get $i) (i64.const 1)) (i64.const 31)))
            (local.set $n (i64.add (local.get $n) (i64.const 1)))
            (call $require (i64.lt_s (local.get $n) (i64.const 32)))))
        (br $again8)))
    (return (i64.add (i64.const 24) (i64.mul (local.get $i) (i64.const 16)))))

  (func $wrap (export "wrap") (param $amount i64) (result i64)
    (local $me i64)
    (local $n i64)
    (local $r i64)
    (call $require (if (result i32) (i64.gt_s (local.get $amount) (i64.const 0)) (then (i64.lt_s (local.get $amount) (i64.const 1000000000))) (else (i32.const 0))))
    (local.set $me (call $_me ))
    (local.set $n (call $token.pull (local.get $me) (local.get $amount)))
    (local.set $r (call $_row (local.get $me)))
    (call $store_i64 (i32.wrap_i64 (local.get $r)) (i64.add (call $load_i64 (i32.wrap_i64 (local.get $r))) (local.get $n)))
    (call $store_i64 (i32.const 0) (i64.add (call $load_i64 (i32.const 0)) (local.get $n)))
    (return (local.get $n)))

  (func $unwrap (export "unwrap") (param $n i64)
    (local $me i64)
    (local $r i64)
    (local.set $me (call $_me ))
    (local.set $r (call $_row (local.get $me)))
    (call $require (if (result i32) (i64.gt_s (local.get $n) (i64.const 0)) (then (i64.le_s (local.get $n) (call $load_i64 (i32.wrap_i64 (local.get $r))))) (else (i32.const 0))))
    (call $store_i64 (i32.wrap_i64 (local.get $r)) (i64.sub (call $load_i64 (i32.wrap_i64 (local.get $r))) (local.get $n)))
    (call $store_i64 (i32.const 0) (i64.sub (call $load_i64 (i32.const 0)) (local.get $n)))
    (drop (call $token.push (local.get $me) (local.get $n)))))
