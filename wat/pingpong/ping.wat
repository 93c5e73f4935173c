;; One half of a game: ping calls pong, which calls ping, down to the depth that is asked for. Each side counts its
;; visits in storage before it passes the ball on, and when the ball comes back it checks that it sees every visit that
;; was counted in between. `pong.wat` is the other half. A depth of d makes d + 1 calls, one inside the other.
;;
;; Storage
;;   0  i64  visits: calls of this half so far
;;
;; Methods
;;   ping(depth i32) -> i32   the number of calls, this one counted; traps where a visit has gone missing
;;   visits() -> i64
;;
;; Calls
;;   pong.pong(depth i32) -> i32

(module $ping
  (import "contract:pong" "pong" (func $pong (param $depth i32) (result i32)))
  ;; @storage

  (memory $memory (export "memory") 3)

  (global $visits i32 (i32.const 0))

  (func $get_visits (export "visits") (result i64)
    (call $load_i64 (global.get $visits)))

  (func (export "ping") (param $depth i32) (result i32)
    (local $mine i64) ;; the number of this visit
    (local $calls i32)
    (local.set $mine (i64.add (call $get_visits) (i64.const 1)))
    (call $store_i64 (global.get $visits) (local.get $mine))
    (if (local.get $depth)
      (then
        (local.set $calls (call $pong (i32.sub (local.get $depth) (i32.const 1))))))

    ;; Every second one of the `depth` calls below was a visit here.
    (if (i64.ne
          (call $get_visits)
          (i64.add (local.get $mine) (i64.extend_i32_u (i32.shr_u (local.get $depth) (i32.const 1)))))
      (then (unreachable)))
    (i32.add (local.get $calls) (i32.const 1))))
