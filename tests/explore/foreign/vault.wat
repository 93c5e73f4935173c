;; The vault of vault.c as compilers of 2018 put contracts: `main` and `memory` only, selectors read as little-endian
;; words and looked up by br_table-free comparisons, words of 32 bytes, amounts of 64 bits.
;;
;; The fault: it pays before it writes. The twin in the tests swaps the lines that are marked.
;;
;; Working memory
;;   0    key: the caller, or 0 for the sum
;;   32   value
;;   64   value of a call, 128 bits
;;   96   call data
;;   160  32 bytes of zeros: the key of the sum

(module
  (import "ethereum" "call" (func $call (param i64 i32 i32 i32 i32) (result i32)))
  (import "ethereum" "callDataCopy" (func $callDataCopy (param i32 i32 i32)))
  (import "ethereum" "finish" (func $finish (param i32 i32)))
  (import "ethereum" "getCallDataSize" (func $getCallDataSize (result i32)))
  (import "ethereum" "getCallValue" (func $getCallValue (param i32)))
  (import "ethereum" "getCaller" (func $getCaller (param i32)))
  (import "ethereum" "revert" (func $revert (param i32 i32)))
  (import "ethereum" "storageLoad" (func $storageLoad (param i32 i32)))
  (import "ethereum" "storageStore" (func $storageStore (param i32 i32)))
  (memory (export "memory") 1)

  (func $require (param $condition i32)
    (if (i32.eqz (local.get $condition)) (then (call $revert (i32.const 0) (i32.const 0)))))

  ;; The bytes of a number the other way round.
  (func $swap (param $x i64) (result i64)
    (local.set $x (i64.or
      (i64.and (i64.shr_u (local.get $x) (i64.const 8)) (i64.const 0x00ff00ff00ff00ff))
      (i64.shl (i64.and (local.get $x) (i64.const 0x00ff00ff00ff00ff)) (i64.const 8))))
    (local.set $x (i64.or
      (i64.and (i64.shr_u (local.get $x) (i64.const 16)) (i64.const 0x0000ffff0000ffff))
      (i64.shl (i64.and (local.get $x) (i64.const 0x0000ffff0000ffff)) (i64.const 16))))
    (i64.rotl (local.get $x) (i64.const 32)))

  (func $get (param $key i32) (result i64)
    (call $storageLoad (local.get $key) (i32.const 32))
    (call $swap (i64.load (i32.const 56))))

  (func $set (param $key i32) (param $to i64)
    (memory.fill (i32.const 32) (i32.const 0) (i32.const 24))
    (i64.store (i32.const 56) (call $swap (local.get $to)))
    (call $storageStore (local.get $key) (i32.const 32)))

  (func $argument
    (call $require (i32.eq (call $getCallDataSize) (i32.const 36)))
    (call $callDataCopy (i32.const 96) (i32.const 4) (i32.const 32)))

  (func $answer (param $key i32)
    (call $storageLoad (local.get $key) (i32.const 32))
    (call $finish (i32.const 32) (i32.const 32)))

  (func $pay (param $what i64)
    (i64.store (i32.const 64) (local.get $what))
    (i64.store (i32.const 72) (i64.const 0))
    (call $require (i32.eqz
      (call $call (i64.const 0x7fffffffffffffff) (i32.const 12) (i32.const 64) (i32.const 0) (i32.const 0)))))

  (func $withdraw (param $what i64) (local $has i64)
    (local.set $has (call $get (i32.const 0)))
    (call $require (i32.and (i64.ne (local.get $what) (i64.const 0)) (i64.le_u (local.get $what) (local.get $has))))
    (call $pay (local.get $what)) ;; pay
    (call $set (i32.const 0) (i64.sub (local.get $has) (local.get $what))) ;; write
    (call $set (i32.const 160) (i64.sub (call $get (i32.const 160)) (local.get $what))))

  (func (export "main") (local $paid i64) (local $method i32)
    (call $getCaller (i32.const 12))
    (call $getCallValue (i32.const 64))
    (local.set $paid (i64.load (i32.const 64)))
    (call $require (i32.ge_u (call $getCallDataSize) (i32.const 4)))
    (call $callDataCopy (i32.const 96) (i32.const 0) (i32.const 4))
    (local.set $method (i32.load (i32.const 96)))
    (if (i32.eq (local.get $method) (i32.const 0xb00de3d0)) ;; deposit()
      (then
        (call $set (i32.const 0) (i64.add (call $get (i32.const 0)) (local.get $paid)))
        (call $set (i32.const 160) (i64.add (call $get (i32.const 160)) (local.get $paid)))
        (return)))
    (call $require (i64.eqz (local.get $paid)))
    (if (i32.eq (local.get $method) (i32.const 0x4d7d1a2e)) ;; withdraw(uint256)
      (then
        (call $argument)
        (call $require (i64.eqz (i64.or (i64.load (i32.const 96)) (i64.or (i64.load (i32.const 104)) (i64.load (i32.const 112))))))
        (call $withdraw (call $swap (i64.load (i32.const 120))))
        (return)))
    (if (i32.eq (local.get $method) (i32.const 0xdd0d1618)) (then (call $answer (i32.const 160)))) ;; totalSupply()
    (if (i32.eq (local.get $method) (i32.const 0x3182a070)) (then (call $argument) (call $answer (i32.const 96)))) ;; balanceOf(address)
    (call $revert (i32.const 0) (i32.const 0))))
