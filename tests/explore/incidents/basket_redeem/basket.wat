;; A basket of two assets that are worth the same, gold (1) and silver (2). Its shares are bought and sold in either.
;; Storage, by keys of 32 bytes, the last 16 of which are an account or asset and a kind (both big-endian):
;;   kind 1 the shares of an account; 2 all shares; 3 the lock of an asset
;; Methods: setup(a, x, b, y) once; join(asset, amount); redeem(asset, n); shares(who), supply(), total() -> i64

(module $basket
  (import "contract:gold" "balance" (func $gold.balance (param i64) (result i64)))
  (import "contract:silver" "balance" (func $silver.balance (param i64) (result i64)))
  (import "contract:gold" "take" (func $gold.take (param i64 i64)))
  (import "contract:silver" "take" (func $silver.take (param i64 i64)))
  (import "contract:gold" "move" (func $gold.move (param i64 i64)))
  (import "contract:silver" "move" (func $silver.move (param i64 i64)))
  (import "ethereum" "getCaller" (func $eth_getCaller (param i32)))
  (import "ethereum" "revert" (func $eth_revert (param i32 i32)))
  (import "ethereum" "storageLoad" (func $eth_storageLoad (param i32 i32)))
  (import "ethereum" "storageStore" (func $eth_storageStore (param i32 i32)))
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

  (func $main (export "main"))

  (func $setup (export "setup") (param $a i64) (param $x i64) (param $b i64) (param $y i64)
    (call $require (i64.eq (call $_get (i64.const 2) (i64.const 0)) (i64.const 0)))
    (call $_put (i64.const 2) (i64.const 0) (i64.add (local.get $x) (local.get $y)))
    (call $_put (i64.const 1) (local.get $a) (local.get $x))
    (call $_put (i64.const 1) (local.get $b) (local.get $y)))

  (func $_at (param $kind i64) (param $who i64)
    (i64.store $memory (i32.const 256) (i64.const 0))
    (i64.store $memory (i32.const 264) (i64.const 0))
    (call $_be_set (i64.const 272) (i64.const 8) (local.get $who))
    (call $_be_set (i64.const 280) (i64.const 8) (local.get $kind)))

  (func $_get (param $kind i64) (param $who i64) (result i64)
    (call $_at (local.get $kind) (local.get $who))
    (call $eth_storageLoad (i32.const 256) (i32.const 288))
    (return (i64.load $memory (i32.const 288))))

  (func $_put (param $kind i64) (param $who i64) (param $x i64)
    (call $_at (local.get $kind) (local.get $who))
    (i64.store $memory (i32.const 288) (local.get $x))
    (i64.store $memory (i32.const 296) (i64.const 0))
    (i64.store $memory (i32.const 304) (i64.const 0))
    (i64.store $memory (i32.const 312) (i64.const 0))
    (call $eth_storageStore (i32.const 256) (i32.const 288)))

  (func $shares (export "shares") (param $who i64) (result i64)
    (return (call $_get (i64.const 1) (local.get $who))))

  (func $supply (export "supply") (result i64)
    (return (call $_get (i64.const 2) (i64.const 0))))

  (func $total (export "total") (result i64)
    (return (i64.add (call $gold.balance (i64.const 32)) (call $silver.balance (i64.const 32)))))

  (func $_lock (param $asset i64)
    (call $require (if (result i32) (i64.eq (local.get $asset) (i64.const 1)) (then (i32.const 1)) (else (i64.eq (local.get $asset) (i64.const 2)))))
    (call $require (i64.eq (call $_get (i64.const 3) (local.get $asset)) (i64.const 0)))
    (call $_put (i64.const 3) (local.get $asset) (i64.const 1)))

  (func $_unlock (param $asset i64)
    (call $_put (i64.const 3) (local.get $asset) (i64.const 0)))

  (func $join (export "join") (param $asset i64) (param $amount i64)
    (local $me i64)
    (local $n i64)
    (call $_lock (local.get $asset))
    (call $require (if (result i32) (i64.gt_s (local.get $amount) (i64.const 0)) (then (i64.lt_s (local.get $amount) (i64.const 1000000))) (else (i32.const 0))))
    (local.set $me (call $_me ))
    (local.set $n (i64.div_s (i64.mul (local.get $amount) (call $supply )) (call $total )))
    (call $require (i64.gt_s (local.get $n) (i64.const 0)))
    (if (i64.eq (local.get $asset) (i64.const 1))
      (then
        (call $gold.take (local.get $me) (local.get $amount)))
      (else
        (call $silver.take (local.get $me) (local.get $amount))))
    (call $_put (i64.const 1) (local.get $me) (i64.add (call $shares (local.get $me)) (local.get $n)))
    (call $_put (i64.const 2) (i64.const 0) (i64.add (call $supply ) (local.get $n)))
    (call $_unlock (local.get $asset)))

  (func $redeem (export "redeem") (param $asset i64) (param $n i64)
    (local $amount i64)
    (local $have i64)
    (local $me i64)
    (call $_lock (local.get $asset))
    (local.set $me (call $_me ))
    (local.set $have (call $shares (local.get $me)))
    (call $require (if (result i32) (if (result i32) (i64.gt_s (local.get $n) (i64.const 0)) (then (i64.le_s (local.get $n) (local.get $have))) (else (i32.const 0))) (then (i64.lt_s (local.get $n) (call $supply ))) (else (i32.const 0))))
    (local.set $amount (i64.div_s (i64.mul (local.get $n) (call $total )) (call $supply )))
    (if (i64.eq (local.get $asset) (i64.const 1))
      (then
        (call $gold.move (local.get $me) (local.get $amount)))
      (else
        (call $silver.move (local.get $me) (local.get $amount))))
    (call $_put (i64.const 1) (local.get $me) (i64.sub (local.get $have) (local.get $n)))
    (call $_put (i64.const 2) (i64.const 0) (i64.sub (call $supply ) (local.get $n)))
    (call $_unlock (local.get $asset))))
