;; A token that tells the exchange when it receives tokens, in the manner of ERC-777. While it is being told, the
;; exchange calls this token back: it asks for its balance and sends change. So `transfer` is re-entered in the middle
;; and all goes well, because the inner calls work on the same storage: they see the transfer that is under way, and the
;; outer call sees the change that they sent. `exchange.wat` is the other half.
;;
;; Anyone may mint and transfer: the example is about storage, not about permission.
;; Always: supply = sum of all balances.
;;
;; Storage
;;   0               i64  supply
;;   64 + 8*account  i64  the balance of an account, account < 8184: the books fill one Wasm page
;;
;; Methods
;;   mint(to i32, amount i64)                               reverts where the supply would overflow
;;   transfer(from i32, to i32, amount i64) -> i64          the sender's balance when all is done; reverts where
;;                                                          it has too little, or the exchange refuses the tokens
;;   balance_of(account i32) -> i64
;;   supply() -> i64
;;
;; Calls
;;   exchange.on_received(from i32, amount i64)             after a transfer to account 0, which is the exchange

(module $token
  (import "contract:exchange" "on_received?" (func $on_received (param $from i32) (param $amount i64) (result i32)))
  (import "ethereum" "revert" (func $revert (param $offset i32) (param $length i32)))
  ;; @storage

  (memory $memory (export "memory") 3)

  (global $supply i32 (i32.const 0))
  (global $balances i32 (i32.const 64))
  (global $accounts_max i32 (i32.const 8184))
  (global $exchange i32 (i32.const 0)) ;; the account of the exchange

  ;; Gives up and undoes this call where the condition does not hold; `revert` does not return.
  (func $require (param $condition i32)
    (if (i32.eqz (local.get $condition))
      (then (call $revert (i32.const 0) (i32.const 0)))))

  ;; Where the balance of an account stands in storage.
  (func $slot (param $account i32) (result i32)
    (call $require (i32.lt_u (local.get $account) (global.get $accounts_max)))
    (i32.add (global.get $balances) (i32.shl (local.get $account) (i32.const 3))))

  (func $get_supply (export "supply") (result i64)
    (call $load_i64 (global.get $supply)))

  (func $balance_of (export "balance_of") (param $account i32) (result i64)
    (call $load_i64 (call $slot (local.get $account))))

  ;; Add to a balance, or take from it where the amount is negative.
  (func $change_balance (param $account i32) (param $amount i64)
    (call $store_i64
      (call $slot (local.get $account))
      (i64.add (call $balance_of (local.get $account)) (local.get $amount))))

  (func (export "mint") (param $to i32) (param $amount i64)
    (local $supply_new i64)
    (call $require (i64.ge_s (local.get $amount) (i64.const 0)))
    (local.set $supply_new (i64.add (call $get_supply) (local.get $amount)))
    (call $require (i64.ge_s (local.get $supply_new) (i64.const 0)))
    (call $change_balance (local.get $to) (local.get $amount))
    (call $store_i64 (global.get $supply) (local.get $supply_new)))

  (func (export "transfer") (param $from i32) (param $to i32) (param $amount i64) (result i64)
    (call $require (i64.ge_s (local.get $amount) (i64.const 0)))
    (call $require (i64.ge_s (call $balance_of (local.get $from)) (local.get $amount)))
    (call $change_balance (local.get $from) (i64.sub (i64.const 0) (local.get $amount)))
    (call $change_balance (local.get $to) (local.get $amount))

    ;; The books are in order, so others may now be called, and may call back.
    (if (i32.and
          (i32.eq (local.get $to) (global.get $exchange))
          (i32.ne (local.get $from) (global.get $exchange)))
      (then
        (call $require (i32.eqz (call $on_received (local.get $from) (local.get $amount))))))

    ;; Read from storage only now: the exchange may have sent change.
    (call $balance_of (local.get $from))))
