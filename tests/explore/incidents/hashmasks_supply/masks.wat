;; Seven NFTs, each for whoever asks first. A receiver that is a contract has to say that it can hold one.
;;
;; Storage
;;   0          i32  how many are minted
;;   4          i32  how many there are to be
;;   64 + 4*id  i32  the owner of `id`, of 16
;;
;; Methods
;;   safe_mint()
;;   transfer(id, to)
;;
;; Calls
;;   main of a receiver that is a contract, with the number of `onERC721Received` and the id, four bytes each. It has to
;;   answer with that number.

(module $masks
  (import "ethereum" "call" (func $call (param i64 i32 i32 i32 i32) (result i32)))
  (import "ethereum" "getCaller" (func $getCaller (param i32)))
  (import "ethereum" "getExternalCodeSize" (func $getExternalCodeSize (param i32) (result i32)))
  (import "ethereum" "getReturnDataSize" (func $getReturnDataSize (result i32)))
  (import "ethereum" "returnDataCopy" (func $returnDataCopy (param i32 i32 i32)))
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

  ;; Four bytes of what the last call answered; 0 where it was shorter.
  (func $answer4 (result i32)
    (i32.store $memory (i32.const 64) (i32.const 0))
    (if (i32.ge_u (call $getReturnDataSize) (i32.const 4))
      (then (call $returnDataCopy (i32.const 64) (i32.const 0) (i32.const 4))))
    (i32.load $memory (i32.const 64)))

  ;; Whether an account is a contract.
  (func $has_code (param $who i32) (result i32)
    (call $address (local.get $who))
    (i32.ne (call $getExternalCodeSize (i32.const 0)) (i32.const 0)))

  (func $owner (param $key i32) (result i32)
    (i32.add (i32.const 64) (i32.mul (i32.const 4) (i32.and (local.get $key) (i32.const 15)))))

  (func $_told (param $who i32) (param $id i32)
    (if (call $has_code (local.get $who))
      (then
        (call $put4 (i32.const 0) (i32.const 0x150b7a02))
        (call $put4 (i32.const 4) (local.get $id))
        (call $require (i32.eq (call $ask (local.get $who) (i32.const 0) (i32.const 8)) (i32.const 0)))
        (call $require (i32.eq (call $answer4) (i32.const 0x150b7a02))))))

  (func $safe_mint (export "safe_mint")
    (call $require (i32.lt_s (call $load_i32 (i32.const 0)) (call $load_i32 (i32.const 4))))
    (call $_told (call $me) (call $load_i32 (i32.const 0)))
    (call $store_i32 (call $owner (call $load_i32 (i32.const 0))) (call $me))
    (call $store_i32 (i32.const 0) (i32.add (call $load_i32 (i32.const 0)) (i32.const 1))))

  (func $transfer (export "transfer") (param $id i32) (param $to i32)
    (call $require
      (i32.and
        (i32.and
          (i32.ge_s (local.get $id) (i32.const 0))
          (i32.lt_s (local.get $id) (call $load_i32 (i32.const 0))))
        (i32.eq (call $load_i32 (call $owner (local.get $id))) (call $me))))
    (call $store_i32 (call $owner (local.get $id)) (i32.and (local.get $to) (i32.const 255)))))
