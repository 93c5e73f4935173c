;; Pays everybody half as much again as they put in, in order, as long as there is money. A sponsor has put in some.
;;
;; Storage
;;   0            i64  how many places in the queue are taken, of 64
;;   8            i64  whose turn it is
;;   16           i64  what came in all in all
;;   64 + 8*n     i64  who stands at place `n`
;;   576 + 8*n    i64  what is due there
;;
;; Methods
;;   enter()             with a value of 20 at least
;;   settle()            pays as many as it can
;;   settled() -> i64    what was paid to who had their turn

(module $queue
  (import "ethereum" "call" (func $call (param i64 i32 i32 i32 i32) (result i32)))
  (import "ethereum" "getAddress" (func $getAddress (param i32)))
  (import "ethereum" "getCallValue" (func $getCallValue (param i32)))
  (import "ethereum" "getCaller" (func $getCaller (param i32)))
  (import "ethereum" "getExternalBalance" (func $getExternalBalance (param i32 i32)))
  (import "ethereum" "revert" (func $revert (param i32 i32)))
  ;; @storage
  (memory $memory (export "memory") 1)

  ;; Gives up and undoes this call where the condition does not hold.
  (func $require (param $condition i32)
    (if (i32.eqz (local.get $condition))
      (then (call $revert (i32.const 0) (i32.const 0)))))

  ;; Writes the address of an account to working memory.
  (func $address (param $who i64)
    (i64.store $memory (i32.const 0) (i64.const 0))
    (i64.store $memory (i32.const 8) (i64.const 0))
    (i32.store $memory (i32.const 16) (i32.const 0))
    (i32.store8 $memory (i32.const 19) (i32.wrap_i64 (local.get $who))))

  ;; Who calls, as the last byte of its address.
  (func $me (result i64)
    (call $getCaller (i32.const 0))
    (i64.load8_u $memory (i32.const 19)))

  ;; This contract, as the last byte of its address.
  (func $this (result i64)
    (call $getAddress (i32.const 0))
    (i64.load8_u $memory (i32.const 19)))

  ;; The value that comes with the call.
  (func $value (result i64)
    (call $getCallValue (i32.const 32))
    (i64.load $memory (i32.const 32)))

  ;; Calls `main` of an account with a value; 0 where that went well.
  (func $send (param $who i64) (param $amount i64) (result i32)
    (call $address (local.get $who))
    (i64.store $memory (i32.const 32) (i64.const 0))
    (i64.store $memory (i32.const 40) (i64.const 0))
    (i64.store $memory (i32.const 32) (local.get $amount))
    (call $call (i64.const 0x7fffffffffffffff) (i32.const 0) (i32.const 32) (i32.const 0) (i32.const 0)))

  ;; The money that an account has.
  (func $balance_of (param $who i64) (result i64)
    (call $address (local.get $who))
    (call $getExternalBalance (i32.const 0) (i32.const 32))
    (i64.load $memory (i32.const 32)))

  (func $people (param $key i64) (result i32)
    (i32.add (i32.const 64) (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 63)))))

  (func $due (param $key i64) (result i32)
    (i32.add (i32.const 576) (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 63)))))

  (func $enter (export "enter")
    (call $require
      (i32.and
        (i32.and
          (i64.lt_s (call $load_i64 (i32.const 0)) (i64.const 64))
          (i64.ge_s (call $value) (i64.const 20)))
        (i64.le_s (call $value) (i64.const 1000000))))
    (call $store_i64 (call $people (call $load_i64 (i32.const 0))) (call $me))
    (call $store_i64
      (call $due (call $load_i64 (i32.const 0)))
      (i64.div_s (i64.mul (call $value) (i64.const 3)) (i64.const 2)))
    (call $store_i64 (i32.const 0) (i64.add (call $load_i64 (i32.const 0)) (i64.const 1)))
    (call $store_i64 (i32.const 16) (i64.add (call $load_i64 (i32.const 16)) (call $value))))

  (func $settle (export "settle")
    (block $done
      (loop $next
        (br_if $done
          (i32.eqz
            (i32.and
              (i64.lt_s (call $load_i64 (i32.const 8)) (call $load_i64 (i32.const 0)))
              (i64.le_s
                (call $load_i64 (call $due (call $load_i64 (i32.const 8))))
                (call $balance_of (call $this))))))
        (call $_serve (call $load_i64 (i32.const 8)))
        (br $next))))

  (func $_serve (param $place i64)
    (call $store_i64 (i32.const 8) (i64.add (local.get $place) (i64.const 1)))
    (call $require
      (i32.eq
        (call $send
          (call $load_i64 (call $people (local.get $place)))
          (call $load_i64 (call $due (local.get $place))))
        (i32.const 0))))

  (func $settled (export "settled") (result i64)
    (local $place i64) (local $total i64)
    (local.set $place (i64.const 0))
    (local.set $total (i64.const 0))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (i64.lt_s (local.get $place) (call $load_i64 (i32.const 8)))))
        (local.set $total (i64.add (local.get $total) (call $load_i64 (call $due (local.get $place)))))
        (local.set $place (i64.add (local.get $place) (i64.const 1)))
        (br $next)))
    (return (local.get $total))))
