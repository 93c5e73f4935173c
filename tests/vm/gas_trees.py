"""Random trees of calls, as contracts and as a model that does sums: which calls end well with which gas."""

from __future__ import annotations

import functools
from typing import Literal

from attrs import evolve, field, frozen
from hypothesis import strategies as st

from storagemod import Address, Outcome, World
from storagemod.trace import Trace

GAS = 10**9
"""More than any tree costs."""

NOBODY = Address(0xE000)
WAYS: tuple[Literal["ethereum", "typed", "typed?"], ...] = ("ethereum", "typed", "typed?")

_MAP = (
    '(import "ethereum" "storageMap" (func $map (param i32 i32 i32)))',
    "(call $map (i32.const 4096) (i32.const 0) (i32.const 4096)) (i64.store (i32.const 4096) (i64.const 1))",
)
TOUCHES = {
    "single": ('(import "storage" "memory" (memory $s 1))', "(i64.store $s (i32.const 0) (i64.const 1))"),
    "regions": ('(import "storage" "other" (memory $s 1))', "(i64.store $s (i32.const 0) (i64.const 1))"),
    "methods": (
        '(import "storage" "store_i64" (func $store (param i32 i64)))',
        "(call $store (i32.const 0) (i64.const 1))",
    ),
    "keyed": (
        '(import "ethereum" "storageStore" (func $store (param i32 i32)))',
        "(call $store (i32.const 0) (i32.const 32))",
    ),
    "copied": _MAP,
    "paged": _MAP,
    "aliased": _MAP,
    "window": (
        f'(import "storage" "window" (memory $w 2)) {_MAP[0]}',
        _MAP[1].replace("i64.store", "i64.store $w"),
    ),
}
"""How a contract writes to its storage under each option: an import, and instructions."""


@frozen
class Work:
    """Instructions that cost so much gas, without a loop or a call among them."""

    gas: int


@frozen
class Ask:
    """Calls of a host function that costs next to nothing."""

    times: int


@frozen
class Touch:
    """A store to storage. Once a call: some options refuse to map twice."""


@frozen
class Call:
    """A call of another contract.

    Attributes:
        node: The callee.
        way: How it is made: by call data, or by a typed import that does or does not catch failures.
        gas: What the caller gives; ``None`` for all that it may. Typed imports give all.
        catches: Whether the caller goes on after a failure.
    """

    node: Node
    way: Literal["ethereum", "typed", "typed?"]
    gas: int | None
    catches: bool


@frozen
class Node:
    """A contract: its steps, and how it ends."""

    steps: tuple[Work | Ask | Touch | Call, ...]
    ending: Literal["return", "finish", "revert", "trap"] = "return"


@st.composite
def nodes(draw: st.DrawFn, depth: int = 3, typed: bool = False) -> Node:
    """Draw a tree of calls; code that typed imports call has results of none, and cannot finish."""
    steps: list[Work | Ask | Touch | Call] = []
    for _ in range(draw(st.integers(0, 3))):
        kind = draw(st.sampled_from(["work", "ask", "call", "call"] if depth else ["work", "ask"]))
        if kind == "work":
            steps.append(Work(draw(st.sampled_from([1, 7, 100, 3_000]))))
        elif kind == "ask":
            steps.append(Ask(draw(st.sampled_from([1, 3, 40, 60]))))
        else:
            way = draw(st.sampled_from(WAYS))
            gas = draw(st.none() | st.integers(0, 4_000)) if way == "ethereum" else None
            catches = way == "typed?" or (way == "ethereum" and draw(st.booleans()))
            steps.append(Call(draw(nodes(depth=depth - 1, typed=way != "ethereum")), way, gas, catches))
    if draw(st.booleans()):
        steps.insert(draw(st.integers(0, len(steps))), Touch())
    endings = ["return", "return", "revert", "trap"] if typed else ["return", "finish", "revert", "trap"]
    return Node(tuple(steps), draw(st.sampled_from(endings)))  # type: ignore[arg-type]


# As contracts


