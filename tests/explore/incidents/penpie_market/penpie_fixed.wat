;; Stakes a token in markets that anybody can register, and hands on what they earn.
;;
;; Always: it has all that is staked and all rewards.
;;
;; Storage, memory `markets`
;;   8*market       i64  1 where it is registered; markets by the lowest four bits of their addresses
;;   1024 + 8*market  i64  all that is staked there
;;   2048 + 8*market  i64  its rewards
;; Storage, memory `stakes`
;;   128*market + 8*who   i64  what account `who` has staked
;;
;; Methods
;;   register(market)
;;   stake(market, amount), unstake(market, amount)
;;   harvest(market)     has a market earn
;;   claim(market)       for who has staked everything there
;;
;; Calls
;;   main of the market

(module $penpie
  (import "contract:token" "take" (func $token.take (param i64 i64 i64)))
  (import "contract:token" "balance" (func $token.balance (param i64) (result i64)))
  (import "ethereum" "call" (func $call (param i64 i32 i32 i32 i32) (result i32)))
  (import "ethereum" "getAddress" (func $getAddress (param i32)))
  (import "ethereum" "getCaller" (func $getCaller (param i32)))
  (import "ethereum" "revert" (func $revert (param i32 i32)))
  (import "storage" "markets" (memory $markets 1))
  (import "storage" "stakes" (memory $stakes 1))
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

  ;; This contract, as the last byte of its address.
  (func $this (result i64)
    (call $getAddress (i32.const 0))
    (i64.load8_u $memory (i32.const 19)))

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

  (func $known (param $key i64) (result i32)
    (i32.add (i32.const 0) (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 15)))))

  (func $stakes (param $row i64) (param $column i64) (result i32)
    (i32.add
      (i32.add
        (i32.const 0)
        (i32.mul (i32.const 128) (i32.and (i32.wrap_i64 (local.get $row)) (i32.const 15))))
      (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $column)) (i32.const 15)))))

  (func $totals (param $key i64) (result i32)
    (i32.add
      (i32.const 1024)
      (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 15)))))

  (func $rewards (param $key i64) (result i32)
    (i32.add
      (i32.const 2048)
      (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (local.get $key)) (i32.const 15)))))

  (func $register (export "register") (param $market i64)
    (i64.store $markets (call $known (local.get $market)) (i64.const 1)))

  (func $stake (export "stake") (param $market i64) (param $amount i64)
    (call $require
      (i32.and
        (i32.and
          (i64.eq (i64.load $markets (call $known (local.get $market))) (i64.const 1))
          (i64.gt_s (local.get $amount) (i64.const 0)))
        (i64.le_s (local.get $amount) (i64.const 1000000))))
    (call $token.take (call $me) (call $this) (local.get $amount))
    (i64.store $stakes
      (call $stakes (local.get $market) (call $me))
      (i64.add (i64.load $stakes (call $stakes (local.get $market) (call $me))) (local.get $amount)))
    (i64.store $markets
      (call $totals (local.get $market))
      (i64.add (i64.load $markets (call $totals (local.get $market))) (local.get $amount))))

  (func $unstake (export "unstake") (param $market i64) (param $amount i64)
    (call $require
      (i32.and
        (i64.gt_s (local.get $amount) (i64.const 0))
        (i64.le_s (local.get $amount) (i64.load $stakes (call $stakes (local.get $market) (call $me))))))
    (i64.store $stakes
      (call $stakes (local.get $market) (call $me))
      (i64.sub (i64.load $stakes (call $stakes (local.get $market) (call $me))) (local.get $amount)))
    (i64.store $markets
      (call $totals (local.get $market))
      (i64.sub (i64.load $markets (call $totals (local.get $market))) (local.get $amount)))
    (call $token.take (call $this) (call $me) (local.get $amount)))

  (func $harvest (export "harvest") (param $market i64)
    (local $earlier i64)
    (call $require (i64.eq (i64.load $markets (call $known (local.get $market))) (i64.const 1)))
    (local.set $earlier (i64.sub (call $token.balance (call $this)) (call $_staked)))
    (call $require (i32.eq (call $ask (local.get $market) (i64.const 0) (i32.const 0)) (i32.const 0)))
    (i64.store $markets
      (call $rewards (local.get $market))
      (i64.add
        (i64.load $markets (call $rewards (local.get $market)))
        (i64.sub (i64.sub (call $token.balance (call $this)) (call $_staked)) (local.get $earlier)))))

  ;; All that is staked in all markets, which is nobody's reward, and the rewards that there are.
  (func $_staked (result i64)
    (local $market i64) (local $total i64)
    (local.set $market (i64.const 0))
    (local.set $total (i64.const 0))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (i64.lt_s (local.get $market) (i64.const 16))))
        (local.set $total
          (i64.add
            (local.get $total)
            (i64.add
              (i64.load $markets (call $totals (local.get $market)))
              (i64.load $markets (call $rewards (local.get $market))))))
        (local.set $market (i64.add (local.get $market) (i64.const 1)))
        (br $next)))
    (return (local.get $total)))

  (func $claim (export "claim") (param $market i64)
    (local $amount i64)
    (call $require
      (i32.and
        (i64.gt_s (i64.load $markets (call $totals (local.get $market))) (i64.const 0))
        (i64.eq
          (i64.load $stakes (call $stakes (local.get $market) (call $me)))
          (i64.load $markets (call $totals (local.get $market))))))
    (local.set $amount (i64.load $markets (call $rewards (local.get $market))))
    (i64.store $markets (call $rewards (local.get $market)) (i64.const 0))
    (call $token.take (call $this) (call $me) (local.get $amount))))
