;; A bank with the classic fault: it pays out first and writes its books afterwards. A customer that is a contract can
;; come back into `withdraw` while it is being paid, find its balance untouched, and be paid again. `bank_fixed.wat`
;; is the same bank with the order put right; `attacker.wat` is the customer that comes back.
;;
;; The books are honest as long as total = sum of all balances. After a robbery total is lower than that sum, and it
;; goes below zero when the bank has paid more than it ever had.
;;
;; Storage
;;   0           i64  total: what the bank owes to all customers
;;   64 + 8*who  i64  the balance of customer `who`, who < 8184: the books fill one Wasm page
;;
;; Methods
;;   deposit(who i32, amount i64)   reverts where the amount is negative or the total would overflow
;;   withdraw(who i32)              pays out the whole balance, and does nothing where it is zero
;;   balance(who i32) -> i64
;;   total() -> i64
;;
;; Calls
;;   customer.receive(amount i64)   takes a payment; a customer that fails or reverts is not paid

(module $bank
  (import "contract:customer" "receive?" (func $receive (param $amount i64) (result i32)))
  (import "ethereum" "revert" (func $revert (param $offset i32) (param $length i32)))
  ;; @storage

  (memory $memory (export "memory") 3)

  (global $total i32 (i32.const 0))
  (global $balances i32 (i32.const 64))
  (global $customers_max i32 (i32.const 8184))

  ;; Gives up and undoes this call where the condition does not hold; `revert` does not return.
  (func $require (param $condition i32)
    (if (i32.eqz (local.get $condition))
      (then (call $revert (i32.const 0) (i32.const 0)))))

  ;; Where the balance of a customer stands in storage.
  (func $slot (param $who i32) (result i32)
    (call $require (i32.lt_u (local.get $who) (global.get $customers_max)))
    (i32.add (global.get $balances) (i32.shl (local.get $who) (i32.const 3))))

  (func $get_total (export "total") (result i64)
    (call $load_i64 (global.get $total)))

  (func $balance (export "balance") (param $who i32) (result i64)
    (call $load_i64 (call $slot (local.get $who))))

  (func (export "deposit") (param $who i32) (param $amount i64)
    (local $total_new i64)
    (call $require (i64.ge_s (local.get $amount) (i64.const 0)))
    (local.set $total_new (i64.add (call $get_total) (local.get $amount)))
    (call $require (i64.ge_s (local.get $total_new) (call $get_total)))
    (call $store_i64
      (call $slot (local.get $who))
      (i64.add (call $balance (local.get $who)) (local.get $amount)))
    (call $store_i64 (global.get $total) (local.get $total_new)))

  (func (export "withdraw") (param $who i32)
    (local $amount i64)
    (local.set $amount (call $balance (local.get $who)))
    (if (i64.eqz (local.get $amount))
      (then (return)))

    ;; The fault: while the customer is being paid, the books still say that it has not been.
    (if (call $receive (local.get $amount))
      (then (return))) ;; it did not take the money, so it keeps its balance

    (call $store_i64 (call $slot (local.get $who)) (i64.const 0))
    (call $store_i64 (global.get $total) (i64.sub (call $get_total) (local.get $amount)))))
