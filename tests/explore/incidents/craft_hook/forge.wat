;; A game: ore is bought, three of it make a sword, and a sword melts down to two of it. Who gets a sword is told.
;;
;; Always: there is not more than one sword for three pieces of ore that were bought.
;;
;; Storage
;;   0            i32  all ore that was bought
;;   4            i32  all swords that there are
;;   256 + 32*k   bag `k` of 128, by linear probing: 20 bytes, whose it is, or zeros; at 20 four bytes in an i32: ore,
;;                swords, 0, 1 where the bag is taken
;;
;; `main`: a byte that says what to do, and one with how many
;;   0x01  buys ore, with 5 for each
;;   0x02  makes swords
;;   0x03  melts swords down
;;
;; Who gets swords is called with the bytes f2 3a 6e 61 and how many; a contract has to answer f2 3a 6e 61.

(module $forge
  (import "ethereum" "call" (func $call (param i64 i32 i32 i32 i32) (result i32)))
  (import "ethereum" "callDataCopy" (func $callDataCopy (param i32 i32 i32)))
  (import "ethereum" "getCallDataSize" (func $getCallDataSize (result i32)))
  (import "ethereum" "getCallValue" (func $getCallValue (param i32)))
  (import "ethereum" "getCaller" (func $getCaller (param i32)))
  (import "ethereum" "getExternalCodeSize" (func $getExternalCodeSize (param i32) (result i32)))
  (import "ethereum" "getReturnDataSize" (func $getReturnDataSize (result i32)))
  (import "ethereum" "returnDataCopy" (func $returnDataCopy (param i32 i32 i32)))
  (import "ethereum" "revert" (func $revert (param i32 i32)))
  ;; @storage
  (memory $memory (export "memory") 3)

  ;; Working memory: 0 the caller, 32 a value, 64 call data, 80 what is said to the caller, 96 its answer, 128 the owner
  ;; of a bag.

  (func $require (param $condition i32)
    (if (i32.eqz (local.get $condition))
      (then (call $revert (i32.const 0) (i32.const 0)))))

  (func $same (param $a i32) (param $b i32) (result i32)
    (i32.and
      (i32.and
        (i64.eq (i64.load $memory (local.get $a)) (i64.load $memory (local.get $b)))
        (i64.eq (i64.load $memory offset=8 (local.get $a)) (i64.load $memory offset=8 (local.get $b))))
      (i32.eq (i32.load $memory offset=16 (local.get $a)) (i32.load $memory offset=16 (local.get $b)))))

  ;; Where the caller's bag is; one is taken where there is none yet.
  (func $bag (result i32)
    (local $at i32) (local $tries i32)
    (call $getCaller (i32.const 0))
    (local.set $at
      (i32.rem_u
        (i32.mul (i32.load $memory (i32.const 16)) (i32.const 0x9e3779b1))
        (i32.const 127)))
    (loop $next
      (call $require (i32.lt_u (local.get $tries) (i32.const 128)))
      (local.set $tries (i32.add (local.get $tries) (i32.const 1)))
      (local.set $at (i32.and (i32.add (local.get $at) (i32.const 1)) (i32.const 127)))
      (call $copy_out (i32.const 128) (call $place (local.get $at)) (i32.const 24))
      (if (i32.eqz (i32.load8_u $memory (i32.const 151)))
        (then
          (call $copy_in (i32.const 0) (call $place (local.get $at)) (i32.const 20))
          (call $store_i32 (i32.add (call $place (local.get $at)) (i32.const 20)) (i32.const 0x01000000)))
        (else (br_if $next (i32.eqz (call $same (i32.const 0) (i32.const 128)))))))
    (i32.add (call $place (local.get $at)) (i32.const 20)))

  (func $place (param $k i32) (result i32)
    (i32.add (i32.const 256) (i32.shl (local.get $k) (i32.const 5))))

  (func $ore (param $bag i32) (result i32) (call $load_u8 (local.get $bag)))
  (func $swords (param $bag i32) (result i32) (call $load_u8 (i32.add (local.get $bag) (i32.const 1))))

  ;; Adds to the packed bag: so much ore, and so many swords.
  (func $put (param $bag i32) (param $ore i32) (param $swords i32)
    (call $store_i32 (local.get $bag)
      (i32.add
        (call $load_i32 (local.get $bag))
        (i32.add (local.get $ore) (i32.shl (local.get $swords) (i32.const 8))))))

  (func $total (param $at i32) (param $more i32)
    (call $store_i32 (local.get $at) (i32.add (call $load_i32 (local.get $at)) (local.get $more))))

  (func $buy (param $n i32)
    (local $bag i32)
    (local.set $bag (call $bag))
    (call $require (i64.eq (i64.load $memory (i32.const 32)) (i64.extend_i32_u (i32.mul (local.get $n) (i32.const 5)))))
    (call $require (i32.le_u (i32.add (call $ore (local.get $bag)) (local.get $n)) (i32.const 255)))
    (call $put (local.get $bag) (local.get $n) (i32.const 0))
    (call $total (i32.const 0) (local.get $n)))

  (func $make (param $n i32)
    (local $bag i32)
    (local.set $bag (call $bag))
    (call $require (i64.eqz (i64.load $memory (i32.const 32))))
    (call $require
      (i32.and
        (i32.ge_u (call $ore (local.get $bag)) (i32.mul (local.get $n) (i32.const 3)))
        (i32.le_u (i32.add (call $swords (local.get $bag)) (local.get $n)) (i32.const 255))))
    (call $tell (local.get $n))
    (call $put (local.get $bag) (i32.mul (local.get $n) (i32.const -3)) (local.get $n))
    (call $total (i32.const 4) (local.get $n)))

  (func $melt (param $n i32)
    (local $bag i32)
    (local.set $bag (call $bag))
    (call $require (i64.eqz (i64.load $memory (i32.const 32))))
    (call $require
      (i32.and
        (i32.ge_u (call $swords (local.get $bag)) (local.get $n))
        (i32.le_u (i32.add (call $ore (local.get $bag)) (i32.mul (local.get $n) (i32.const 2))) (i32.const 255))))
    (call $put (local.get $bag) (i32.mul (local.get $n) (i32.const 2)) (i32.sub (i32.const 0) (local.get $n)))
    (call $total (i32.const 4) (i32.sub (i32.const 0) (local.get $n))))

  ;; Tells the caller, who has to say that this is well.
  (func $tell (param $n i32)
    (call $getCaller (i32.const 0))
    (i32.store $memory (i32.const 80) (i32.const 0x616e3af2))
    (i32.store8 $memory (i32.const 84) (local.get $n))
    (i64.store $memory (i32.const 32) (i64.const 0))
    (i64.store $memory (i32.const 40) (i64.const 0))
    (call $require
      (i32.eqz
        (call $call (i64.const 0x7fffffffffffffff) (i32.const 0) (i32.const 32) (i32.const 80) (i32.const 5))))
    (i32.store $memory (i32.const 96) (i32.const 0))
    (if (i32.eq (call $getReturnDataSize) (i32.const 4))
      (then (call $returnDataCopy (i32.const 96) (i32.const 0) (i32.const 4))))
    (call $require
      (i32.or
        (i32.eq (i32.load $memory (i32.const 96)) (i32.const 0x616e3af2))
        (i32.eqz (call $getExternalCodeSize (i32.const 0))))))

  (func $main (export "main")
    (local $what i32) (local $n i32)
    (call $require (i32.eq (call $getCallDataSize) (i32.const 2)))
    (call $callDataCopy (i32.const 64) (i32.const 0) (i32.const 2))
    (call $getCallValue (i32.const 32))
    (call $require (i64.eqz (i64.load $memory (i32.const 40))))
    (local.set $what (i32.load8_u $memory (i32.const 64)))
    (local.set $n (i32.load8_u $memory (i32.const 65)))
    (call $require (i32.gt_u (local.get $n) (i32.const 0)))
    (block $melt (block $make (block $buy (block $none
      (br_table $none $buy $make $melt $none (local.get $what)))
      (call $revert (i32.const 0) (i32.const 0)))
      (call $buy (local.get $n)) (return))
      (call $make (local.get $n)) (return))
    (call $melt (local.get $n))))
