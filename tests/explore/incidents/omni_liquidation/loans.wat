;; Lends money against NFTs, which are kept in its own books.
;;
;; Always: who owes money has pledged enough, 60 for each NFT.
;;
;; Storage
;;   512 + 8*id    i64  whose wallet NFT `id` is in, of 32
;;   768 + 8*id    i64  who has pledged it
;;   1024 + 8*who  i64  how many account `who` has pledged
;;   3072 + 8*who  i64  what it owes
;;
;; Methods
;;   pledge(id), redeem(id)
;;   safe_redeem(id)    tells the receiver, who has to answer with the number of `onERC721Received`
;;   borrow(amount)
;;   main               pays back with the value that comes along
;;
;; Calls
;;   receiver.on_nft_received(id) -> i32   0x150b7a02

(module $loans
  (import "contract:receiver" "on_nft_received" (func $receiver.on_nft_received (param i64) (result i32)))
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

  (func $wallet (param $key i64) (result i32)
    (i32.add (i32.const 512) (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 31)))))

  (func $pledged (param $key i64) (result i32)
    (i32.add (i32.const 768) (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 31)))))

  (func $count (param $key i64) (result i32)
    (i32.add
      (i32.const 1024)
      (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 255)))))

  (func $debts (param $key i64) (result i32)
    (i32.add
      (i32.const 3072)
      (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 255)))))

  (func $pledge (export "pledge") (param $id i64)
    (call $require
      (i32.and
        (i64.eq (call $load_i64 (call $wallet (local.get $id))) (call $me))
        (i64.ne (call $me) (i64.const 0))))
    (call $store_i64 (call $wallet (local.get $id)) (i64.const 0))
    (call $store_i64 (call $pledged (local.get $id)) (call $me))
    (call $store_i64
      (call $count (call $me))
      (i64.add (call $load_i64 (call $count (call $me))) (i64.const 1))))

  (func $redeem (export "redeem") (param $id i64)
    (call $require
      (i32.and
        (i64.eq (call $load_i64 (call $pledged (local.get $id))) (call $me))
        (i64.le_s
          (call $load_i64 (call $debts (call $me)))
          (i64.mul (i64.const 60) (i64.sub (call $load_i64 (call $count (call $me))) (i64.const 1))))))
    (call $store_i64
      (call $count (call $me))
      (i64.sub (call $load_i64 (call $count (call $me))) (i64.const 1)))
    (call $store_i64 (call $pledged (local.get $id)) (i64.const 0))
    (call $store_i64 (call $wallet (local.get $id)) (call $me)))

  (func $safe_redeem (export "safe_redeem") (param $id i64)
    (call $require
      (i32.and
        (i64.eq (call $load_i64 (call $pledged (local.get $id))) (call $me))
        (i64.le_s
          (call $load_i64 (call $debts (call $me)))
          (i64.mul (i64.const 60) (i64.sub (call $load_i64 (call $count (call $me))) (i64.const 1))))))
    (call $require (i32.eq (call $receiver.on_nft_received (local.get $id)) (i32.const 0x150b7a02)))
    (call $require (i64.eq (call $load_i64 (call $pledged (local.get $id))) (call $me)))
    (call $store_i64
      (call $count (call $me))
      (i64.sub (call $load_i64 (call $count (call $me))) (i64.const 1)))
    (call $store_i64 (call $pledged (local.get $id)) (i64.const 0))
    (call $store_i64 (call $wallet (local.get $id)) (call $me)))

  (func $borrow (export "borrow") (param $amount i64)
    (call $require
      (i32.and (i64.gt_s (local.get $amount) (i64.const 0)) (i64.le_s (local.get $amount) (i64.const 100000))))
    (call $require
      (i64.le_s
        (i64.add (call $load_i64 (call $debts (call $me))) (local.get $amount))
        (i64.mul (i64.const 60) (call $load_i64 (call $count (call $me))))))
    (call $store_i64
      (call $debts (call $me))
      (i64.add (call $load_i64 (call $debts (call $me))) (local.get $amount)))
    (call $pay (call $me) (local.get $amount)))

  (func $main (export "main")
    (call $require (i64.le_s (call $value) (call $load_i64 (call $debts (call $me)))))
    (call $store_i64
      (call $debts (call $me))
      (i64.sub (call $load_i64 (call $debts (call $me))) (call $value)))))
