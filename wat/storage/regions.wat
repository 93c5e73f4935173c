;; The storage prelude of the linking option `regions`: the contract's storage is several memories, imported by name.
;; The region `memory` is what the fixtures address; the region `spare` begins empty and can grow to 16 pages.
;; It is spliced into a fixture in place of its `@storage` line. Imports come first. `$memory` is the working memory of
;; the fixture. All offsets and lengths are in bytes, sizes in Wasm pages.

(import "storage" "memory" (memory $storage 1))
(import "storage" "spare" (memory $spare 0 16))

(func $load_i32 (param $offset i32) (result i32) (i32.load $storage (local.get $offset)))
(func $load_i64 (param $offset i32) (result i64) (i64.load $storage (local.get $offset)))
(func $load_u8 (param $offset i32) (result i32) (i32.load8_u $storage (local.get $offset)))

(func $store_i32 (param $offset i32) (param $value i32)
  (i32.store $storage (local.get $offset) (local.get $value)))
(func $store_i64 (param $offset i32) (param $value i64)
  (i64.store $storage (local.get $offset) (local.get $value)))
(func $store_u8 (param $offset i32) (param $value i32)
  (i32.store8 $storage (local.get $offset) (local.get $value)))

;; From working memory into storage. `memory.copy` would do, but wasmtime carries that out in the host, where page
;; protection cannot stop it; with plain loads and stores a forbidden access traps at once.
(func $copy_in (param $memory_offset i32) (param $storage_offset i32) (param $length i32)
  (call $require_storage (local.get $storage_offset) (local.get $length))
  (block $done
    (loop $next
      (br_if $done (i32.eqz (local.get $length)))
      (local.set $length (i32.sub (local.get $length) (i32.const 1)))
      (i32.store8 $storage
        (i32.add (local.get $storage_offset) (local.get $length))
        (i32.load8_u $memory (i32.add (local.get $memory_offset) (local.get $length))))
      (br $next))))

;; From storage into working memory.
(func $copy_out (param $memory_offset i32) (param $storage_offset i32) (param $length i32)
  (call $require_storage (local.get $storage_offset) (local.get $length))
  (block $done
    (loop $next
      (br_if $done (i32.eqz (local.get $length)))
      (local.set $length (i32.sub (local.get $length) (i32.const 1)))
      (i32.store8 $memory
        (i32.add (local.get $memory_offset) (local.get $length))
        (i32.load8_u $storage (i32.add (local.get $storage_offset) (local.get $length))))
      (br $next))))

;; Trap unless storage has these bytes.
(func $require_storage (param $offset i32) (param $length i32)
  (if (i64.gt_u
        (i64.add (i64.extend_i32_u (local.get $offset)) (i64.extend_i32_u (local.get $length)))
        (i64.shl (i64.extend_i32_u (memory.size $storage)) (i64.const 16)))
    (then (unreachable))))

(func $storage_size (result i32) (memory.size $storage))

;; Gives the size before, or -1 where storage cannot grow by that much.
(func $storage_grow (param $pages i32) (result i32) (memory.grow $storage (local.get $pages)))

;; The second region, with a length of its own.
(func $spare_load (param $offset i32) (result i64) (i64.load $spare (local.get $offset)))
(func $spare_store (param $offset i32) (param $value i64) (i64.store $spare (local.get $offset) (local.get $value)))
(func $spare_size (result i32) (memory.size $spare))
(func $spare_grow (param $pages i32) (result i32) (memory.grow $spare (local.get $pages)))
