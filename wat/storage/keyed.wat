;; The storage prelude of the linking option `keyed`: 32-byte values by 32-byte keys, each loaded and stored by a call of
;; the host. Linear storage is laid over it, the key being the number of a 32-byte slot: storage of 64 KiB, byte n of
;; which is byte n % 32 of the value at key n / 32. It is spliced into a fixture in place of its `@storage` line. Imports
;; come first. All offsets and lengths are in bytes, sizes in Wasm pages. An access out of bounds traps.

(import "ethereum" "storageLoad" (func $keyed_load (param $key_offset i32) (param $result_offset i32)))
(import "ethereum" "storageStore" (func $keyed_store (param $key_offset i32) (param $value_offset i32)))

;; In the prelude's pages of working memory: the key at 0, and at 64 the values of two neighbouring slots.
(global $keyed_page i32 (i32.const 0x10000))

;; Trap unless storage has these bytes.
(func $keyed_require (param $offset i32) (param $length i32)
  (if (i64.gt_u
        (i64.add (i64.extend_i32_u (local.get $offset)) (i64.extend_i32_u (local.get $length)))
        (i64.const 0x10000))
    (then (unreachable))))

;; Set the key to the number of a slot, big-endian in its last four bytes, of which two are used.
(func $keyed_key (param $slot i32)
  (i32.store8 $memory offset=30 (global.get $keyed_page) (i32.shr_u (local.get $slot) (i32.const 8)))
  (i32.store8 $memory offset=31 (global.get $keyed_page) (local.get $slot)))

;; Bring the slot that holds an offset, and the next one, to working memory; give the address of the byte there.
(func $keyed_fetch (param $offset i32) (result i32)
  (local $slot i32)
  (local.set $slot (i32.shr_u (local.get $offset) (i32.const 5)))
  (call $keyed_key (local.get $slot))
  (call $keyed_load (global.get $keyed_page) (i32.add (global.get $keyed_page) (i32.const 64)))
  (call $keyed_key (i32.add (local.get $slot) (i32.const 1)))
  (call $keyed_load (global.get $keyed_page) (i32.add (global.get $keyed_page) (i32.const 96)))
  (i32.add
    (i32.add (global.get $keyed_page) (i32.const 64))
    (i32.and (local.get $offset) (i32.const 31))))

;; Bring the slot that holds an offset back to storage, and the next one if bytes up to there were changed.
(func $keyed_keep (param $offset i32) (param $length i32)
  (local $slot i32)
  (local.set $slot (i32.shr_u (local.get $offset) (i32.const 5)))
  (call $keyed_key (local.get $slot))
  (call $keyed_store (global.get $keyed_page) (i32.add (global.get $keyed_page) (i32.const 64)))
  (if (i32.gt_u
        (i32.add (i32.and (local.get $offset) (i32.const 31)) (local.get $length))
        (i32.const 32))
    (then
      (call $keyed_key (i32.add (local.get $slot) (i32.const 1)))
      (call $keyed_store (global.get $keyed_page) (i32.add (global.get $keyed_page) (i32.const 96))))))

(func $load_i32 (param $offset i32) (result i32)
  (call $keyed_require (local.get $offset) (i32.const 4))
  (i32.load $memory (call $keyed_fetch (local.get $offset))))
(func $load_i64 (param $offset i32) (result i64)
  (call $keyed_require (local.get $offset) (i32.const 8))
  (i64.load $memory (call $keyed_fetch (local.get $offset))))
(func $load_u8 (param $offset i32) (result i32)
  (call $keyed_require (local.get $offset) (i32.const 1))
  (i32.load8_u $memory (call $keyed_fetch (local.get $offset))))

(func $store_i32 (param $offset i32) (param $value i32)
  (call $keyed_require (local.get $offset) (i32.const 4))
  (i32.store $memory (call $keyed_fetch (local.get $offset)) (local.get $value))
  (call $keyed_keep (local.get $offset) (i32.const 4)))
(func $store_i64 (param $offset i32) (param $value i64)
  (call $keyed_require (local.get $offset) (i32.const 8))
  (i64.store $memory (call $keyed_fetch (local.get $offset)) (local.get $value))
  (call $keyed_keep (local.get $offset) (i32.const 8)))
(func $store_u8 (param $offset i32) (param $value i32)
  (call $keyed_require (local.get $offset) (i32.const 1))
  (i32.store8 $memory (call $keyed_fetch (local.get $offset)) (local.get $value))
  (call $keyed_keep (local.get $offset) (i32.const 1)))

;; From working memory into storage.
(func $copy_in (param $memory_offset i32) (param $storage_offset i32) (param $length i32)
  (call $keyed_require (local.get $storage_offset) (local.get $length))
  (block $done
    (loop $next
      (br_if $done (i32.eqz (local.get $length)))
      (local.set $length (i32.sub (local.get $length) (i32.const 1)))
      (call $store_u8
        (i32.add (local.get $storage_offset) (local.get $length))
        (i32.load8_u $memory (i32.add (local.get $memory_offset) (local.get $length))))
      (br $next))))

;; From storage into working memory.
(func $copy_out (param $memory_offset i32) (param $storage_offset i32) (param $length i32)
  (call $keyed_require (local.get $storage_offset) (local.get $length))
  (block $done
    (loop $next
      (br_if $done (i32.eqz (local.get $length)))
      (local.set $length (i32.sub (local.get $length) (i32.const 1)))
      (i32.store8 $memory
        (i32.add (local.get $memory_offset) (local.get $length))
        (call $load_u8 (i32.add (local.get $storage_offset) (local.get $length))))
      (br $next))))

;; Always one Wasm page, and no way to more.
(func $storage_size (result i32) (i32.const 1))
(func $storage_grow (param $pages i32) (result i32) (select (i32.const -1) (i32.const 1) (local.get $pages)))

;; A second region is a matter of the option `regions`; here there is none to reach.
(func $spare_load (param $offset i32) (result i64) (unreachable))
(func $spare_store (param $offset i32) (param $value i64) (unreachable))
(func $spare_size (result i32) (unreachable))
(func $spare_grow (param $pages i32) (result i32) (unreachable))
