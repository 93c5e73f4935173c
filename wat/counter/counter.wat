;; A counter: the smallest contract that keeps something.
;;
;; Storage
;;   0  i64  the count
;;
;; Methods
;;   get() -> i64
;;   increment() -> i64   the new count
;;   add(n i64) -> i64    the new count; n may be negative, and the count wraps as i64 does

(module $counter
  ;; @storage

  ;; Working memory: fresh in every call, and needed here only by the copy functions that come with the storage.
  (memory $memory (export "memory") 3)

  (global $count i32 (i32.const 0))

  (func $get (export "get") (result i64)
    (call $load_i64 (global.get $count)))

  (func $add (export "add") (param $n i64) (result i64)
    (call $store_i64 (global.get $count) (i64.add (call $get) (local.get $n)))
    (call $get))

  (func (export "increment") (result i64)
    (call $add (i64.const 1))))
