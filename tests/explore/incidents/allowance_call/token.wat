;; A token that can be spent in one go: who gets it is called, and has to agree with a magic answer (as in ERC-1363).
;; Accounts go by the last eight bytes of their address, as they lie in memory.
;;
;; Storage
;;   0                    i64  supply
;;   1024 + 16*slot       key i64, balance i64: 32 slots by the key's hash, and linear probing
;;   4096 + 24*slot       owner i64, spender i64, allowance i64: 64 slots, likewise
;;
;; Call data: a selector of 4 bytes, addresses of 20 bytes, amounts of 8, all of it big-endian
;;   40c10f19 to amount           the issuer gives out
;;   095ea7b3 spender amount      allows
;;   4000aea0 to amount           sends and calls
;;   23b872dd from to amount      spends
;;   c1d34b89 from to amount      spends and calls
;; Calls `to` with 88a7ca5c from amount; it answers 88a7ca5c

(module $token
  (import "storage" "memory" (memory $s 1))
  (import "ethereum" "call" (func $call (param i64 i32 i32 i32 i32) (result i32)))
  (import "ethereum" "callDataCopy" (func $callDataCopy (param i32 i32 i32)))
  (import "ethereum" "getCallDataSize" (func $getCallDataSize (result i32)))
  (import "ethereum" "getCaller" (func $getCaller (param i32)))
  (import "ethereum" "getCallValue" (func $getCallValue (param i32)))
  (import "ethereum" "getReturnDataSize" (func $getReturnDataSize (result i32)))
  (import "ethereum" "returnDataCopy" (func $returnDataCopy (param i32 i32 i32)))
  (import "ethereum" "revert" (func $revert (param i32 i32)))
  (memory $m (export "memory") 1)

  (func $require (param $ok i32)
    (if (i32.eqz (local.get $ok)) (then (call $revert (i32.const 0) (i32.const 0)))))

  ;; An amount in call data, which was copied to 0.
  (func $amount (param $at i32) (result i64)
    (local $n i64) (local $i i32)
    (loop $next
      (local.set $n (i64.or (i64.shl (local.get $n) (i64.const 8)) (i64.load8_u $m (i32.add (local.get $at) (local.get $i)))))
      (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 8))))
    (call $require (i64.lt_u (local.get $n) (i64.const 0x10000000000)))
    (local.get $n))

  (func $hash (param $k i64) (result i32)
    (i32.wrap_i64 (i64.shr_u (i64.mul (local.get $k) (i64.const 0x9e3779b97f4a7c15)) (i64.const 58))))

  ;; Where the balance of an account stands.
  (func $balance (param $k i64) (result i32)
    (local $i i32) (local $at i32) (local $tries i32)
    (call $require (i64.ne (local.get $k) (i64.const 0)))
    (local.set $i (i32.shr_u (call $hash (local.get $k)) (i32.const 1)))
    (loop $next
      (local.set $at (i32.add (i32.const 1024) (i32.shl (i32.and (local.get $i) (i32.const 31)) (i32.const 4))))
      (if (i64.eqz (i64.load $s (local.get $at))) (then (i64.store $s (local.get $at) (local.get $k))))
      (if (i64.eq (i64.load $s (local.get $at)) (local.get $k)) (then (return (i32.add (local.get $at) (i32.const 8)))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $next (i32.lt_u (local.tee $tries (i32.add (local.get $tries) (i32.const 1))) (i32.const 32))))
    (unreachable))

  ;; Where an allowance stands.
  (func $allowance (param $owner i64) (param $spender i64) (result i32)
    (local $i i32) (local $at i32) (local $tries i32)
    (call $require (i64.ne (local.get $owner) (i64.const 0)))
    (local.set $i (call $hash (i64.add (local.get $owner) (i64.rotl (local.get $spender) (i64.const 17)))))
    (loop $next
      (local.set $at (i32.add (i32.const 4096) (i32.mul (i32.and (local.get $i) (i32.const 63)) (i32.const 24))))
      (if (i64.eqz (i64.load $s (local.get $at)))
        (then
          (i64.store $s (local.get $at) (local.get $owner))
          (i64.store $s offset=8 (local.get $at) (local.get $spender))))
      (if (i32.and
            (i64.eq (i64.load $s (local.get $at)) (local.get $owner))
            (i64.eq (i64.load $s offset=8 (local.get $at)) (local.get $spender)))
        (then (return (i32.add (local.get $at) (i32.const 16)))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $next (i32.lt_u (local.tee $tries (i32.add (local.get $tries) (i32.const 1))) (i32.const 64))))
    (unreachable))

  (func $add (param $at i32) (param $n i64)
    (i64.store $s (local.get $at) (i64.add (i64.load $s (local.get $at)) (local.get $n)))
    (call $require (i64.ge_s (i64.load $s (local.get $at)) (i64.const 0))))

  (func $move (param $from i64) (param $to i64) (param $n i64)
    (call $add (call $balance (local.get $from)) (i64.sub (i64.const 0) (local.get $n)))
    (call $add (call $balance (local.get $to)) (local.get $n)))

  ;; Tells the address at $to, and wants the magic number; $from is where the owner's address is.
  (func $tell (param $to i32) (param $from i32) (param $n i64)
    (local $i i32)
    (i32.store $m (i32.const 256) (i32.const 0x5ccaa788))
    (i64.store $m (i32.const 260) (i64.load $m (local.get $from)))
    (i64.store $m (i32.const 268) (i64.load $m offset=8 (local.get $from)))
    (i32.store $m (i32.const 276) (i32.load $m offset=16 (local.get $from)))
    (local.set $i (i32.const 288))
    (loop $next
      (i64.store8 $m (local.tee $i (i32.sub (local.get $i) (i32.const 1))) (local.get $n))
      (local.set $n (i64.shr_u (local.get $n) (i64.const 8)))
      (br_if $next (i32.gt_u (local.get $i) (i32.const 280))))
    (call $require (i32.eqz (call $call (i64.const 0x7fffffffffffffff) (local.get $to) (i32.const 320) (i32.const 256) (i32.const 32))))
    (call $require (i32.ge_u (call $getReturnDataSize) (i32.const 4)))
    (call $returnDataCopy (i32.const 336) (i32.const 0) (i32.const 4))
    (call $require (i32.eq (i32.load $m (i32.const 336)) (i32.const 0x5ccaa788))))

  (func (export "main")
    (local $op i32) (local $size i32) (local $me i64) (local $left i64) (local $n i64) (local $at i32)
    (local.set $size (call $getCallDataSize))
    (call $require (i32.or (i32.eq (local.get $size) (i32.const 32)) (i32.eq (local.get $size) (i32.const 52))))
    (call $callDataCopy (i32.const 0) (i32.const 0) (local.get $size))
    (call $getCallValue (i32.const 128))
    (call $require (i64.eqz (i64.or (i64.load $m (i32.const 128)) (i64.load $m (i32.const 136)))))
    (call $getCaller (i32.const 160))
    (local.set $me (i64.load $m (i32.const 172)))
    (local.set $op (i32.load $m (i32.const 0)))
    (local.set $n (call $amount (i32.sub (local.get $size) (i32.const 8))))
    (if (i32.eq (local.get $size) (i32.const 32))
      (then
        (if (i32.eq (local.get $op) (i32.const 0x190fc140)) ;; mint
          (then
            (call $require (i64.eq (local.get $me) (i64.const 0x0a00000000000000)))
            (call $add (i32.const 0) (local.get $n))
            (call $add (call $balance (i64.load $m (i32.const 16))) (local.get $n))
            (return)))
        (if (i32.eq (local.get $op) (i32.const 0xb3a75e09)) ;; approve
          (then
            (i64.store $s (call $allowance (local.get $me) (i64.load $m (i32.const 16))) (local.get $n))
            (return)))
        (call $require (i32.eq (local.get $op) (i32.const 0xa0ae0040))) ;; transferAndCall
        (call $move (local.get $me) (i64.load $m (i32.const 16)) (local.get $n))
        (call $tell (i32.const 4) (i32.const 160) (local.get $n))
        (return)))
    (local.set $at (call $allowance (i64.load $m (i32.const 16)) (local.get $me)))
    (local.set $left (i64.load $s (local.get $at)))
    (call $require (i64.ge_u (local.get $left) (local.get $n)))
    (local.set $left (i64.sub (local.get $left) (local.get $n)))
    (if (i32.eq (local.get $op) (i32.const 0xdd72b823)) ;; transferFrom
      (then
        (i64.store $s (local.get $at) (local.get $left))
        (call $move (i64.load $m (i32.const 16)) (i64.load $m (i32.const 36)) (local.get $n))
        (return)))
    (call $require (i32.eq (local.get $op) (i32.const 0x894bd3c1))) ;; transferFromAndCall
    (call $move (i64.load $m (i32.const 16)) (i64.load $m (i32.const 36)) (local.get $n))
    (call $tell (i32.const 24) (i32.const 4) (local.get $n))
    (i64.store $s (local.get $at) (local.get $left))))
