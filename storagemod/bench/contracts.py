"""Contracts to measure with."""

from __future__ import annotations

_SUM_LOOP = """
  (func (export "sum_{memory}") (param $passes i32) (result i64)
    (local $at i32) (local $sum i64)
    (loop $pass
      (local.set $at (i32.const 0))
      (loop $next
        (local.set $sum (i64.add (local.get $sum) (i64.load ${memory} (local.get $at))))
        (local.set $at (i32.add (local.get $at) (i32.const 8)))
        (br_if $next (i32.lt_u (local.get $at) (i32.const 0x100000))))
      (br_if $pass (local.tee $passes (i32.sub (local.get $passes) (i32.const 1)))))
    (local.get $sum))
"""

SUM = f"""
(module
  (import "storage" "memory" (memory $storage 16))
  (memory $own (export "memory") 16)
  {_SUM_LOOP.format(memory="storage")}
  {_SUM_LOOP.format(memory="own")})
"""
"""Sums 1 MiB, of storage or of the contract's own memory, so many times over."""

WRITE_PAGES = """
(module
  (import "storage" "memory" (memory $storage {pages}))
  (func (export "write") (param $count i32) (param $value i64)
    (local $at i32)
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $count)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (i64.store $storage (local.get $at) (local.get $value))
        (local.set $at (i32.add (local.get $at) (i32.const {stride})))
        (br $next)))))
"""
"""Writes one word in each of so many pages, ``stride`` bytes apart."""

NESTED = """
(module
  (import "storage" "memory" (memory $storage 1))
  (import "contract:self" "step?" (func $step (param i32) (result i32)))
  (import "ethereum" "revert" (func $revert (param i32 i32)))
  (memory (export "memory") 1)
  (func (export "step") (param $reverts i32)
    (i64.store $storage (i32.const 8) (i64.add (i64.load $storage (i32.const 8)) (i64.const 1)))
    (if (local.get $reverts) (then (call $revert (i32.const 0) (i32.const 0)))))
  (func (export "run") (param $count i32) (param $reverts i32)
    (loop $next
      (drop (call $step (local.get $reverts)))
      (br_if $next (local.tee $count (i32.sub (local.get $count) (i32.const 1)))))))
"""
"""Calls itself so many times; each call writes a page, and reverts or returns."""

_CALLS_ITSELF = """
(module
  {imports}
  (import "contract:self" "step" (func $step))
  (memory $own (export "memory") 32)
  (func (export "step")
    {use}
    (i64.store ${memory} (i32.const 0x10000) (i64.add (i64.load ${memory} (i32.const 0x10000)) (i64.const 1))))
  (func (export "run") (param $count i32)
    {use}
    (i64.store ${memory} (i32.const 0x11000) (i64.extend_i32_u (local.get $count)))
    (loop $next
      (call $step)
      (br_if $next (local.tee $count (i32.sub (local.get $count) (i32.const 1)))))))
"""

STEPS_SHARED = _CALLS_ITSELF.format(
    imports='(import "storage" "memory" (memory $storage 32))', use="", memory="storage"
)
"""Calls itself so many times; each call writes a word of 1 MiB of storage."""

STEPS_MAPPED = _CALLS_ITSELF.format(
    imports='(import "ethereum" "storageMap" (func $map (param i32 i32 i32)))',
    use="(call $map (i32.const 0x10000) (i32.const 0) (i32.const 0x100000))",
    memory="own",
)
"""The same, where each call maps the 1 MiB first."""

STEPS_WINDOW = _CALLS_ITSELF.format(
    imports="""(import "storage" "window" (memory $window 32))
  (import "ethereum" "storageMap" (func $map (param i32 i32 i32)))""",
    use="(call $map (i32.const 0x10000) (i32.const 0) (i32.const 0x100000))",
    memory="window",
)
"""The same in a window, where all but the first find it mapped."""

WORDS = """
(module
  (import "storage" "memory" (memory $storage {pages} 65536))
  (func (export "null"))
  (func (export "sum") (param $length i32) (result i64) (local $at i32) (local $sum i64)
    (loop $next
      (local.set $sum (i64.add (local.get $sum) (i64.load $storage (local.get $at))))
      (br_if $next (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 8))) (local.get $length))))
    (local.get $sum))
  (func (export "fill") (param $length i32) (param $value i64) (local $at i32)
    (loop $next
      (i64.store $storage (local.get $at) (local.get $value))
      (local.set $value (i64.add (local.get $value) (i64.const 1)))
      (br_if $next (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 8))) (local.get $length)))))
  (func (export "count") (param $at i32)
    (i64.store $storage (local.get $at) (i64.add (i64.load $storage (local.get $at)) (i64.const 1)))))
"""
"""Does nothing, sums words, fills words with numbers that follow one another, or counts in one word."""

