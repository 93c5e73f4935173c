;; Makes a wallet for everybody who asks, once, with a grant of 40 in it.
;;
;; Storage
;;   256 + 4*who   i32  how many wallets account `who` was given
;;
;; Methods
;;   make()
;;   given(who) -> i32
;;
;; Creates
;;   an account from the code of the template, whose address ends in 0x55

(module $factory
  (import "ethereum" "create" (func $create (param i32 i32 i32 i32) (result i32)))
  (import "ethereum" "externalCodeCopy" (func $externalCodeCopy (param i32 i32 i32 i32)))
  (import "ethereum" "getCaller" (func $getCaller (param i32)))
  (import "ethereum" "getExternalCodeSize" (func $getExternalCodeSize (param i32) (result i32)))
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

  (func $wallets (param $key i32) (result i32)
    (i32.add (i32.const 256) (i32.mul (i32.const 4) (i32.and (local.get $key) (i32.const 255)))))

  (func $given (export "given") (param $who i32) (result i32)
    (return (call $load_i32 (call $wallets (local.get $who)))))

  (func $make (export "make")
    (call $require (i32.eq (call $load_i32 (call $wallets (call $me))) (i32.const 0)))
    (call $store_i32
      (call $wallets (call $me))
      (i32.add (call $load_i32 (call $wallets (call $me))) (i32.const 1)))
    (call $_create (i32.const 40)))

  ;; A new account, whose code is that of the template; it begins with its `main`.
  (func $_create (param $grant i32)
    (local $size i32)
    (call $address (i32.const 85))
    (local.set $size (call $getExternalCodeSize (i32.const 0)))
    (call $require
      (i32.and (i32.gt_s (local.get $size) (i32.const 0)) (i32.le_s (local.get $size) (i32.const 32768))))
    (call $externalCodeCopy (i32.const 0) (i32.const 4096) (i32.const 0) (local.get $size))
    (i64.store $memory (i32.const 32) (i64.extend_i32_u (local.get $grant)))
    (i64.store $memory (i32.const 40) (i64.const 0))
    (call $require
      (i32.eq (call $create (i32.const 32) (i32.const 4096) (local.get $size) (i32.const 64)) (i32.const 0)))))
