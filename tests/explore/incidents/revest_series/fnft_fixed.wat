;; Locks credit in series of NFTs that can be divided, as in ERC-1155: a series has a quantity, and each piece a worth.
;;
;; Always: all pieces, and the credit that is left, are worth what there was at first.
;;
;; Storage
;;   0                       i64  the id of the next series, of 16
;;   8 + 8*id                i64  the quantity of series `id`
;;   136 + 8*id              i64  what each of its pieces is worth
;;   512 + 8*who             i64  the credit of account `who`
;;   4096 + 2048*id + 8*who  i64  how many pieces of `id` account `who` has
;;
;; Methods
;;   lock(quantity, worth)    makes a series
;;   unlock(id, quantity)     pieces become credit again
;;   owed() -> i64            what all pieces are worth
;;
;; Calls
;;   main of a receiver that is a contract, with the number of `onERC1155BatchReceived`, id and quantity, 8 bytes each.
;;   It has to answer with that number, as four bytes.

(module $fnft
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
  (func $address (param $who i64)
    (i64.store $memory (i32.const 0) (i64.const 0))
    (i64.store $memory (i32.const 8) (i64.const 0))
    (i32.store $memory (i32.const 16) (i32.const 0))
    (i32.store8 $memory (i32.const 19) (i32.wrap_i64 (local.get $who))))

  ;; Who calls, as the last byte of its address.
  (func $me (result i64)
    (call $getCaller (i32.const 0))
    (i64.load8_u $memory (i32.const 19)))

  ;; Writes a number of eight bytes where call data are put together.
  (func $put (param $at i32) (param $number i64)
    (i64.store $memory (i32.add (i32.const 96) (local.get $at)) (local.get $number)))

  ;; Calls `main` of an account with a value and some call data, which stands in working memory; 0 where that
  ;; went well.
  (func $ask (param $who i64) (param $amount i64) (param $length i32) (result i32)
    (call $address (local.get $who))
    (i64.store $memory (i32.const 32) (i64.const 0))
    (i64.store $memory (i32.const 40) (i64.const 0))
    (i64.store $memory (i32.const 32) (local.get $amount))
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
  (func $has_code (param $who i64) (result i32)
    (call $address (local.get $who))
    (i32.ne (call $getExternalCodeSize (i32.const 0)) (i32.const 0)))

  (func $credit (param $key i64) (result i32)
    (i32.add
      (i32.const 512)
      (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 255)))))

  (func $quantities (param $key i64) (result i32)
    (i32.add (i32.const 8) (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 15)))))

  (func $pieces (param $row i64) (param $column i64) (result i32)
    (i32.add
      (i32.add
        (i32.const 4096)
        (i32.mul (i32.const 2048) (i32.and (i32.wrap_i64 (local.get $row)) (i32.const 15))))
      (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $column)) (i32.const 255)))))

  (func $worths (param $key i64) (result i32)
    (i32.add (i32.const 136) (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 15)))))

  (func $lock (export "lock") (param $quantity i64) (param $worth i64)
    (local $id i64)
    (call $require
      (i32.and
        (i32.and
          (i32.and
            (i64.gt_s (local.get $quantity) (i64.const 0))
            (i64.le_s (local.get $quantity) (i64.const 1000)))
          (i64.gt_s (local.get $worth) (i64.const 0)))
        (i64.le_s (local.get $worth) (i64.const 1000))))
    (call $require
      (i32.and
        (i64.le_s
          (i64.mul (local.get $quantity) (local.get $worth))
          (call $load_i64 (call $credit (call $me))))
        (i64.lt_s (call $load_i64 (i32.const 0)) (i64.const 16))))
    (local.set $id (call $load_i64 (i32.const 0)))
    (call $store_i64
      (call $credit (call $me))
      (i64.sub (call $load_i64 (call $credit (call $me))) (i64.mul (local.get $quantity) (local.get $worth))))
    (call $store_i64
      (call $quantities (local.get $id))
      (i64.add (call $load_i64 (call $quantities (local.get $id))) (local.get $quantity)))
    (call $store_i64
      (call $pieces (local.get $id) (call $me))
      (i64.add (call $load_i64 (call $pieces (local.get $id) (call $me))) (local.get $quantity)))
    (call $store_i64 (call $worths (local.get $id)) (local.get $worth))
    (call $store_i64 (i32.const 0) (i64.add (local.get $id) (i64.const 1)))
    (call $_told (call $me) (local.get $id) (local.get $quantity)))

  (func $unlock (export "unlock") (param $id i64) (param $quantity i64)
    (call $require
      (i32.and
        (i32.and
          (i32.and (i64.ge_s (local.get $id) (i64.const 0)) (i64.lt_s (local.get $id) (i64.const 16)))
          (i64.gt_s (local.get $quantity) (i64.const 0)))
        (i64.le_s (local.get $quantity) (call $load_i64 (call $pieces (local.get $id) (call $me))))))
    (call $store_i64
      (call $pieces (local.get $id) (call $me))
      (i64.sub (call $load_i64 (call $pieces (local.get $id) (call $me))) (local.get $quantity)))
    (call $store_i64
      (call $quantities (local.get $id))
      (i64.sub (call $load_i64 (call $quantities (local.get $id))) (local.get $quantity)))
    (call $store_i64
      (call $credit (call $me))
      (i64.add
        (call $load_i64 (call $credit (call $me)))
        (i64.mul (local.get $quantity) (call $load_i64 (call $worths (local.get $id)))))))

  (func $owed (export "owed") (result i64)
    (local $id i64) (local $total i64)
    (local.set $id (i64.const 0))
    (local.set $total (i64.const 0))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (i64.lt_s (local.get $id) (i64.const 16))))
        (local.set $total
          (i64.add
            (local.get $total)
            (i64.mul
              (call $load_i64 (call $quantities (local.get $id)))
              (call $load_i64 (call $worths (local.get $id))))))
        (local.set $id (i64.add (local.get $id) (i64.const 1)))
        (br $next)))
    (return (local.get $total)))

  (func $_told (param $who i64) (param $id i64) (param $quantity i64)
    (if (call $has_code (local.get $who))
      (then
        (call $put (i32.const 0) (i64.const 0xbc197c81))
        (call $put (i32.const 8) (local.get $id))
        (call $put (i32.const 16) (local.get $quantity))
        (call $require (i32.eq (call $ask (local.get $who) (i64.const 0) (i32.const 24)) (i32.const 0)))
        (call $require (i32.eq (call $answer4) (i32.const 0xbc197c81)))))))
