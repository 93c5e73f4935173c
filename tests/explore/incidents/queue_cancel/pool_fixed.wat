;; A pool whose withdrawals go through a queue, a linked list, which anybody may work off from its head.
;; Storage: 0 first i32; 4 last i32; 8 how many requests there were i32; 12 lock of `process` i32;
;; 32 32 rows of 16 bytes by probing: account i64, credit i64;
;; 1024 + 32*id owner i64, amount i64, next i32, one before i32, state i32 (1 waits, 2 paid, 3 cancelled)
;; Methods: deposit(); request(amount) -> id; cancel(id); process(most)

(module $pool
  (import "ethereum" "revert" (func $eth_revert (param i32 i32)))
  (import "ethereum" "call" (func $eth_call (param i64 i32 i32 i32 i32) (result i32)))
  (import "ethereum" "getCaller" (func $eth_getCaller (param i32)))
  (import "ethereum" "getCallValue" (func $eth_getCallValue (param i32)))
  (import "storage" "memory" (memory $storage 1))
  (memory $memory (export "memory") 3)

  (func $require (param $condition i32)
    (if (i32.eqz (local.get $condition))
      (then (call $eth_revert (i32.const 0) (i32.const 0)))))

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

  (func $_value (result i64)
    (call $eth_getCallValue (i32.const 32))
    (call $require (if (result i32) (if (result i32) (i64.eq (i64.load $memory (i32.const 40)) (i64.const 0)) (then (i64.ge_s (i64.load $memory (i32.const 32)) (i64.const 0))) (else (i32.const 0))) (then (i64.le_s (i64.load $memory (i32.const 32)) (i64.const 1099511627776))) (else (i32.const 0))))
    (return (i64.load $memory (i32.const 32))))

  (func $main (export "main"))

  (func $_credit (param $who i64) (result i64)
    (local $i i64)
    (local $n i64)
    (call $require (i64.gt_s (local.get $who) (i64.const 0)))
    (local.set $i (i64.and (i64.add (i64.mul (local.get $who) (i64.const 77)) (i64.const 5)) (i64.const 31)))
    (local.set $n (i64.const 0))
    (block $end12
      (loop $again12
        (br_if $end12 (i32.eqz (i64.ne (i64.load $storage (i32.wrap_i64 (i64.add (i64.const 32) (i64.mul (local.get $i) (i64.const 16))))) (local.get $who))))
        (if (i64.eq (i64.load $storage (i32.wrap_i64 (i64.add (i64.const 32) (i64.mul (local.get $i) (i64.const 16))))) (i64.const 0))
          (then
            (i64.store $storage (i32.wrap_i64 (i64.add (i64.const 32) (i64.mul (local.get $i) (i64.const 16)))) (local.get $who)))
          (else
            (local.set $i (i64.and (i64.add (local.get $i) (i64.const 1)) (i64.const 31)))
            (local.set $n (i64.add (local.get $n) (i64.const 1)))
            (call $require (i64.lt_s (local.get $n) (i64.const 32)))))
        (br $again12)))
    (return (i64.add (i64.const 40) (i64.mul (local.get $i) (i64.const 16)))))

  (func $deposit (export "deposit")
    (local $c i64)
    (local $v i64)
    (local.set $v (call $_value ))
    (call $require (i64.gt_s (local.get $v) (i64.const 0)))
    (local.set $c (call $_credit (call $_me )))
    (i64.store $storage (i32.wrap_i64 (local.get $c)) (i64.add (i64.load $storage (i32.wrap_i64 (local.get $c))) (local.get $v))))

  (func $_node (param $id i64) (result i64)
    (call $require (if (result i32) (i64.gt_s (local.get $id) (i64.const 0)) (then (i64.le_s (local.get $id) (i64.load32_u $storage (i32.const 8)))) (else (i32.const 0))))
    (return (i64.add (i64.const 1024) (i64.mul (local.get $id) (i64.const 32)))))

  (func $request (export "request") (param $amount i64) (result i64)
    (local $at i64)
    (local $c i64)
    (local $id i64)
    (local $last i64)
    (local $me i64)
    (local.set $me (call $_me ))
    (local.set $c (call $_credit (local.get $me)))
    (call $require (if (result i32) (if (result i32) (i64.ge_s (local.get $amount) (i64.const 10)) (then (i64.le_s (local.get $amount) (i64.load $storage (i32.wrap_i64 (local.get $c))))) (else (i32.const 0))) (then (i64.lt_s (i64.load32_u $storage (i32.const 8)) (i64.const 63))) (else (i32.const 0))))
    (i64.store $storage (i32.wrap_i64 (local.get $c)) (i64.sub (i64.load $storage (i32.wrap_i64 (local.get $c))) (local.get $amount)))
    (local.set $id (i64.add (i64.load32_u $storage (i32.const 8)) (i64.const 1)))
    (i64.store32 $storage (i32.const 8) (local.get $id))
    (local.set $at (call $_node (local.get $id)))
    (i64.store $storage (i32.wrap_i64 (local.get $at)) (local.get $me))
    (i64.store $storage (i32.wrap_i64 (i64.add (local.get $at) (i64.const 8))) (local.get $amount))
    (i64.store32 $storage (i32.wrap_i64 (i64.add (local.get $at) (i64.const 24))) (i64.const 1))
    (local.set $last (i64.load32_u $storage (i32.const 4)))
    (i64.store32 $storage (i32.wrap_i64 (i64.add (local.get $at) (i64.const 20))) (local.get $last))
    (if (i64.gt_s (local.get $last) (i64.const 0))
      (then
        (i64.store32 $storage (i32.wrap_i64 (i64.add (call $_node (local.get $last)) (i64.const 16))) (local.get $id)))
      (else
        (i64.store32 $storage (i32.const 0) (local.get $id))))
    (i64.store32 $storage (i32.const 4) (local.get $id))
    (return (local.get $id)))

  (func $_unlink (param $id i64)
    (local $after i64)
    (local $ahead i64)
    (local $at i64)
    (local.set $at (call $_node (local.get $id)))
    (local.set $after (i64.load32_u $storage (i32.wrap_i64 (i64.add (local.get $at) (i64.const 16)))))
    (local.set $ahead (i64.load32_u $storage (i32.wrap_i64 (i64.add (local.get $at) (i64.const 20)))))
    (if (i64.gt_s (local.get $ahead) (i64.const 0))
      (then
        (i64.store32 $storage (i32.wrap_i64 (i64.add (call $_node (local.get $ahead)) (i64.const 16))) (local.get $after)))
      (else
        (i64.store32 $storage (i32.const 0) (local.get $after))))
    (if (i64.gt_s (local.get $after) (i64.const 0))
      (then
        (i64.store32 $storage (i32.wrap_i64 (i64.add (call $_node (local.get $after)) (i64.const 20))) (local.get $ahead)))
      (else
        (i64.store32 $storage (i32.const 4) (local.get $ahead)))))

  (func $cancel (export "cancel") (param $id i64)
    (local $at i64)
    (local $c i64)
    (local $me i64)
    (local.set $at (call $_node (local.get $id)))
    (local.set $me (call $_me ))
    (call $require (if (result i32) (i64.eq (i64.load $storage (i32.wrap_i64 (local.get $at))) (local.get $me)) (then (i64.eq (i64.load32_u $storage (i32.wrap_i64 (i64.add (local.get $at) (i64.const 24)))) (i64.const 1))) (else (i32.const 0))))
    (i64.store32 $storage (i32.wrap_i64 (i64.add (local.get $at) (i64.const 24))) (i64.const 3))
    (call $_unlink (local.get $id))
    (local.set $c (call $_credit (local.get $me)))
    (i64.store $storage (i32.wrap_i64 (local.get $c)) (i64.add (i64.load $storage (i32.wrap_i64 (local.get $c))) (i64.load $storage (i32.wrap_i64 (i64.add (local.get $at) (i64.const 8)))))))

  (func $process (export "process") (param $most i64)
    (local $after i64)
    (local $at i64)
    (local $id i64)
    (call $require (i64.eq (i64.load32_u $storage (i32.const 12)) (i64.const 0)))
    (i64.store32 $storage (i32.const 12) (i64.const 1))
    (local.set $id (i64.load32_u $storage (i32.const 0)))
    (block $end71
      (loop $again71
        (br_if $end71 (i32.eqz (if (result i32) (i64.gt_s (local.get $id) (i64.const 0)) (then (i64.gt_s (local.get $most) (i64.const 0))) (else (i32.const 0)))))
        (local.set $at (call $_node (local.get $id)))
        (local.set $after (i64.load32_u $storage (i32.wrap_i64 (i64.add (local.get $at) (i64.const 16)))))
        (call $_unlink (local.get $id))
        (i64.store32 $storage (i32.wrap_i64 (i64.add (local.get $at) (i64.const 24))) (i64.const 2))
        (call $_pay (i64.load $storage (i32.wrap_i64 (local.get $at))) (i64.load $storage (i32.wrap_i64 (i64.add (local.get $at) (i64.const 8)))))
        (local.set $id (i64.load32_u $storage (i32.const 0)))
        (local.set $most (i64.sub (local.get $most) (i64.const 1)))
        (br $again71)))
    (i64.store32 $storage (i32.const 12) (i64.const 0))))
