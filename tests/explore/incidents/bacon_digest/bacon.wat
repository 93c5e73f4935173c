;; Lends out what is lent to it, in cash of its own books, against shares. It keeps a digest of everything that ever happened.
;;
;; Storage
;;   0             i64  a digest
;;   8             i64  its assets
;;   16            i64  how many shares there are
;;   64 + 8*who    i64  the cash of account `who`
;;   2112 + 8*who  i64  its shares
;;   4160 + 8*who  i64  1 for who is told of cash that comes
;;
;; Methods
;;   lend(amount), redeem(n)
;;   be_told(yes), note(number), touch()
;;
;; Calls
;;   receiver.tokens_received(amount)   of whoever is to be told

(module $bacon
  (import "contract:receiver" "tokens_received" (func $receiver.tokens_received (param i64)))
  (import "ethereum" "getCaller" (func $getCaller (param i32)))
  (import "ethereum" "revert" (func $revert (param i32 i32)))
  ;; @storage
  (memory $memory (export "memory") 1)

  ;; Gives up and undoes this call where the condition does not hold.
  (func $require (param $condition i32)
    (if (i32.eqz (local.get $condition))
      (then (call $revert (i32.const 0) (i32.const 0)))))

  ;; Who calls, as the last byte of its address.
  (func $me (result i64)
    (call $getCaller (i32.const 0))
    (i64.load8_u $memory (i32.const 19)))

  (func $cash (param $key i64) (result i32)
    (i32.add (i32.const 64) (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 255)))))

  (func $shares (param $key i64) (result i32)
    (i32.add
      (i32.const 2112)
      (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 255)))))

  (func $told (param $key i64) (result i32)
    (i32.add
      (i32.const 4160)
      (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 255)))))

  (func $_record (param $kind i64) (param $amount i64)
    (call $store_i64
      (i32.const 0)
      (i64.add
        (i64.mul
          (i64.xor
            (call $load_i64 (i32.const 0))
            (i64.add (i64.mul (local.get $kind) (i64.const 256)) (call $me)))
          (i64.const 0x100000001b3))
        (local.get $amount))))

  (func $lend (export "lend") (param $amount i64)
    (local $n i64)
    (call $require
      (i32.and
        (i64.gt_s (local.get $amount) (i64.const 0))
        (i64.le_s (local.get $amount) (call $load_i64 (call $cash (call $me))))))
    (call $_record (i64.const 1) (local.get $amount))
    (local.set $n
      (i64.div_s (i64.mul (local.get $amount) (call $load_i64 (i32.const 16))) (call $load_i64 (i32.const 8))))
    (call $store_i64
      (call $cash (call $me))
      (i64.sub (call $load_i64 (call $cash (call $me))) (local.get $amount)))
    (call $store_i64 (i32.const 8) (i64.add (call $load_i64 (i32.const 8)) (local.get $amount)))
    (call $store_i64 (i32.const 16) (i64.add (call $load_i64 (i32.const 16)) (local.get $n)))
    (call $store_i64
      (call $shares (call $me))
      (i64.add (call $load_i64 (call $shares (call $me))) (local.get $n))))

  (func $redeem (export "redeem") (param $n i64)
    (local $amount i64)
    (call $require
      (i32.and
        (i32.and
          (i64.gt_s (local.get $n) (i64.const 0))
          (i64.le_s (local.get $n) (call $load_i64 (call $shares (call $me)))))
        (i64.lt_s (local.get $n) (call $load_i64 (i32.const 16)))))
    (call $_record (i64.const 2) (local.get $n))
    (local.set $amount
      (i64.div_s (i64.mul (local.get $n) (call $load_i64 (i32.const 8))) (call $load_i64 (i32.const 16))))
    (call $store_i64 (i32.const 8) (i64.sub (call $load_i64 (i32.const 8)) (local.get $amount)))
    (call $store_i64
      (call $shares (call $me))
      (i64.sub (call $load_i64 (call $shares (call $me))) (local.get $n)))
    (call $store_i64
      (call $cash (call $me))
      (i64.add (call $load_i64 (call $cash (call $me))) (local.get $amount)))
    (call $_tell (local.get $amount))
    (call $store_i64 (i32.const 16) (i64.sub (call $load_i64 (i32.const 16)) (local.get $n))))

  (func $_tell (param $amount i64)
    (if (i64.eq (call $load_i64 (call $told (call $me))) (i64.const 1))
      (then (call $receiver.tokens_received (local.get $amount)))))

  (func $be_told (export "be_told") (param $yes i64)
    (call $_record (i64.const 3) (local.get $yes))
    (call $store_i64 (call $told (call $me)) (i64.and (local.get $yes) (i64.const 1))))

  (func $note (export "note") (param $number i64)
    (call $_record (i64.const 4) (local.get $number)))

  (func $touch (export "touch") (call $_record (i64.const 5) (i64.const 0))))