_BUMP = """
(module
  {imports}
  (memory (export "memory") 1)
  (func (export "bump") (param $length i32) (param $passes i32) (local $at i32)
    (loop $pass
      (local.set $at (i32.const 0))
      (loop $next
        ({store} (local.get $at) (i64.add ({load} (local.get $at)) (i64.const 1)))
        (br_if $next (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 8))) (local.get $length))))
      (br_if $pass (local.tee $passes (i32.sub (local.get $passes) (i32.const 1)))))))
"""

BUMP_SINGLE = _BUMP.format(
    imports='(import "storage" "memory" (memory $storage 1))', load="i64.load $storage", store="i64.store $storage"
)
"""Adds one to each word of storage, so many times over, as one writes it in text for ``single``."""

BUMP_METHODS = _BUMP.format(
    imports="""(import "storage" "load_i64" (func $load (param i32) (result i64)))
  (import "storage" "store_i64" (func $store (param i32 i64)))""",
    load="call $load",
    store="call $store",
)
"""The same, as compilers write it: by calls of the functions of ``methods``."""

_PING_PONG = """
(module
  {imports}
  (import "contract:peer" "hit?" (func $hit (param i32 i32) (result i32)))
  {memory}
  (func (export "hit") (param $left i32) (param $traps i32)
    {count}
    (if (local.get $left)
      (then (drop (call $hit (i32.sub (local.get $left) (i32.const 1)) (local.get $traps))))
      (else (if (local.get $traps) (then (unreachable)))))))
"""

_OWN_MEMORY = '(memory $own (export "memory") 1)'


def _increment(memory: str, offset: int = 0) -> str:
    at = f"(i32.const {offset})"
    return f"(i64.store ${memory} {at} (i64.add (i64.load ${memory} {at}) (i64.const 1)))"


_MAPS = {
    "imports": '(import "ethereum" "storageMap" (func $map (param i32 i32 i32)))',
    "memory": _OWN_MEMORY,
    "count": f"(call $map (i32.const 0) (i32.const 0) (i32.const 4096)) {_increment('own')}",
}

PING_PONG = {
    option: _PING_PONG.format(**parts)
    for option, parts in {
        "single": {
            "imports": '(import "storage" "memory" (memory $storage 1 1))',
            "memory": "",
            "count": _increment("storage"),
        },
        "regions": {
            "imports": '(import "storage" "count" (memory $storage 1 1))',
            "memory": "",
            "count": _increment("storage"),
        },
        "methods": {
            "imports": """(import "storage" "load_i64" (func $load (param i32) (result i64)))
  (import "storage" "store_i64" (func $store (param i32 i64)))""",
            "memory": "",
            "count": "(call $store (i32.const 0) (i64.add (call $load (i32.const 0)) (i64.const 1)))",
        },
        "keyed": {
            "imports": """(import "ethereum" "storageLoad" (func $load (param i32 i32)))
  (import "ethereum" "storageStore" (func $store (param i32 i32)))""",
            "memory": _OWN_MEMORY,
            "count": f"""(call $load (i32.const 0) (i32.const 32))
    {_increment("own", 32)}
    (call $store (i32.const 0) (i32.const 32))""",
        },
        **dict.fromkeys(("copied", "paged", "aliased"), _MAPS),
        "window": {
            "imports": '(import "storage" "window" (memory $window 1)) ' + _MAPS["imports"],
            "memory": "",
            "count": f"(call $map (i32.const 0) (i32.const 0) (i32.const 4096)) {_increment('window')}",
        },
    }.items()
}
"""Two such contracts call one another, so many calls deep, by linking option; each call counts in a word of storage.

The innermost call traps if it is to, and its caller catches that.
"""

PING_PONG_OWN_PAGE = _PING_PONG.format(
    imports='(import "storage" "memory" (memory $storage 1 1))',
    memory=f'{_OWN_MEMORY} (data (memory $own) (i32.const 1024) "data")',
    count=f"(i32.store $own (i32.const 2048) (local.get $left)) {_increment('storage')}",
)
"""The same under ``single``, where each contract has one page of memory of its own and writes to it."""
