;; The token of `token.wat`, written for the linking option `regions`: balances and supply are memories of their own,
;; reached with ordinary loads and stores and no functions in between. The balances begin with one Wasm page and grow
;; when an account needs it; what was never written is a balance of zero, inside the memory and beyond its end.
;;
;; Anyone may mint and transfer: the example is about storage, not about permission.
;; Always: supply = sum of all balances.
;;
;; Storage
;;   balances  8*account  i64  the balance of an account, account < 131072: 16 Wasm pages
;;   supply    0          i64  supply
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

(module $token_regions
  (import "contract:exchange" "on_received?" (func $on_received (param $from i32) (param $amount i64) (result i32)))
  (import "ethereum" "revert" (func $revert (param $offset i32) (param $length i32)))
  (import "storage" "balances" (memory $balances 1 16))
  (import "storage" "supply" (memory $supply 1 1))

  ;; Working memory, which `revert` would take its output from.
  (memory $memory (export "memory") 3)

  (global $accounts_max i32 (i32.const 131072))
  (global $exchange i32 (i32.const 0)) ;; the account of the exchange

  ;; Gives up and undoes this call where the condition does not hold; `revert` does not return.
  (func $require (param $condition i32)
    (if (i32.eqz (local.get $condition))
      (then (call $revert (i32.const 0) (i32.const 0)))))

  ;; Where the balance of an account stands in `balances`, which may not reach that far yet.
  (func $slot (param $account i32) (result i32)
    (call $require (i32.lt_u (local.get $account) (global.get $accounts_max)))
    (i32.shl (local.get $account) (i32.const 3)))

  ;; How many pages `balances` lacks for this slot; zero or less where it is long enough.
  (func $pages_missing (param $slot i32) (result i32)
    (i32.sub
      (i32.add (i32.shr_u (local.get $slot) (i32.const 16)) (i32.const 1))
      (memory.size $balances)))

  (func $get_supply (export "supply") (result i64)
    (i64.load $supply (i32.const 0)))

  (func $balance_of (export "balance_of") (param $account i32) (result i64)
    (local $slot i32)
    (local.set $slot (call $slot (local.get $account)))
    (if (result i64) (i32.gt_s (call $pages_missing (local.get $slot)) (i32.const 0))
      (then (i64.const 0))
      (else (i64.load $balances (local.get $slot)))))

  ;; Add to a balance, or take from it where the amount is negative.
  (func $change_balance (param $account i32) (param $amount i64)
    (local $slot i32)
    (local $missing i32)
    (local.set $slot (call $slot (local.get $account)))
    (local.set $missing (call $pages_missing (local.get $slot)))
    (if (i32.gt_s (local.get $missing) (i32.const 0))
      (then
        (call $require (i32.ne (memory.grow $balances (local.get $missing)) (i32.const -1)))))
    (i64.store $balances
      (local.get $slot)
      (i64.add (i64.load $balances (local.get $slot)) (local.get $amount))))

  (func (export "mint") (param $to i32) (param $amount i64)
    (local $supply_new i64)
    (call $require (i64.ge_s (local.get $amount) (i64.const 0)))
    (local.set $supply_new (i64.add (call $get_supply) (local.get $amount)))
    (call $require (i64.ge_s (local.get $supply_new) (i64.const 0)))
    (call $change_balance (local.get $to) (local.get $amount))
    (i64.store $supply (i32.const 0) (local.get $supply_new)))

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
