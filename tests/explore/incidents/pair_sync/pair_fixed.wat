;; A pair of two tokens with a constant product, and a fee of 3 in 1000. `main` takes call data:
;;   0xc0, out0 u64, out1 u64 (little-endian), to 20 bytes, deadline u32 (a block)
;;                                                           swap: sends out first and calls `to` (16 bytes of data)
;;   0xf6                                                    sync: the reserves become what the pair has
;; Storage: lock (a byte in a region of its own); slots: 8 reserve of gold, 16 of silver

(module $pair
  (import "contract:gold" "move" (func $gold.move (param i64 i64)))
  (import "contract:silver" "move" (func $silver.move (param i64 i64)))
  (import "contract:gold" "balance" (func $gold.balance (param i64) (result i64)))
  (import "contract:silver" "balance" (func $silver.balance (param i64) (result i64)))
  (import "ethereum" "call" (func $eth_call (param i64 i32 i32 i32 i32) (result i32)))
  (import "ethereum" "revert" (func $eth_revert (param i32 i32)))
  (import "ethereum" "getCallDataSize" (func $eth_getCallDataSize (result i32)))
  (import "ethereum" "callDataCopy" (func $eth_callDataCopy (param i32 i32 i32)))
  (import "ethereum" "getAddress" (func $eth_getAddress (param i32)))
  (import "ethereum" "getBlockNumber" (func $eth_getBlockNumber (result i64)))
  (import "storage" "lock" (memory $lock 1))
  (import "storage" "slots" (memory $slots 1))
  (memory $memory (export "memory") 3)

  (func $require (param $condition i32)
    (if (i32.eqz (local.get $condition))
      (then (call $eth_revert (i32.const 0) (i32.const 0)))))

  (func $_send (param $who i64) (param $amount i64) (param $data i64) (param $length i64) (result i64)
    (call $_to (local.get $who))
    (i64.store $memory (i32.const 32) (local.get $amount))
    (i64.store $memory (i32.const 40) (i64.const 0))
    (return (i64.extend_i32_u (call $eth_call (i64.const 9223372036854775807) (i32.const 0) (i32.const 32) (i32.wrap_i64 (local.get $data)) (i32.wrap_i64 (local.get $length))))))

  (func $_to (param $who i64)
    (local $i i64)
    (i64.store $memory (i32.const 0) (i64.const 0))
    (i64.store $memory (i32.const 8) (i64.const 0))
    (i64.store32 $memory (i32.const 16) (i64.const 0))
    (local.set $i (i64.const 19))
    (block $end19
      (loop $again19
        (br_if $end19 (i32.eqz (i64.ge_s (local.get $i) (i64.const 12))))
        (i64.store8 $memory (i32.wrap_i64 (local.get $i)) (i64.and (local.get $who) (i64.const 255)))
        (local.set $who (i64.shr_u (local.get $who) (i64.const 8)))
        (local.set $i (i64.sub (local.get $i) (i64.const 1)))
        (br $again19))))

  (func $_be (param $at i64) (param $n i64) (result i64)
    (local $i i64)
    (local $x i64)
    (local.set $x (i64.const 0))
    (local.set $i (i64.const 0))
    (block $end37
      (loop $again37
        (br_if $end37 (i32.eqz (i64.lt_s (local.get $i) (local.get $n))))
        (local.set $x (i64.or (i64.shl (local.get $x) (i64.const 8)) (i64.load8_u $memory (i32.wrap_i64 (i64.add (local.get $at) (local.get $i))))))
        (local.set $i (i64.add (local.get $i) (i64.const 1)))
        (br $again37)))
    (return (local.get $x)))

  (func $_be_address (param $at i64) (result i64)
    (return (call $_be (i64.add (local.get $at) (i64.const 12)) (i64.const 8))))

  (func $_send_out (param $zero i64) (param $to i64) (param $amount i64)
    (if (i64.gt_s (local.get $amount) (i64.const 0))
      (then
        (if (i64.ne (local.get $zero) (i64.const 0))
          (then
            (call $gold.move (local.get $to) (local.get $amount)))
          (else
            (call $silver.move (local.get $to) (local.get $amount)))))))

  (func $setup (export "setup") (param $r0 i64) (param $r1 i64)
    (call $require (i64.eq (i64.load $slots (i32.const 8)) (i64.const 0)))
    (i64.store $slots (i32.const 8) (local.get $r0))
    (i64.store $slots (i32.const 16) (local.get $r1)))

  (func $main (export "main")
    (local $op i64)
    (if (i64.eq (i64.extend_i32_u (call $eth_getCallDataSize )) (i64.const 0))
      (then
        (return)))
    (call $eth_callDataCopy (i32.const 64) (i32.const 0) (i32.const 1))
    (local.set $op (i64.load8_u $memory (i32.const 64)))
    (if (i64.eq (local.get $op) (i64.const 192))
      (then
        (call $_swap ))
      (else
        (call $require (i64.eq (local.get $op) (i64.const 246)))
        (call $_sync ))))

  (func $_myself (result i64)
    (call $eth_getAddress (i32.const 0))
    (return (call $_be (i64.const 12) (i64.const 8))))

  (func $_swap
    (local $b0 i64)
    (local $b1 i64)
    (local $in0 i64)
    (local $in1 i64)
    (local $out0 i64)
    (local $out1 i64)
    (local $r0 i64)
    (local $r1 i64)
    (local $self i64)
    (local $to i64)
    (call $require (i64.eq (i64.load8_u $lock (i32.const 0)) (i64.const 0)))
    (i64.store8 $lock (i32.const 0) (i64.const 1))
    (call $require (i64.eq (i64.extend_i32_u (call $eth_getCallDataSize )) (i64.const 41)))
    (call $eth_callDataCopy (i32.const 128) (i32.const 1) (i32.const 40))
    (call $require (i64.ge_s (i64.load32_u $memory (i32.const 164)) (call $eth_getBlockNumber )))
    (local.set $out0 (i64.load $memory (i32.const 128)))
    (local.set $out1 (i64.load $memory (i32.const 136)))
    (local.set $to (call $_be_address (i64.const 144)))
    (call $require (if (result i32) (if (result i32) (if (result i32) (i64.ge_s (local.get $out0) (i64.const 0)) (then (i64.ge_s (local.get $out1) (i64.const 0))) (else (i32.const 0))) (then (i64.gt_s (i64.add (local.get $out0) (local.get $out1)) (i64.const 0))) (else (i32.const 0))) (then (i64.ne (local.get $to) (call $_myself ))) (else (i32.const 0))))
    (call $require (if (result i32) (i64.lt_s (local.get $out0) (i64.load $slots (i32.const 8))) (then (i64.lt_s (local.get $out1) (i64.load $slots (i32.const 16)))) (else (i32.const 0))))
    (call $_send_out (i64.const 1) (local.get $to) (local.get $out0))
    (call $_send_out (i64.const 0) (local.get $to) (local.get $out1))
    (call $require (i64.eq (call $_send (local.get $to) (i64.const 0) (i64.const 128) (i64.const 16)) (i64.const 0)))
    (local.set $self (call $_myself ))
    (local.set $b0 (call $gold.balance (local.get $self)))
    (local.set $b1 (call $silver.balance (local.get $self)))
    (local.set $r0 (i64.load $slots (i32.const 8)))
    (local.set $r1 (i64.load $slots (i32.const 16)))
    (local.set $in0 (i64.sub (local.get $b0) (i64.sub (local.get $r0) (local.get $out0))))
    (local.set $in1 (i64.sub (local.get $b1) (i64.sub (local.get $r1) (local.get $out1))))
    (if (i64.lt_s (local.get $in0) (i64.const 0))
      (then
        (local.set $in0 (i64.const 0))))
    (if (i64.lt_s (local.get $in1) (i64.const 0))
      (then
        (local.set $in1 (i64.const 0))))
    (call $require (if (result i32) (i64.gt_s (local.get $in0) (i64.const 0)) (then (i32.const 1)) (else (i64.gt_s (local.get $in1) (i64.const 0)))))
    (call $require (i64.ge_s (i64.mul (i64.sub (i64.mul (local.get $b0) (i64.const 1000)) (i64.mul (local.get $in0) (i64.const 3))) (i64.sub (i64.mul (local.get $b1) (i64.const 1000)) (i64.mul (local.get $in1) (i64.const 3)))) (i64.mul (i64.mul (local.get $r0) (local.get $r1)) (i64.const 1000000))))
    (i64.store $slots (i32.const 8) (local.get $b0))
    (i64.store $slots (i32.const 16) (local.get $b1))
    (i64.store8 $lock (i32.const 0) (i64.const 0)))

  (func $_sync
    (local $self i64)
    (call $require (i64.eq (i64.load8_u $lock (i32.const 0)) (i64.const 0)))
    (local.set $self (call $_myself ))
    (i64.store $slots (i32.const 8) (call $gold.balance (local.get $self)))
    (i64.store $slots (i32.const 16) (call $silver.balance (local.get $self)))))
