;; Says what shares of a pool are worth. Pools of the chain's own money can be caught in the middle of a payment, so it asks
;; these whether they are locked. They are those whose coin is `NATIVE`.
;;
;; Methods
;;   price(coin) -> i64   of 1,000 shares; the pool pays coin 0x20, the wrapped form of the chain's money

(module $oracle
  (import "contract:curve" "worth" (func $curve.worth (result i64)))
  (import "contract:curve" "is_locked" (func $curve.is_locked (result i64)))
  (import "ethereum" "revert" (func $revert (param i32 i32)))
  (memory $memory (export "memory") 1)

  ;; Gives up and undoes this call where the condition does not hold.
  (func $require (param $condition i32)
    (if (i32.eqz (local.get $condition))
      (then (call $revert (i32.const 0) (i32.const 0)))))

  (func $price (export "price") (param $coin i64) (result i64)
    (if (i64.eq (local.get $coin) (i64.const 238))
      (then (call $require (i64.eq (call $curve.is_locked) (i64.const 0)))))
    (return (call $curve.worth))))
