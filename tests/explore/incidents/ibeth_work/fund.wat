;; A fund with money of its own and shares of a bank. Its own shares are bought and sold at what all of that is worth.
;; Storage: 0 shares i64; 512 32 rows of 16 bytes by probing: account i64, shares i64
;; Methods: deposit(), withdraw(n), worth() -> i64

(module $fund
  (import "contract:bank" "shares" (func $bank.shares (param i64) (result i64)))
  (import "contract:bank" "total" (func $bank.total (result i64)))
  (import "contract:bank" "supply" (func $bank.supply (result i64)))
  (import "ethereum" "getCaller" (func $eth_getCaller (param i32)))
  (import "ethereum" "revert" (func $eth_revert (param i32 i32)))
  (import "ethereum" "call" (func $eth_call (param i64 i32 i32 i32 i32) (result i32)))
  (import "ethereum" "getCallValue" (func $eth_getCallValue (param i32)))
  (import "ethereum" "getAddress" (func $eth_getAddress (param i32)))
  (import "ethereum" "getExternalBalance" (func $eth_getExternalBalance (param i32 i32)))
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

  (func $_value (result i64)
    (call $eth_getCallValue (i32.const 32))
    (call $require (if (result i32) (if (result i32) (i64.eq (i64.load $memory (i32.const 40)) (i64.const 0)) (then (i64.ge_s (i64.load $memory (i32.const 32)) (i64.const 0))) (else (i32.const 0))) (then (i64.le_s (i64.load $memory (i32.const 32)) (i64.const 1099511627776))) (else (i32.const 0))))
    (return (i64.load $memory (i32.const 32))))

  (func $_balance (result i64)
    (call $eth_getAddress (i32.const 0))
    (call $eth_getExternalBalance (i32.const 0) (i32.const 32))
    (return (i64.load $memory (i32.const 32))))

  (func $setup (export "setup") (param $a i64) (param $x i64) (param $b i64) (param $y i64)
    (call $require (i64.eq (call $load_i64 (i32.const 0)) (i64.const 0)))
    (call $store_i64 (i32.const 0) (i64.add (local.get $x) (local.get $y)))
    (call $store_i64 (i32.wrap_i64 (call $_row (local.get $a))) (local.get $x))
    (call $store_i64 (i32.wrap_i64 (call $_row (local.get $b))) (local.get $y)))

  (func $main (export "main"))

  (func $_row (param $who i64) (result i64)
    (local $i i64)
    (local $n i64)
    (call $require (i64.gt_s (local.get $who) (i64.const 0)))
    (local.set $i (i64.and (i64.add (i64.mul (local.get $who) (i64.const 5)) (i64.const 3)) (i64.const 31)))
    (local.set $n (i64.const 0))
    (block $end13
      (loop $again13
        (br_if $end13 (i32.eqz (i64.ne (call $load_i64 (i32.wrap_i64 (i64.add (i64.const 512) (i64.mul (local.get $i) (i64.const 16))))) (local.get $who))))
        (if (i64.eq (call $load_i64 (i32.wrap_i64 (i64.add (i64.const 512) (i64.mul (local.get $i) (i64.const 16))))) (i64.const 0))
          (then
            (call $store_i64 (i32.wrap_i64 (i64.add (i64.const 512) (i64.mul (local.get $i) (i64.const 16)))) (local.get $who)))
          (else
            (local.set $i (i64.and (i64.add (local.get $i) (i64.const 1)) (i64.const 31)))
            (local.set $n (i64.add (local.get $n) (i64.const 1)))
            (call $require (i64.lt_s (local.get $n) (i64.const 32)))))
        (br $again13)))
    (return (i64.add (i64.const 520) (i64.mul (local.get $i) (i64.const 16)))))

  (func $worth (export "worth") (result i64)
    (return (i64.add (call $_balance ) (i64.div_s (i64.mul (call $bank.shares (i64.const 33)) (call $bank.total )) (call $bank.supply )))))

  (func $deposit (export "deposit")
    (local $n i64)
    (local $r i64)
    (local $v i64)
    (local.set $v (call $_value ))
    (local.set $n (i64.div_s (i64.mul (local.get $v) (call $load_i64 (i32.const 0))) (i64.sub (call $worth ) (local.get $v))))
    (call $require (if (result i32) (i64.gt_s (local.get $n) (i64.const 0)) (then (i64.lt_s (local.get $n) (i64.const 1000000000))) (else (i32.const 0))))
    (call $store_i64 (i32.const 0) (i64.add (call $load_i64 (i32.const 0)) (local.get $n)))
    (local.set $r (call $_row (call $_me )))
    (call $store_i64 (i32.wrap_i64 (local.get $r)) (i64.add (call $load_i64 (i32.wrap_i64 (local.get $r))) (local.get $n))))

  (func $withdraw (export "withdraw") (param $n i64)
    (local $amount i64)
    (local $me i64)
    (local $r i64)
    (local.set $me (call $_me ))
    (local.set $r (call $_row (local.get $me)))
    (call $require (if (result i32) (if (result i32) (i64.gt_s (local.get $n) (i64.const 0)) (then (i64.le_s (local.get $n) (call $load_i64 (i32.wrap_i64 (local.get $r))))) (else (i32.const 0))) (then (i64.lt_s (local.get $n) (call $load_i64 (i32.const 0)))) (else (i32.const 0))))
    (local.set $amount (i64.div_s (i64.mul (local.get $n) (call $worth )) (call $load_i64 (i32.const 0))))
    (call $store_i64 (i32.wrap_i64 (local.get $r)) (i64.sub (call $load_i64 (i32.wrap_i64 (local.get $r))) (local.get $n)))
    (call $store_i64 (i32.const 0) (i64.sub (call $load_i64 (i32.const 0)) (local.get $n)))
    (call $_pay (local.get $me) (local.get $amount))))
