;; A council: stakes vote on one question, once each.
;;
;; Storage
;;   0             i64  votes for
;;   8             i64  votes against
;;   1024 + 16*k   entries 0 to 63, by linear probing: i64 an account, i64 1 once it has voted
;;
;; Methods
;;   vote(side)      0 for, 1 against, with all stakes of who calls
;;   has_voted(who)  an address by its last eight bytes

(module $council
  (import "contract:stakes" "power" (func $power (param i64) (result i64)))
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

  (func $has_voted (export "has_voted") (param $who i64) (result i64) (call $number (local.get $who)))

  (func $vote (export "vote") (param $side i32)
    (local $power i64) (local $at i32)
    (call $require (i32.le_u (local.get $side) (i32.const 1)))
    (call $require (i64.eqz (call $value)))
    (call $require (i64.eqz (call $number (call $me))))
    (local.set $power (call $power (call $me)))
    (call $require (i64.gt_s (local.get $power) (i64.const 0)))
    (call $set_number (call $me) (i64.const 1))
    (local.set $at (i32.shl (local.get $side) (i32.const 3)))
    (call $store_i64 (local.get $at) (i64.add (call $load_i64 (local.get $at)) (local.get $power)))))
