;; A contract that does what its call data says: for tests, fuzzing, and trying things out. Its call data is a script of
;; operations, which `main` carries out one after the other; some append a result to an output, with which the call ends
;; when the script does. Scripts for other puppets can stand inside scripts, as the data of a call.
;; In Python, `storagemod.scenario.puppet` writes scripts and reads outputs.
;;
;; An operation is one byte of opcode and then its operands. All numbers are little-endian; `data` and `script` are as
;; long as the number before them says. Call data and output are 1 MiB at most. The puppet traps where an opcode is
;; unknown, where the call data ends within an operation, and where the output becomes too long.
;;
;;   opcode  operation      operands                             appends
;;   0x00    trap
;;   0x01    finish                                              (ends the call with the output so far)
;;   0x02    revert                                              (ends the call with the output so far, and undoes it)
;;   0x03    burn           n u32                                (goes round a loop n times)
;;   0x04    stack_overflow                                      (calls itself without end)
;;   0x05    out_of_bounds                                       (loads from far outside its working memory)
;;   0x10    load           offset u32                           value i64
;;   0x11    store          offset u32, value i64
;;   0x12    store8         offset u32, value u8
;;   0x13    grow           pages u32                            pages before, or -1: i32
;;   0x14    size                                                pages i32
;;   0x15    copy_in        offset u32, length u32, data
;;   0x16    copy_out       offset u32, length u32               data
;;   0x20    spare_load     offset u32                           value i64
;;   0x21    spare_store    offset u32, value i64
;;   0x22    spare_grow     pages u32                            pages before, or -1: i32
;;   0x23    spare_size                                          pages i32
;;   0x30    memory_load    offset u32                           value i64
;;   0x31    memory_store   offset u32, value i64
;;   0x40    call           kind u8, address 20 bytes, gas i64,  outcome i32, length u32, output data
;;                          value u128, length u32, script
;;   0x41    emit_log       n u8, n topics of 32 bytes,
;;                          length u32, data
;;   0x50    caller                                              address 20 bytes
;;   0x51    own_address                                         address 20 bytes
;;   0x52    call_value                                          value u128
;;
;; Operations 0x1_ work on storage (the region `memory`), 0x2_ on the region `spare` (under the linking option
;; `regions`; they trap under others), 0x3_ on 1 KiB of working memory, offsets 0 to 1016, which is zero when a call
;; begins. The kind of a call is 0 call, 1 callStatic, 2 callDelegate (the last two leave the value aside); its gas is
;; the most that the callee may use, 2^63 - 1 for all there is; its outcome is 0 ok, 1 failed (there is no output then),
;; 2 reverted. `script.toml` has a script written out by hand.
;;
;; Storage: whatever the script puts there.

