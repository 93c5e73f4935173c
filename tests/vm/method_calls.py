"""Contracts that call one method, and a world to call them in."""

from __future__ import annotations

from attrs import frozen

from storagemod import Address, Block, GasSchedule, Receipt, World
from tests.vm.interface import ALIASES, METHODS, import_of

A, CALLEE, NOBODY, SENDER = (Address(0xA0 + each) for each in range(4))

PAGE = 65_536
ADDRESS_AT, VALUE_AT, DATA_AT, RESULT_AT = 1_024, 2_048, 4_096, 32_768
ANSWER_AT = PAGE - 8

BLOCK = Block(
    number=1_000,
    timestamp=1_543_000_000,
    coinbase=Address(0xC0),
    difficulty=2**200 + 1,
    gas_limit=8_000_000,
    hashes={999: b"h" * 32},
)

ECHO = """(module (import "ethereum" "getCallDataSize" (func $size (result i32)))
  (import "ethereum" "callDataCopy" (func $copy (param i32 i32 i32)))
  (import "ethereum" "finish" (func $finish (param i32 i32)))
  (memory (export "memory") 2)
  (func (export "main")
    (call $copy (i32.const 0) (i32.const 0) (call $size))
    (call $finish (i32.const 0) (call $size))))"""


def escaped(data: bytes) -> str:
    return "".join(f"\\{byte:02x}" for byte in data)


def const(value_type: str, value: int) -> str:
    return f"({value_type}.const {value})"


def calling(name: str, *args: int, to: Address = CALLEE, value: int = 0, before: str = "", imports: str = "") -> str:
    """A contract whose ``main`` calls one method, and finishes with all of its memory, the result at its end."""
    method = METHODS[ALIASES.get(name, name)]
    call = f"(call ${name} {' '.join(const(*each) for each in zip(method.params, args, strict=True))})"
    if method.results:
        call = f"({method.results[0]}.store {const('i32', ANSWER_AT)} {call})"
    finish = "" if name == "finish" else import_of("finish", METHODS["finish"].type)
    return f"""(module {import_of(name, method.type)} {finish} {imports}
      (memory (export "memory") 1)
      (data (i32.const {ADDRESS_AT}) "{escaped(to)}")
      (data (i32.const {VALUE_AT}) "{escaped(value.to_bytes(16, "little"))}")
      (data (i32.const {DATA_AT}) "call data of eight and twenty")
      (func (export "main") {before} {call} (call $finish (i32.const 0) (i32.const {PAGE}))))"""


@frozen
class Ran:
    receipt: Receipt
    memory: bytes

    @property
    def answer(self) -> int:
        return int.from_bytes(self.memory[ANSWER_AT:], "little")

    def at(self, offset: int, length: int) -> bytes:
        return self.memory[offset : offset + length]


def fresh(schedule: GasSchedule | None = None) -> World:
    world = World(schedule=schedule)
    world.block = BLOCK
    world.fund(SENDER, 10**9)
    world.deploy(ECHO, address=CALLEE, balance=12_345)
    return world


def run(world: World, code: str, **options: object) -> Ran:
    world.deploy(code, address=A, balance=1_000)
    receipt = world.transact(A, sender=SENDER, gas_price=7, **options)  # type: ignore[arg-type]
    return Ran(receipt, receipt.output)


def run_ok(world: World, code: str, **options: object) -> Ran:
    ran = run(world, code, **options)
    assert ran.receipt.ok, ran.receipt.error
    return ran
