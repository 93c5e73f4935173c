;; The storage prelude of the linking option `methods`: the memory stays private to the storage module, and the contract
;; imports functions that reach into it. It is spliced into a fixture in place of its `@storage` line. Imports come
;; first. All offsets and lengths are in bytes, sizes in Wasm pages. An access out of bounds traps.

(import "storage" "load_i32" (func $load_i32 (param $offset i32) (result i32)))
(import "storage" "load_i64" (func $load_i64 (param $offset i32) (result i64)))
(import "storage" "load_i32_8_u" (func $load_u8 (param $offset i32) (result i32)))

(import "storage" "store_i32" (func $store_i32 (param $offset i32) (param $value i32)))
(import "storage" "store_i64" (func $store_i64 (param $offset i32) (param $value i64)))
(import "storage" "store_i32_8" (func $store_u8 (param $offset i32) (param $value i32)))

;; From working memory into storage. The contract's memory is the one that it exports as `memory`.
(import "storage" "copy_in"
  (func $copy_in (param $memory_offset i32) (param $storage_offset i32) (param $length i32)))

;; From storage into working memory.
(import "storage" "copy_out"
  (func $copy_out (param $memory_offset i32) (param $storage_offset i32) (param $length i32)))

(import "storage" "size" (func $storage_size (result i32)))

;; Gives the size before, or -1 where storage cannot grow by that much.
(import "storage" "grow" (func $storage_grow (param $pages i32) (result i32)))

;; A second region is a matter of the option `regions`; here there is none to reach.
(func $spare_load (param $offset i32) (result i64) (unreachable))
(func $spare_store (param $offset i32) (param $value i64) (unreachable))
(func $spare_size (result i32) (unreachable))
(func $spare_grow (param $pages i32) (result i32) (unreachable))
