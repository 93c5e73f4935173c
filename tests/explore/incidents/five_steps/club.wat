;; A club with an entrance fee. Who wants to leave goes through an office or two.
;;
;; Storage
;;   0              i64  how many members there are
;;   256 + 8*who    i64  the stage of account `who`: 1 registered, 2 has accepted, 3 has paid, 4 has asked to leave, 5 may leave
;;   2304 + 8*who   i64  what it has paid
;;
;; Methods
;;   register()
;;   accept(terms)     the terms of 2019
;;   pay_in()          200 at least come along
;;   ask_to_leave()
;;   sign(name)        one's own name, the last byte of one's address
;;   leave()           pays everything back

(module $club
  (import "ethereum" "call" (func $call (param i64 i32 i32 i32 i32) (result i32)))
  (import "ethereum" "getCallValue" (func $getCallValue (param i32)))
  (import "ethereum" "getCaller" (func $getCaller (param i32)))
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

  ;; Pays an account, which is called; where that fails, so does this call.
  (func $pay (param $who i64) (param $amount i64)
    (call $require (i32.eqz (call $send (local.get $who) (local.get $amount)))))

  (func $stage (param $key i64) (result i32)
    (i32.add
      (i32.const 256)
      (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 255)))))

  (func $paid (param $key i64) (result i32)
    (i32.add
      (i32.const 2304)
      (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 255)))))

  (func $_step (param $before i64)
    (call $require (i64.eq (call $load_i64 (call $stage (call $me))) (local.get $before)))
    (call $store_i64 (call $stage (call $me)) (i64.add (local.get $before) (i64.const 1))))

  (func $register (export "register") (call $_step (i64.const 0)))

  (func $accept (export "accept") (param $terms i64)
    (call $require (i64.eq (local.get $terms) (i64.const 2019)))
    (call $_step (i64.const 1)))

  (func $pay_in (export "pay_in")
    (call $require
      (i32.and (i64.ge_s (call $value) (i64.const 200)) (i64.le_s (call $value) (i64.const 1000000))))
    (call $_step (i64.const 2))
    (call $store_i64 (call $paid (call $me)) (call $value))
    (call $store_i64 (i32.const 0) (i64.add (call $load_i64 (i32.const 0)) (i64.const 1))))

  (func $ask_to_leave (export "ask_to_leave") (call $_step (i64.const 3)))

  (func $sign (export "sign") (param $name i64)
    (call $require (i64.eq (local.get $name) (call $me)))
    (call $_step (i64.const 4)))

  (func $leave (export "leave")
    (call $require (i64.eq (call $load_i64 (call $stage (call $me))) (i64.const 5)))
    (call $pay (call $me) (call $load_i64 (call $paid (call $me))))
    (call $store_i64 (call $paid (call $me)) (i64.const 0))
    (call $store_i64 (call $stage (call $me)) (i64.const 0))
    (call $store_i64 (i32.const 0) (i64.sub (call $load_i64 (i32.const 0)) (i64.const 1)))))
