"""Run contracts that reach storage in bulk where they may not: a program, since the host carries bulk instructions out,
and a fault there would end the process.

It prints a JSON document: for each trial how its call ended, the same under every tracker or a reason why not.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

from storagemod import Address, CallKind, Receipt, World
from storagemod.errors import TrapError
from storagemod.scenario.puppet import Call, Operation, Store
from tests.semantics.puppets import deploy_puppet, script

GROW_AND_FAIL = "grow and fail"

PLAIN = {
    GROW_AND_FAIL: "(drop (memory.grow $s (@.const 1))) (i64.store $s (@.const 65536) (i64.const 7)) unreachable",
    "nothing": "",
    "load": "(call $zero (i64.load $s (@.const 8)))",
    "store": "(i64.store $s (@.const 8) (i64.const 7))",
    "store the same": "(i64.store $s (@.const 8) (i64.const 0))",
    "load beyond": "(call $zero (i64.load $s (@.const 65544)))",
    "store beyond": "(i64.store $s (@.const 65544) (i64.const 7))",
    "store across": "(i64.store $s (@.const 65532) (i64.const -1))",
}

IN_BULK = {
    "fill": "(memory.fill $s (@.const 8) (i32.const 7) (@.const 8))",
    "fill with the same": "(memory.fill $s (@.const 8) (i32.const 0) (@.const 65528))",
    "fill nothing": "(memory.fill $s (@.const 8) (i32.const 7) (@.const 0))",
    "fill beyond": "(memory.fill $s (@.const 65544) (i32.const 7) (@.const 8))",
    "fill across": "(memory.fill $s (@.const 65532) (i32.const 7) (@.const 8))",
    "fill outside": "(memory.fill $s (@.const 131068) (i32.const 7) (@.const 8))",
    "copy to storage": "(memory.copy $s $own (@.const 8) (i32.const 16) (i32.const 8))",
    "copy beyond": "(memory.copy $s $own (@.const 65544) (i32.const 16) (i32.const 8))",
    "copy from storage": "(memory.copy $own $s (i32.const 16) (@.const 8) (i32.const 8))"
    " (call $zero (i64.load $own (i32.const 16)))",
    "copy from beyond": "(memory.copy $own $s (i32.const 16) (@.const 65544) (i32.const 8))"
    " (call $zero (i64.load $own (i32.const 16)))",
    "copy within storage": "(i64.store $s (@.const 8) (i64.const 7))"
    " (memory.copy $s $s (@.const 16) (@.const 8) (@.const 64))",
    "copy from beyond to storage": "(memory.copy $s $s (@.const 16) (@.const 65544) (@.const 64))",
    "init": "(memory.init $s $passive (@.const 8) (i32.const 0) (i32.const 4))",
    "init beyond": "(memory.init $s $passive (@.const 65544) (i32.const 0) (i32.const 4))",
}


def contract_wat(at: str, bodies: dict[str, str]) -> str:
    """A contract whose call data is the index of what it is to do."""
    functions = "\n".join(f"(func $f{index} {body.replace('@', at)})" for index, body in enumerate(bodies.values()))
    return f"""
    (module
      (import "storage" "memory" (memory $s {"i64" if at == "i64" else ""} 1 4))
      (import "ethereum" "callDataCopy" (func $data (param i32 i32 i32)))
      (memory $own (export "memory") 1)
      (data (memory $own) (i32.const 16) "ownbytes")
      (data $passive "init")
      (func $zero (param i64) (if (i64.ne (local.get 0) (i64.const 0)) (then unreachable)))
      {functions}
      (table funcref (elem {" ".join(f"$f{index}" for index in range(len(bodies)))}))
      (func (export "main")
        (call $data (i32.const 0) (i32.const 0) (i32.const 1))
        (call_indirect (i32.load8_u $own (i32.const 0)))))
    """


SEGMENT = """
(module (import "storage" "memory" (memory $s 1))
  (data (memory $s) (i32.const {at}) "segment")
  (func (export "main")))
"""

GROWER = """
(module (import "storage" "memory" (memory $s 1))
  (func (export "main") (drop (memory.grow $s (i32.const 1))) unreachable))
"""


def ended(receipt: Receipt, call_id: int) -> list[str | None]:
    """How a call ended: its outcome, and its error's code and first words."""
    assert receipt.trace is not None
    end = receipt.trace.calls[call_id].ended
    assert end is not None
    code = end.error.code if isinstance(end.error, TrapError) else None
    return [end.outcome.name, code, None if end.error is None else end.error.message]


def run(world: World, to: Address, *calls: Operation) -> Receipt:
    """Have a puppet make calls; nothing is committed."""
    return world.call(to, data=bytes(script(*calls)))


def trials(tracker: str) -> Iterator[list[object]]:
    for at in ("i32", "i64"):
        for kind, bodies in (("plain", PLAIN), ("in bulk", PLAIN | IN_BULK)):
            world = World(tracker=tracker)
            driver = deploy_puppet(world, "single")
            worker = world.deploy(contract_wat(at, bodies), name="worker")
            index = {name: bytes([number]) for number, name in enumerate(bodies)}
            grow = Call(worker, index[GROW_AND_FAIL])
            for name in bodies:
                call, static = Call(worker, index[name]), Call(worker, index[name], kind=CallKind.STATIC)
                yield [at, kind, name, "static", ended(run(world, driver, static), 1)]
                yield [at, kind, name, "hole", ended(run(world, driver, grow, call), 2)]
                yield [at, kind, name, "both", ended(run(world, driver, grow, static), 2)]
    yield from delegated(tracker)
    yield from segments(tracker)


def delegated(tracker: str) -> Iterator[list[object]]:
    """Code in bulk on the storage of a contract without; afterwards that is held to its rights again."""
    bodies = PLAIN | IN_BULK
    world = World(tracker=tracker)
    driver, owner = deploy_puppet(world, "single"), deploy_puppet(world, "single")
    library = world.deploy(contract_wat("i32", bodies).replace("1 4)", "1)"), name="library")
    for number, name in enumerate(bodies):
        inner = script(Call(library, bytes([number]), kind=CallKind.DELEGATE), Store(0, 1))
        receipt = run(world, driver, Call(owner, inner, kind=CallKind.STATIC))
        yield ["i32", "delegated", name, "static", ended(receipt, 2)]
        yield ["i32", "delegated", "store", "static", ended(receipt, 1)]


def segments(tracker: str) -> Iterator[list[object]]:
    """Active segments, which the host writes before any code runs."""
    world = World(tracker=tracker)
    driver = deploy_puppet(world, "single")
    grower = world.deploy(GROWER)
    for place, at in (("inside", 8), ("beyond", 65_544), ("across", 65_533)):
        code = world.deploy(SEGMENT.format(at=at))
        name = f"segment {place}"
        grow, run_code = Call(grower, kind=CallKind.DELEGATE), Call(code, kind=CallKind.DELEGATE)
        yield ["i32", "segments", name, "static", ended(run(world, driver, Call(code, kind=CallKind.STATIC)), 1)]
        yield ["i32", "segments", name, "hole", ended(run(world, driver, grow, run_code), 2)]


def main() -> None:
    print(json.dumps(list(trials(sys.argv[1]))))


if __name__ == "__main__":
    main()
