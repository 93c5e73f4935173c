;; Auctions of collateral at a fixed price: who takes some gets it first, is called, and then pays out of a deposit.
;;
;; Always: gems that are set aside, on sale, or somebody's are all the gems that there are.
;;
;; Storage, all u32
;;   0             gems set aside
;;   4             all gems
;;   8             coins of the house
;;   12            number of sales
;;   64 + 16*id    tab (coins that the sale is to bring in), lot (gems), price, whose gems they were
;;   1024 + 8*who  gems, coins of account `who`
;;
;; Methods
;;   kick(tab, lot, price, whose) -> id   by the keeper: begins a sale of gems set aside; 32 of them at most
;;   take(id, max) -> gems taken
;;   give(to, gems)                       hands gems on
;;   done(id)                             what is left over of a sale whose tab is paid goes back to whose it was
;;   lots() -> gems on sale

(module $clipper
  (import "ethereum" "call" (func $call (param i64 i32 i32 i32 i32) (result i32)))
  (import "ethereum" "getCaller" (func $getCaller (param i32)))
  (import "ethereum" "revert" (func $revert (param i32 i32)))
  ;; @storage
  (memory $memory (export "memory") 3)

  (func $require (param $ok i32)
    (if (i32.eqz (local.get $ok)) (then (call $revert (i32.const 0) (i32.const 0)))))

  (func $me (result i32)
    (call $getCaller (i32.const 0))
    (i32.load8_u $memory (i32.const 19)))

  (func $sale (param $id i32) (result i32)
    (call $require (i32.lt_u (local.get $id) (call $load_i32 (i32.const 12))))
    (i32.add (i32.const 64) (i32.shl (local.get $id) (i32.const 4))))

  (func $gems (param $who i32) (result i32) (i32.add (i32.const 1024) (i32.shl (local.get $who) (i32.const 3))))
  (func $coins (param $who i32) (result i32) (i32.add (i32.const 1028) (i32.shl (local.get $who) (i32.const 3))))

  (func $add (param $at i32) (param $n i32)
    (call $store_i32 (local.get $at) (i32.add (call $load_i32 (local.get $at)) (local.get $n))))

  (func $sub (param $at i32) (param $n i32)
    (call $require (i32.ge_u (call $load_i32 (local.get $at)) (local.get $n)))
    (call $store_i32 (local.get $at) (i32.sub (call $load_i32 (local.get $at)) (local.get $n))))

  (func $small (param $n i32) (call $require (i32.lt_u (local.get $n) (i32.const 0x8000))))

  (func (export "kick") (param $tab i32) (param $lot i32) (param $price i32) (param $whose i32) (result i32)
    (local $id i32) (local $at i32)
    (call $require (i32.eq (call $me) (i32.const 10)))
    (call $small (local.get $tab))
    (call $small (local.get $price))
    (call $require (i32.and (i32.gt_u (local.get $price) (i32.const 0)) (i32.lt_u (local.get $whose) (i32.const 256))))
    (call $sub (i32.const 0) (local.get $lot))
    (local.set $id (call $load_i32 (i32.const 12)))
    (call $require (i32.lt_u (local.get $id) (i32.const 32)))
    (call $store_i32 (i32.const 12) (i32.add (local.get $id) (i32.const 1)))
    (local.set $at (call $sale (local.get $id)))
    (call $store_i32 (local.get $at) (local.get $tab))
    (call $store_i32 (i32.add (local.get $at) (i32.const 4)) (local.get $lot))
    (call $store_i32 (i32.add (local.get $at) (i32.const 8)) (local.get $price))
    (call $store_i32 (i32.add (local.get $at) (i32.const 12)) (local.get $whose))
    (local.get $id))

  (func (export "take") (param $id i32) (param $max i32) (result i32)
    (local $at i32) (local $tab i32) (local $lot i32) (local $price i32) (local $slice i32) (local $owe i32) (local $who i32)
    (local.set $who (call $me))
    (local.set $at (call $sale (local.get $id)))
    (local.set $tab (call $load_i32 (local.get $at)))
    (local.set $lot (call $load_i32 (i32.add (local.get $at) (i32.const 4))))
    (local.set $price (call $load_i32 (i32.add (local.get $at) (i32.const 8))))
    (call $small (local.get $max))
    (local.set $slice
      (select (local.get $max) (local.get $lot) (i32.lt_u (local.get $max) (local.get $lot))))
    (local.set $owe (i32.mul (local.get $slice) (local.get $price)))
    (if (i32.gt_u (local.get $owe) (local.get $tab))
      (then
        (local.set $slice (i32.div_u (local.get $tab) (local.get $price)))
        (local.set $owe (i32.mul (local.get $slice) (local.get $price)))))
    (call $require (local.get $slice))
    (local.set $tab (i32.sub (local.get $tab) (local.get $owe)))
    (local.set $lot (i32.sub (local.get $lot) (local.get $slice)))
    (call $add (call $gems (local.get $who)) (local.get $slice))
    (i64.store $memory (i32.const 0) (i64.const 0))
    (i64.store $memory (i32.const 8) (i64.const 0))
    (i32.store $memory (i32.const 16) (i32.shl (local.get $who) (i32.const 24)))
    (i32.store $memory (i32.const 64) (local.get $owe))
    (call $require
      (i32.eqz (call $call (i64.const 0x7fffffffffffffff) (i32.const 0) (i32.const 32) (i32.const 64) (i32.const 4))))
    (call $sub (call $coins (local.get $who)) (local.get $owe))
    (call $add (i32.const 8) (local.get $owe))
    (call $store_i32 (local.get $at) (local.get $tab))
    (call $store_i32 (i32.add (local.get $at) (i32.const 4)) (local.get $lot))
    (local.get $slice))

  (func (export "give") (param $to i32) (param $n i32)
    (call $require (i32.lt_u (local.get $to) (i32.const 256)))
    (call $sub (call $gems (call $me)) (local.get $n))
    (call $add (call $gems (local.get $to)) (local.get $n)))

  (func (export "done") (param $id i32)
    (local $at i32) (local $lot i32)
    (local.set $at (call $sale (local.get $id)))
    (call $require (i32.lt_u (call $load_i32 (local.get $at)) (call $load_i32 (i32.add (local.get $at) (i32.const 8)))))
    (local.set $lot (call $load_i32 (i32.add (local.get $at) (i32.const 4))))
    (call $store_i32 (i32.add (local.get $at) (i32.const 4)) (i32.const 0))
    (call $add (call $gems (call $load_i32 (i32.add (local.get $at) (i32.const 12)))) (local.get $lot)))

  (func (export "lots") (result i32)
    (local $i i32) (local $n i32)
    (loop $next
      (local.set $n (i32.add (local.get $n) (call $load_i32 (i32.add (i32.const 68) (i32.shl (local.get $i) (i32.const 4))))))
      (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 32))))
    (local.get $n)))
