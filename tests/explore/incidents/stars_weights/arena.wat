;; Sells shares in people. The k-th share of a person costs k times her weight, and is bought back for that; a tenth on top
;; goes to who has sent the buyer here.
;;
;; Storage
;;   512 + 8*who             i64  the weight of person `who`
;;   2560 + 8*who            i64  how many shares in her there are
;;   8192 + 256*person + 8*who   i64  those of account `who`; both by the lowest five bits of their addresses
;;
;; Methods
;;   set_weight(weight)      one's own, while there are no shares
;;   buy(person, sender)     for the value that comes along, to the coin
;;   sell(person)
;;   owed() -> i64           what all shares could be sold for

(module $arena
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

  (func $weights (param $key i64) (result i32)
    (i32.add (i32.const 512) (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 31)))))

  (func $supplies (param $key i64) (result i32)
    (i32.add
      (i32.const 2560)
      (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 31)))))

  (func $shares (param $row i64) (param $column i64) (result i32)
    (i32.add
      (i32.add
        (i32.const 8192)
        (i32.mul (i32.const 256) (i32.and (i32.wrap_i64 (local.get $row)) (i32.const 31))))
      (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $column)) (i32.const 31)))))

  (func $owed (export "owed") (result i64)
    (local $who i64) (local $total i64)
    (local.set $who (i64.const 0))
    (local.set $total (i64.const 0))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (i64.lt_s (local.get $who) (i64.const 32))))
        (local.set $total
          (i64.add
            (local.get $total)
            (i64.div_s
              (i64.mul
                (i64.mul
                  (call $load_i64 (call $weights (local.get $who)))
                  (call $load_i64 (call $supplies (local.get $who))))
                (i64.add (call $load_i64 (call $supplies (local.get $who))) (i64.const 1)))
              (i64.const 2))))
        (local.set $who (i64.add (local.get $who) (i64.const 1)))
        (br $next)))
    (return (local.get $total)))

  (func $set_weight (export "set_weight") (param $weight i64)
    (call $require
      (i32.and
        (i32.and
          (i64.gt_s (local.get $weight) (i64.const 0))
          (i64.le_s (local.get $weight) (i64.const 1000000)))
        (i64.eq (call $load_i64 (call $supplies (call $me))) (i64.const 0))))
    (call $store_i64 (call $weights (call $me)) (local.get $weight)))

  (func $buy (export "buy") (param $person i64) (param $sender i64)
    (local $price i64) (local $fee i64)
    (local.set $price
      (i64.mul
        (call $load_i64 (call $weights (local.get $person)))
        (i64.add (call $load_i64 (call $supplies (local.get $person))) (i64.const 1))))
    (local.set $fee (i64.div_s (local.get $price) (i64.const 10)))
    (call $require
      (i32.and
        (i64.gt_s (local.get $price) (i64.const 0))
        (i64.eq (call $value) (i64.add (local.get $price) (local.get $fee)))))
    (if
      (i32.and (i64.ne (local.get $sender) (i64.const 0)) (i64.gt_s (local.get $fee) (i64.const 0)))
      (then (call $pay (local.get $sender) (local.get $fee))))
    (call $store_i64
      (call $supplies (local.get $person))
      (i64.add (call $load_i64 (call $supplies (local.get $person))) (i64.const 1)))
    (call $store_i64
      (call $shares (local.get $person) (call $me))
      (i64.add (call $load_i64 (call $shares (local.get $person) (call $me))) (i64.const 1))))

  (func $sell (export "sell") (param $person i64)
    (local $price i64)
    (call $require (i64.gt_s (call $load_i64 (call $shares (local.get $person) (call $me))) (i64.const 0)))
    (local.set $price
      (i64.mul
        (call $load_i64 (call $weights (local.get $person)))
        (call $load_i64 (call $supplies (local.get $person)))))
    (call $store_i64
      (call $shares (local.get $person) (call $me))
      (i64.sub (call $load_i64 (call $shares (local.get $person) (call $me))) (i64.const 1)))
    (call $store_i64
      (call $supplies (local.get $person))
      (i64.sub (call $load_i64 (call $supplies (local.get $person))) (i64.const 1)))
    (call $pay (call $me) (local.get $price))))