def deploy(world: World, node: Node, option: str, mapping: str | None) -> Address:
    """Deploy a tree of contracts, callees first; return the address of the outermost."""
    imports, body, links, data = [], [], {}, b""
    for index, step in enumerate(node.steps):
        if isinstance(step, Work):
            body.append("(drop (i32.const 0)) " * step.gas)
        elif isinstance(step, Ask):
            body.append("(drop (call $ask)) " * step.times)
        elif isinstance(step, Touch):
            body.append(TOUCHES[option][1])
        else:
            callee = deploy(world, step.node, option, mapping)
            if step.way == "ethereum":
                at, gas = 256 + len(data), 2**62 if step.gas is None else step.gas
                data += callee
                call = f"(call $call (i64.const {gas}) (i32.const {at}) (i32.const 64) (i32.const 0) (i32.const 0))"
                body.append(f"(drop {call})" if step.catches else f"(if {call} (then unreachable))")
            else:
                links[f"c{index}"] = callee
                catches, result = ("?", "(result i32)") if step.catches else ("", "")
                imports.append(f'(import "contract:c{index}" "main{catches}" (func $c{index} {result}))')
                body.append(f"(drop (call $c{index}))" if step.catches else f"(call $c{index})")
    body.append(_ENDINGS[node.ending])
    touch = TOUCHES[option][0] if Touch() in node.steps else ""
    segment = "".join(f"\\{byte:02x}" for byte in data)
    code = f"""(module {" ".join(imports)} {touch}
      (import "ethereum" "getCallDataSize" (func $ask (result i32)))
      (import "ethereum" "call" (func $call (param i64 i32 i32 i32 i32) (result i32)))
      (import "ethereum" "finish" (func $finish (param i32 i32)))
      (import "ethereum" "revert" (func $revert (param i32 i32)))
      (memory $m (export "memory") 1) {f'(data (memory $m) (i32.const 256) "{segment}")' if data else ""}
      (func (export "main") {" ".join(body)}))"""
    return world.deploy(code, links=links, mapping=mapping if touch else None)


_ENDINGS = {
    "return": "",
    "finish": "(call $finish (i32.const 0) (i32.const 0))",
    "revert": "(call $revert (i32.const 0) (i32.const 0))",
    "trap": "unreachable",
}


# As sums


@frozen
class Costs:
    """What the parts of contracts cost, measured one by one with gas in plenty."""

    start: int
    ask: int
    touch: int
    endings: dict[str, int]
    before_call: dict[str, int] = field(factory=dict)
    segments: tuple[int, int] = (100, 3)


@functools.cache
def costs(option: str, mapping: str | None) -> Costs:
    """Measure what the parts of contracts cost under an option."""
    world = World(trace=False)

    def used(node: Node) -> int:
        return world.transact(deploy(world, node, option, mapping), gas=GAS).gas_used

    start = used(Node(()))
    endings = {ending: used(Node((), ending)) - start for ending in ("return", "finish", "revert")}  # type: ignore[arg-type]
    found = Costs(start, used(Node((Ask(1),))) - start, used(Node((Touch(),))) - start, endings | {"trap": 0})
    calls = {}
    for way in WAYS:
        for catches in (False, True):
            node = Node((Call(Node(()), way, None, catches),))
            segment = _segments(found, node)
            calls[f"{way} {catches}"] = used(node) - 2 * start - segment
    return evolve(found, before_call=calls)


def _segments(known: Costs, node: Node) -> int:
    callees = sum(isinstance(step, Call) and step.way == "ethereum" for step in node.steps)
    each, word = known.segments
    return each + word * -(-20 * callees // 32) if callees else 0


@frozen
class Ended:
    """How a call ended: in the order in which calls began, as in a trace."""

    given: int
    outcome: Outcome
    used: int


def predict(known: Costs, node: Node, given: int) -> list[Ended]:
    """Work out how a call and those inside it end, by the rules of gas alone."""
    calls: list[Ended] = []

    def failed() -> list[Ended]:
        return [Ended(given, Outcome.FAILED, given), *calls]

    left = given - _segments(known, node) - known.start
    for step in node.steps:
        if isinstance(step, Work):
            left -= step.gas
        elif isinstance(step, Ask):
            left -= known.ask * step.times
        elif isinstance(step, Touch):
            left -= known.touch
        else:
            after = 1 if step.way == "ethereum" and not step.catches else 0  # the `if`
            left -= known.before_call[f"{step.way} {step.catches}"] - after
            if left < 0:
                return failed()
            most = left - left // 64
            inner = predict(known, step.node, most if step.gas is None else min(step.gas, most))
            calls += inner
            left -= inner[0].used + after
            if inner[0].outcome is not Outcome.OK and not step.catches:
                return failed()
    left -= known.endings[node.ending]
    if left < 0 or node.ending == "trap":
        return failed()
    return [Ended(given, Outcome.REVERTED if node.ending == "revert" else Outcome.OK, given - left), *calls]


def seen(trace: Trace) -> list[Ended]:
    """Return what a trace says of the same."""
    return [Ended(each.started.gas, each.ended.outcome, each.ended.gas_used) for each in trace.calls]  # type: ignore[union-attr]
