;; The storage prelude of the linking option `window`: the first 64 KiB of storage are mapped into the window, a memory of
;; the storage module, when storage is used for the first time in a call. Calls inside one another share that window, so
;; for all but the first it is mapped already. It is spliced into a fixture in place of its `@storage` line. Imports come
;; first. `$memory` is the working memory of the fixture. All offsets and lengths are in bytes, sizes in Wasm pages.

(import "storage" "window" (memory $window 1))
(import "ethereum" "storageMap"
  (func $storage_map (param $window_offset i32) (param $storage_offset i32) (param $length i32)))

(global $mapped (mut i32) (i32.const 0))

;; Where a byte of storage is in the window. Trap unless storage has so many bytes from there on.
(func $storage_at (param $offset i32) (param $length i32) (result i32)
  (if (i32.eqz (global.get $mapped))
    (then
      (call $storage_map (i32.const 0) (i32.const 0) (i32.const 0x10000))
      (global.set $mapped (i32.const 1))))
  (if (i64.gt_u
        (i64.add (i64.extend_i32_u (local.get $offset)) (i64.extend_i32_u (local.get $length)))
        (i64.const 0x10000))
    (then (unreachable)))
  (local.get $offset))

(func $load_i32 (param $offset i32) (result i32)
  (i32.load $window (call $storage_at (local.get $offset) (i32.const 4))))
(func $load_i64 (param $offset i32) (result i64)
  (i64.load $window (call $storage_at (local.get $offset) (i32.const 8))))
(func $load_u8 (param $offset i32) (result i32)
  (i32.load8_u $window (call $storage_at (local.get $offset) (i32.const 1))))

(func $store_i32 (param $offset i32) (param $value i32)
  (i32.store $window (call $storage_at (local.get $offset) (i32.const 4)) (local.get $value)))
(func $store_i64 (param $offset i32) (param $value i64)
  (i64.store $window (call $storage_at (local.get $offset) (i32.const 8)) (local.get $value)))
(func $store_u8 (param $offset i32) (param $value i32)
  (i32.store8 $window (call $storage_at (local.get $offset) (i32.const 1)) (local.get $value)))

;; From working memory into storage. `memory.copy` would do, but wasmtime carries that out in the host, where page
;; protection cannot stop it; with plain loads and stores a forbidden access traps at once.
(func $copy_in (param $memory_offset i32) (param $storage_offset i32) (param $length i32)
  (drop (call $storage_at (local.get $storage_offset) (local.get $length)))
  (block $done
    (loop $next
      (br_if $done (i32.eqz (local.get $length)))
      (local.set $length (i32.sub (local.get $length) (i32.const 1)))
      (i32.store8 $window
        (i32.add (local.get $storage_offset) (local.get $length))
        (i32.load8_u $memory (i32.add (local.get $memory_offset) (local.get $length))))
      (br $next))))

;; From storage into working memory.
(func $copy_out (param $memory_offset i32) (param $storage_offset i32) (param $length i32)
  (drop (call $storage_at (local.get $storage_offset) (local.get $length)))
  (block $done
    (loop $next
      (br_if $done (i32.eqz (local.get $length)))
      (local.set $length (i32.sub (local.get $length) (i32.const 1)))
      (i32.store8 $memory
        (i32.add (local.get $memory_offset) (local.get $length))
        (i32.load8_u $window (i32.add (local.get $storage_offset) (local.get $length))))
      (br $next))))

;; Always one Wasm page, and no way to more: this prelude maps no more.
(func $storage_size (result i32) (i32.const 1))
(func $storage_grow (param $pages i32) (result i32) (select (i32.const -1) (i32.const 1) (local.get $pages)))

;; A second region is a matter of the option `regions`; here there is none to reach.
(func $spare_load (param $offset i32) (result i64) (unreachable))
(func $spare_store (param $offset i32) (param $value i64) (unreachable))
(func $spare_size (result i32) (unreachable))
(func $spare_grow (param $pages i32) (result i32) (unreachable))
