;; Stakes that give votes. What has voted cannot be taken out.
;;
;; Always: it has all stakes.
;;
;; Storage
;;   0             i64  all stakes
;;   8             i64  1 while stakes are put in or taken out
;;   1024 + 16*k   entries 0 to 63, by linear probing: i64 an account, i64 its stake
;;
;; Methods
;;   stake()         of the value
;;   unstake(amount)
;;   power(who)      the stake of an account, an address by its last eight bytes

(module $stakes
  (import "contract:council" "has_voted" (func $has_voted (param i64) (result i64)))
  (import "ethereum" "call" (func $call (param i64 i32 i32 i32 i32) (result i32)))
  (import "ethereum" "getCaller" (func $getCaller (param i32)))
  (import "ethereum" "getCallValue" (func $getCallValue (param i32)))
  (import "ethereum" "revert" (func $revert (param i32 i32)))
  ;; @storage
  (memory $memory (export "memory") 3)

  (func $require (param $condition i32)
    (if (i32.eqz (local.get $condition))
      (then (call $revert (i32.const 0) (i32.const 0)))))

  ;; Who calls: the last eight bytes of the address, as a number; the others have to be zero.
  (func $me (result i64)
    (local $i i32) (local $me i64)
    (call $getCaller (i32.const 64))
    (call $require
      (i32.and (i64.eqz (i64.load $memory (i32.const 64))) (i32.eqz (i32.load $memory (i32.const 72)))))
    (local.set $i (i32.const 76))
    (loop $next
      (local.set $me (i64.or (i64.shl (local.get $me) (i64.const 8)) (i64.load8_u $memory (local.get $i))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $i) (i32.const 84))))
    (local.get $me))

  (func $value (result i64)
    (call $getCallValue (i32.const 32))
    (call $require (i64.eqz (i64.load $memory (i32.const 40))))
    (i64.load $memory (i32.const 32)))

  ;; Where the entry of an account is, 16 bytes: whose it is, and a number; the first one from its hash on that is its
  ;; own or nobody's.
  (func $entry (param $who i64) (result i32)
    (local $at i32) (local $tries i32)
    (call $require (i64.ne (local.get $who) (i64.const 0)))
    (local.set $at (i32.wrap_i64 (i64.rem_u (local.get $who) (i64.const 61))))
    (block $found
      (loop $next
        (call $require (i32.lt_u (local.get $tries) (i32.const 64)))
        (local.set $tries (i32.add (local.get $tries) (i32.const 1)))
        (local.set $at (i32.and (i32.add (local.get $at) (i32.const 1)) (i32.const 63)))
        (br_if $found (i64.eq (call $load_i64 (call $place (local.get $at))) (local.get $who)))
        (br_if $next (i64.ne (call $load_i64 (call $place (local.get $at))) (i64.const 0)))))
    (call $place (local.get $at)))

  (func $place (param $k i32) (result i32) (i32.add (i32.const 1024) (i32.shl (local.get $k) (i32.const 4))))

  (func $number (param $who i64) (result i64)
    (local $at i32)
    (local.set $at (call $entry (local.get $who)))
    (if (result i64) (i64.eq (call $load_i64 (local.get $at)) (local.get $who))
      (then (call $load_i64 (i32.add (local.get $at) (i32.const 8))))
      (else (i64.const 0))))

  (func $set_number (param $who i64) (param $number i64)
    (local $at i32)
    (local.set $at (call $entry (local.get $who)))
    (call $store_i64 (local.get $at) (local.get $who))
    (call $store_i64 (i32.add (local.get $at) (i32.const 8)) (local.get $number)))

  (func $enter
    (call $require (i64.eqz (call $load_i64 (i32.const 8))))
    (call $store_i64 (i32.const 8) (i64.const 1)))

  (func $leave (call $store_i64 (i32.const 8) (i64.const 0)))

  ;; Pays who calls.
  (func $pay (param $amount i64)
    (call $getCaller (i32.const 0))
    (i64.store $memory (i32.const 32) (local.get $amount))
    (i64.store $memory (i32.const 40) (i64.const 0))
    (call $require
      (i32.eqz
        (call $call (i64.const 0x7fffffffffffffff) (i32.const 0) (i32.const 32) (i32.const 0) (i32.const 0)))))

  (func $add (param $amount i64)
    (call $set_number (call $me) (i64.add (call $number (call $me)) (local.get $amount)))
    (call $store_i64 (i32.const 0) (i64.add (call $load_i64 (i32.const 0)) (local.get $amount))))

  (func $power (export "power") (param $who i64) (result i64) (call $number (local.get $who)))

  (func $stake (export "stake")
    (call $enter)
    (call $require (i64.le_u (i64.sub (call $value) (i64.const 1)) (i64.const 0xffffffff)))
    (call $add (call $value))
    (call $leave))

  (func $unstake (export "unstake") (param $amount i64)
    (call $enter)
    (call $require
      (i32.and
        (i64.gt_s (local.get $amount) (i64.const 0))
        (i64.le_s (local.get $amount) (call $number (call $me)))))
    (call $require (i64.eqz (call $has_voted (call $me))))
    (call $pay (local.get $amount))
    (call $add (i64.sub (i64.const 0) (local.get $amount)))
    (call $leave)))
