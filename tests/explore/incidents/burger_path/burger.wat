;; Trades two tokens, A and B, against one another. A trade can come in by a token of anybody's choice, which is told.
;;
;; Storage
;;   0            i32  the reserve of A
;;   4            i32  the reserve of B
;;   64 + 4*who   i32  what A account `who` has
;;   1088 + 4*who  i32  what B it has
;;
;; Methods
;;   swap(amount, least)             A for B, no less than `least`
;;   swap_via(token, amount, least)  the same; the token, the last byte of an address, is told first
;;   swap_back(amount, least)        B for A
;;
;; Calls
;;   main of the token, with the amount

(module $burger
  (import "ethereum" "call" (func $call (param i64 i32 i32 i32 i32) (result i32)))
  (import "ethereum" "getCaller" (func $getCaller (param i32)))
  (import "ethereum" "revert" (func $revert (param i32 i32)))
  ;; @storage
  (memory $memory (export "memory") 1)

  ;; Gives up and undoes this call where the condition does not hold.
  (func $require (param $condition i32)
    (if (i32.eqz (local.get $condition))
      (then (call $revert (i32.const 0) (i32.const 0)))))

  ;; Writes the address of an account to working memory.
  (func $address (param $who i32)
    (i64.store $memory (i32.const 0) (i64.const 0))
    (i64.store $memory (i32.const 8) (i64.const 0))
    (i32.store $memory (i32.const 16) (i32.const 0))
    (i32.store8 $memory (i32.const 19) (local.get $who)))

  ;; Who calls, as the last byte of its address.
  (func $me (result i32)
    (call $getCaller (i32.const 0))
    (i32.load8_u $memory (i32.const 19)))

  ;; Writes a number of four bytes where call data are put together.
  (func $put4 (param $at i32) (param $number i32)
    (i32.store $memory (i32.add (i32.const 96) (local.get $at)) (local.get $number)))

  ;; Calls `main` of an account with a value and some call data, which stands in working memory; 0 where that
  ;; went well.
  (func $ask (param $who i32) (param $amount i32) (param $length i32) (result i32)
    (call $address (local.get $who))
    (i64.store $memory (i32.const 32) (i64.const 0))
    (i64.store $memory (i32.const 40) (i64.const 0))
    (i32.store $memory (i32.const 32) (local.get $amount))
    (call $call
      (i64.const 0x7fffffffffffffff)
      (i32.const 0)
      (i32.const 32)
      (i32.const 96)
      (local.get $length)))

  (func $b (param $key i32) (result i32)
    (i32.add (i32.const 1088) (i32.mul (i32.const 4) (i32.and (local.get $key) (i32.const 255)))))

  (func $a (param $key i32) (result i32)
    (i32.add (i32.const 64) (i32.mul (i32.const 4) (i32.and (local.get $key) (i32.const 255)))))

  (func $_price (param $amount i32) (param $give i32) (param $take i32) (result i32)
    (call $require
      (i32.and (i32.gt_s (local.get $amount) (i32.const 0)) (i32.le_s (local.get $amount) (i32.const 20000))))
    (return
      (i32.div_s
        (i32.mul (local.get $amount) (local.get $take))
        (i32.add (local.get $give) (local.get $amount)))))

  (func $swap (export "swap") (param $amount i32) (param $least i32)
    (local $out i32)
    (local.set $out
      (call $_price (local.get $amount) (call $load_i32 (i32.const 0)) (call $load_i32 (i32.const 4))))
    (call $require (i32.ge_s (local.get $out) (local.get $least)))
    (call $_settle (local.get $amount) (local.get $out)))

  (func $swap_via (export "swap_via") (param $token i32) (param $amount i32) (param $least i32)
    (local $out i32)
    (local.set $out
      (call $_price (local.get $amount) (call $load_i32 (i32.const 0)) (call $load_i32 (i32.const 4))))
    (call $require (i32.ge_s (local.get $out) (local.get $least)))
    (call $put4 (i32.const 0) (local.get $amount))
    (call $require (i32.eq (call $ask (local.get $token) (i32.const 0) (i32.const 4)) (i32.const 0)))
    (call $_settle (local.get $amount) (local.get $out)))

  (func $swap_back (export "swap_back") (param $amount i32) (param $least i32)
    (local $out i32)
    (call $require (i32.le_s (local.get $amount) (call $load_i32 (call $b (call $me)))))
    (local.set $out
      (call $_price (local.get $amount) (call $load_i32 (i32.const 4)) (call $load_i32 (i32.const 0))))
    (call $require (i32.ge_s (local.get $out) (local.get $least)))
    (call $store_i32 (call $b (call $me)) (i32.sub (call $load_i32 (call $b (call $me))) (local.get $amount)))
    (call $store_i32 (i32.const 4) (i32.add (call $load_i32 (i32.const 4)) (local.get $amount)))
    (call $store_i32 (i32.const 0) (i32.sub (call $load_i32 (i32.const 0)) (local.get $out)))
    (call $store_i32 (call $a (call $me)) (i32.add (call $load_i32 (call $a (call $me))) (local.get $out))))

  (func $_settle (param $amount i32) (param $out i32)
    (call $require (i32.le_s (local.get $amount) (call $load_i32 (call $a (call $me)))))
    (call $store_i32 (call $a (call $me)) (i32.sub (call $load_i32 (call $a (call $me))) (local.get $amount)))
    (call $store_i32 (i32.const 0) (i32.add (call $load_i32 (i32.const 0)) (local.get $amount)))
    (call $store_i32 (i32.const 4) (i32.sub (call $load_i32 (i32.const 4)) (local.get $out)))
    (call $store_i32 (call $b (call $me)) (i32.add (call $load_i32 (call $b (call $me))) (local.get $out)))))