(module $puppet
  (import "ethereum" "call"
    (func $ethereum_call
      (param $gas i64) (param $address i32) (param $value i32) (param $data i32) (param $length i32) (result i32)))
  (import "ethereum" "callStatic"
    (func $ethereum_call_static
      (param $gas i64) (param $address i32) (param $data i32) (param $length i32) (result i32)))
  (import "ethereum" "callDelegate"
    (func $ethereum_call_delegate
      (param $gas i64) (param $address i32) (param $data i32) (param $length i32) (result i32)))
  (import "ethereum" "getCallDataSize" (func $ethereum_call_data_size (result i32)))
  (import "ethereum" "callDataCopy"
    (func $ethereum_call_data_copy (param $result i32) (param $offset i32) (param $length i32)))
  (import "ethereum" "getReturnDataSize" (func $ethereum_return_data_size (result i32)))
  (import "ethereum" "returnDataCopy"
    (func $ethereum_return_data_copy (param $result i32) (param $offset i32) (param $length i32)))
  (import "ethereum" "finish" (func $ethereum_finish (param $offset i32) (param $length i32)))
  (import "ethereum" "revert" (func $ethereum_revert (param $offset i32) (param $length i32)))
  (import "ethereum" "getCaller" (func $ethereum_caller (param $result i32)))
  (import "ethereum" "getAddress" (func $ethereum_address (param $result i32)))
  (import "ethereum" "getCallValue" (func $ethereum_call_value (param $result i32)))
  (import "ethereum" "log"
    (func $ethereum_log
      (param $data i32) (param $length i32) (param $topics i32)
      (param $topic1 i32) (param $topic2 i32) (param $topic3 i32) (param $topic4 i32)))
  ;; @storage

  ;; Working memory: at 0 the 1 KiB that scripts may use, at 0x10000 two pages for the storage prelude, at 0x30000 the
  ;; call data, and behind it the output.
  (memory $memory (export "memory") 3 36)

  (global $own_bytes i32 (i32.const 1024))
  (global $script i32 (i32.const 0x30000))
  (global $data_bytes_max i32 (i32.const 0x100000)) ;; of call data and of output, each

  (global $cursor (mut i32) (i32.const 0)) ;; the next byte of the script
  (global $end (mut i32) (i32.const 0)) ;; the end of the script, and the beginning of the output
  (global $output_bytes (mut i32) (i32.const 0)) ;; the length of the output so far

  ;; The operations by opcode. What is left out, within the table or beyond it, traps.
  (type $operation (func))
  (table $operations 0x53 funcref)
  (elem (i32.const 0x00) $trap $finish $revert $burn $stack_overflow $out_of_bounds)
  (elem (i32.const 0x10) $load $store $store8 $grow $size $copy_in_data $copy_out_data)
  (elem (i32.const 0x20) $spare_load_value $spare_store_value $spare_grow_pages $spare_size_pages)
  (elem (i32.const 0x30) $memory_load $memory_store)
  (elem (i32.const 0x40) $call $emit_log)
  (elem (i32.const 0x50) $caller $own_address $call_value)

  (func (export "main")
    (call $read_script)
    (block $done
      (loop $next
        (br_if $done (i32.eq (global.get $cursor) (global.get $end)))
        (call_indirect $operations (type $operation) (call $take_u8))
        (br $next)))
    (call $finish))

  ;; Bring the call data into working memory, and begin an empty output behind it.
  (func $read_script
    (local $length i32)
    (local.set $length (call $ethereum_call_data_size))
    (call $require (i32.le_u (local.get $length) (global.get $data_bytes_max)))
    (global.set $cursor (global.get $script))
    (global.set $end (i32.add (global.get $script) (local.get $length)))
    (global.set $output_bytes (i32.const 0))
    (call $reach (global.get $end))
    (call $ethereum_call_data_copy (global.get $script) (i32.const 0) (local.get $length)))

  (func $require (param $condition i32)
    (if (i32.eqz (local.get $condition))
      (then (unreachable))))

  ;; Grow working memory until it has so many bytes. No more than 0x30000 + 2 MiB are asked for, so nothing overflows.
  (func $reach (param $bytes i32)
    (local $missing i32) ;; in pages
    (local.set $missing
      (i32.sub
        (i32.shr_u (i32.add (local.get $bytes) (i32.const 0xffff)) (i32.const 16))
        (memory.size $memory)))
    (if (i32.gt_s (local.get $missing) (i32.const 0))
      (then
        (call $require (i32.ne (memory.grow $memory (local.get $missing)) (i32.const -1))))))

  ;; Reading the script. `take` passes over so many bytes of it, and gives the address where they stand.

  (func $take (param $length i32) (result i32)
    (local $taken i32)
    (local.set $taken (global.get $cursor))
    (call $require (i32.le_u (local.get $length) (i32.sub (global.get $end) (local.get $taken))))
    (global.set $cursor (i32.add (local.get $taken) (local.get $length)))
    (local.get $taken))

  (func $take_u8 (result i32) (i32.load8_u $memory (call $take (i32.const 1))))
  (func $take_u32 (result i32) (i32.load $memory (call $take (i32.const 4))))
  (func $take_i64 (result i64) (i64.load $memory (call $take (i32.const 8))))

  ;; Writing the output. `room` makes it longer by so many bytes, and gives the address where they go.

  (func $room (param $length i32) (result i32)
    (local $room i32)
    (call $require
      (i32.le_u (local.get $length) (i32.sub (global.get $data_bytes_max) (global.get $output_bytes))))
    (local.set $room (i32.add (global.get $end) (global.get $output_bytes)))
    (global.set $output_bytes (i32.add (global.get $output_bytes) (local.get $length)))
    (call $reach (i32.add (local.get $room) (local.get $length)))
    (local.get $room))

  (func $append_i32 (param $value i32) (i32.store $memory (call $room (i32.const 4)) (local.get $value)))
  (func $append_i64 (param $value i64) (i64.store $memory (call $room (i32.const 8)) (local.get $value)))

  ;; 0x0_: ways to end, and ways to get there.

  (func $trap (unreachable))

  ;; Neither `finish` nor `revert` returns from its host function.
  (func $finish (call $ethereum_finish (global.get $end) (global.get $output_bytes)) (unreachable))
  (func $revert (call $ethereum_revert (global.get $end) (global.get $output_bytes)) (unreachable))

  (func $burn
    (local $left i32)
    (local.set $left (call $take_u32))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $left)))
        (local.set $left (i32.sub (local.get $left) (i32.const 1)))
        (br $next))))

  (func $stack_overflow (call $descend (i32.const 0)) (drop))

  ;; The addition is left to do after the call, so that this cannot become a loop.
  (func $descend (param $depth i32) (result i32)
    (i32.add (call $descend (i32.add (local.get $depth) (i32.const 1))) (i32.const 1)))

  (func $out_of_bounds (call $append_i64 (i64.load $memory (i32.const -8))))

  ;; 0x1_: storage.

  (func $load (call $append_i64 (call $load_i64 (call $take_u32))))
  (func $store (call $store_i64 (call $take_u32) (call $take_i64)))
  (func $store8 (call $store_u8 (call $take_u32) (call $take_u8)))
  (func $grow (call $append_i32 (call $storage_grow (call $take_u32))))
  (func $size (call $append_i32 (call $storage_size)))

  (func $copy_in_data
    (local $offset i32)
    (local $length i32)
    (local.set $offset (call $take_u32))
    (local.set $length (call $take_u32))
    (call $copy_in (call $take (local.get $length)) (local.get $offset) (local.get $length)))

  (func $copy_out_data
    (local $offset i32)
    (local $length i32)
    (local.set $offset (call $take_u32))
    (local.set $length (call $take_u32))
    (call $copy_out (call $room (local.get $length)) (local.get $offset) (local.get $length)))

  ;; 0x2_: the second region.

  (func $spare_load_value (call $append_i64 (call $spare_load (call $take_u32))))
  (func $spare_store_value (call $spare_store (call $take_u32) (call $take_i64)))
  (func $spare_grow_pages (call $append_i32 (call $spare_grow (call $take_u32))))
  (func $spare_size_pages (call $append_i32 (call $spare_size)))

  ;; 0x3_: working memory.

  (func $take_own_offset (result i32)
    (local $offset i32)
    (local.set $offset (call $take_u32))
    (call $require (i32.le_u (local.get $offset) (i32.sub (global.get $own_bytes) (i32.const 8))))
    (local.get $offset))

  (func $memory_load (call $append_i64 (i64.load $memory (call $take_own_offset))))
  (func $memory_store (i64.store $memory (call $take_own_offset) (call $take_i64)))

  ;; 0x4_: what reaches others.

  (func $call
    (local $kind i32)
    (local $address i32)
    (local $gas i64)
    (local $value i32)
    (local $length i32)
    (local $data i32)
    (local.set $kind (call $take_u8))
    (local.set $address (call $take (i32.const 20)))
    (local.set $gas (call $take_i64))
    (local.set $value (call $take (i32.const 16)))
    (local.set $length (call $take_u32))
    (local.set $data (call $take (local.get $length)))
    (call $require (i32.le_u (local.get $kind) (i32.const 2)))
    (call $append_i32
      (if (result i32) (i32.eqz (local.get $kind))
        (then
          (call $ethereum_call
            (local.get $gas) (local.get $address) (local.get $value) (local.get $data) (local.get $length)))
        (else
          (if (result i32) (i32.eq (local.get $kind) (i32.const 1))
            (then
              (call $ethereum_call_static
                (local.get $gas) (local.get $address) (local.get $data) (local.get $length)))
            (else
              (call $ethereum_call_delegate
                (local.get $gas) (local.get $address) (local.get $data) (local.get $length)))))))
    ;; The output of the callee, at once: the next call would replace it.
    (local.set $length (call $ethereum_return_data_size))
    (call $append_i32 (local.get $length))
    (call $ethereum_return_data_copy (call $room (local.get $length)) (i32.const 0) (local.get $length)))

  (func $emit_log
    (local $count i32)
    (local $topics i32)
    (local $length i32)
    (local.set $count (call $take_u8))
    (call $require (i32.le_u (local.get $count) (i32.const 4)))
    (local.set $topics (call $take (i32.shl (local.get $count) (i32.const 5))))
    (local.set $length (call $take_u32))
    (call $ethereum_log
      (call $take (local.get $length))
      (local.get $length)
      (local.get $count)
      ;; Addresses of topics beyond the count mean nothing, and the host does not look there.
      (local.get $topics)
      (i32.add (local.get $topics) (i32.const 32))
      (i32.add (local.get $topics) (i32.const 64))
      (i32.add (local.get $topics) (i32.const 96))))

  ;; 0x5_: what a call knows about itself.

  (func $caller (call $ethereum_caller (call $room (i32.const 20))))
  (func $own_address (call $ethereum_address (call $room (i32.const 20))))
  (func $call_value (call $ethereum_call_value (call $room (i32.const 16)))))
