;; Keeps money for shares, one for one. What was paid out is taken off the shares that there are.
;;
;; Storage
;;   64 + 4*who   i32  the shares of account `who`
;;
;; Methods
;;   deposit()        of the value that comes along
;;   withdraw(amount)
;;   give(to, n)      hands shares on

(module $farm
  (import "ethereum" "call" (func $call (param i64 i32 i32 i32 i32) (result i32)))
  (import "ethereum" "getCallValue" (func $getCallValue (param i32)))
  (import "ethereum" "getCaller" (func $getCaller (param i32)))
  (import "ethereum" "revert" (func $revert (param i32 i32)))
  (import "storage" "memory" (memory $storage 1))
  (memory $memory (export "memory") 1)

  ;; Gives up and undoes this call where the condition does not hold.
  (func $require (param $condition i32)
    (if (i32.eqz (local.get $condition))
      (then (call $revert (i32.const 0) (i32.const 0)))))

  ;; Writes the address of an account to working memory.
  (func $address (param $who i32)
    (i64.store $memory (i32.const 0) (i64.const 0))
    (i64.store $memory (i32.const 8) (i64.const 0))
    (i32.store $memory (i32.const 16) (i32.const 0))
    (i32.store8 $memory (i32.const 19) (local.get $who)))

  ;; Who calls, as the last byte of its address.
  (func $me (result i32)
    (call $getCaller (i32.const 0))
    (i32.load8_u $memory (i32.const 19)))

  ;; The value that comes with the call.
  (func $value (result i32)
    (call $getCallValue (i32.const 32))
    (i32.load $memory (i32.const 32)))

  ;; Calls `main` of an account with a value; 0 where that went well.
  (func $send (param $who i32) (param $amount i32) (result i32)
    (call $address (local.get $who))
    (i64.store $memory (i32.const 32) (i64.const 0))
    (i64.store $memory (i32.const 40) (i64.const 0))
    (i32.store $memory (i32.const 32) (local.get $amount))
    (call $call (i64.const 0x7fffffffffffffff) (i32.const 0) (i32.const 32) (i32.const 0) (i32.const 0)))

  ;; Pays an account, which is called; where that fails, so does this call.
  (func $pay (param $who i32) (param $amount i32)
    (call $require (i32.eqz (call $send (local.get $who) (local.get $amount)))))

  (func $shares (param $key i32) (result i32)
    (i32.add (i32.const 64) (i32.mul (i32.const 4) (i32.and (local.get $key) (i32.const 255)))))

  (func $deposit (export "deposit")
    (call $require
      (i32.and (i32.gt_s (call $value) (i32.const 0)) (i32.le_s (call $value) (i32.const 1000000))))
    (i32.store $storage
      (call $shares (call $me))
      (i32.add (i32.load $storage (call $shares (call $me))) (call $value))))

  (func $withdraw (export "withdraw") (param $amount i32)
    (local $burnt i32)
    (call $require
      (i32.and
        (i32.gt_s (local.get $amount) (i32.const 0))
        (i32.le_s (local.get $amount) (i32.load $storage (call $shares (call $me))))))
    (call $pay (call $me) (local.get $amount))
    (local.set $burnt (local.get $amount))
    (if (i32.gt_s (local.get $burnt) (i32.load $storage (call $shares (call $me))))
      (then (local.set $burnt (i32.load $storage (call $shares (call $me))))))
    (i32.store $storage
      (call $shares (call $me))
      (i32.sub (i32.load $storage (call $shares (call $me))) (local.get $burnt))))

  (func $give (export "give") (param $to i32) (param $n i32)
    (call $require
      (i32.and
        (i32.gt_s (local.get $n) (i32.const 0))
        (i32.le_s (local.get $n) (i32.load $storage (call $shares (call $me))))))
    (i32.store $storage
      (call $shares (call $me))
      (i32.sub (i32.load $storage (call $shares (call $me))) (local.get $n)))
    (i32.store $storage
      (call $shares (local.get $to))
      (i32.add (i32.load $storage (call $shares (local.get $to))) (local.get $n)))))
