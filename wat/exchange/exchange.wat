;; An exchange that swaps tokens for credits, three for one, and back. To buy, send tokens to its account at the token
;; contract, which then calls `on_received` here; from there the exchange calls the token back, twice:
;;
;;   token.transfer(buyer, exchange, 10)
;;     exchange.on_received(buyer, 10)
;;       token.balance_of(exchange)          have the tokens really arrived? It must see the unfinished transfer
;;       token.transfer(exchange, buyer, 1)  10 is 3 credits and 1 token of change; the outer call must see that
;;
;; Anyone may call `on_received`, so it trusts only what the token says: the exchange knows how many tokens it had
;; before, and takes as new what is there beyond that. Anyone may sell for anyone: the example is about storage, not
;; about permission.
;; Always: reserve = 3 * sum of all credits, and the token says that the exchange has at least the reserve.
;;
;; Storage
;;   0               i64  reserve: tokens of the exchange that stand behind credits
;;   64 + 8*account  i64  the credits of an account, account < 8184: the books fill one Wasm page
;;
;; Methods
;;   on_received(from i32, amount i64)      what the token calls when tokens have come; reverts where they have not
;;   sell(account i32, credits i64)         gives three tokens for each credit; reverts where there are too few
;;   credits_of(account i32) -> i64
;;   reserve() -> i64
;;
;; Calls
;;   token.balance_of(account i32) -> i64
;;   token.transfer(from i32, to i32, amount i64) -> i64

(module $exchange
  (import "contract:token" "balance_of" (func $token_balance_of (param $account i32) (result i64)))
  (import "contract:token" "transfer"
    (func $token_transfer (param $from i32) (param $to i32) (param $amount i64) (result i64)))
  (import "ethereum" "revert" (func $revert (param $offset i32) (param $length i32)))
  ;; @storage

  (memory $memory (export "memory") 3)

  (global $reserve i32 (i32.const 0))
  (global $credits i32 (i32.const 64))
  (global $accounts_max i32 (i32.const 8184))
  (global $exchange i32 (i32.const 0)) ;; the account of the exchange at the token
  (global $price i64 (i64.const 3)) ;; tokens for one credit

  ;; Gives up and undoes this call where the condition does not hold; `revert` does not return.
  (func $require (param $condition i32)
    (if (i32.eqz (local.get $condition))
      (then (call $revert (i32.const 0) (i32.const 0)))))

  ;; Where the credits of an account stand in storage.
  (func $slot (param $account i32) (result i32)
    (call $require (i32.lt_u (local.get $account) (global.get $accounts_max)))
    (i32.add (global.get $credits) (i32.shl (local.get $account) (i32.const 3))))

  (func $get_reserve (export "reserve") (result i64)
    (call $load_i64 (global.get $reserve)))

  (func $credits_of (export "credits_of") (param $account i32) (result i64)
    (call $load_i64 (call $slot (local.get $account))))

  ;; Give credits to an account, or take them where the number is negative, and set aside their tokens.
  (func $change_credits (param $account i32) (param $credits i64)
    (call $store_i64
      (call $slot (local.get $account))
      (i64.add (call $credits_of (local.get $account)) (local.get $credits)))
    (call $store_i64
      (global.get $reserve)
      (i64.add (call $get_reserve) (i64.mul (local.get $credits) (global.get $price)))))

  ;; Send tokens of the exchange to an account.
  (func $pay (param $account i32) (param $tokens i64)
    (drop (call $token_transfer (global.get $exchange) (local.get $account) (local.get $tokens))))

  (func (export "on_received") (param $from i32) (param $amount i64)
    (local $change i64)
    (call $require (i64.ge_s (local.get $amount) (i64.const 0)))
    ;; Written as a difference, which cannot overflow: neither side of it is negative.
    (call $require
      (i64.ge_s
        (i64.sub (call $token_balance_of (global.get $exchange)) (call $get_reserve))
        (local.get $amount)))
    (call $change_credits (local.get $from) (i64.div_s (local.get $amount) (global.get $price)))
    (local.set $change (i64.rem_s (local.get $amount) (global.get $price)))
    (if (i64.ne (local.get $change) (i64.const 0))
      (then (call $pay (local.get $from) (local.get $change)))))

  (func (export "sell") (param $account i32) (param $credits i64)
    (call $require (i64.ge_s (local.get $credits) (i64.const 0)))
    (call $require (i64.ge_s (call $credits_of (local.get $account)) (local.get $credits)))
    (call $change_credits (local.get $account) (i64.sub (i64.const 0) (local.get $credits)))
    (call $pay (local.get $account) (i64.mul (local.get $credits) (global.get $price)))))
