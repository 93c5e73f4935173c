"""Code that would take the compiler long, or much memory, is refused before it is compiled; real code is not."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import pytest
import wasmtime

from storagemod import World
from storagemod.cli.main import main
from storagemod.errors import ValidationError
from storagemod.limits import Limits
from storagemod.vm import Contract
from storagemod.vm import machine as machines
from storagemod.wasm import compile_module, module
from storagemod.wasm.binary import read_declarations
from tests.fuzz.shapes import Segment, Shape
from tests.fuzz.shapes import module as written
from tests.wasm.modules import compiled, leb

MEBIBYTE = 1 << 20


def images(memories: int, last: int) -> bytes:
    """Make a module of memories, each with a byte at its begin and one far behind."""
    data = "".join(f'(data (memory {n}) (i32.const {at}) "x")' for n in range(memories) for at in (0, last))
    return compiled(f'(module {"(memory 1024)" * memories} {data} (func (export "main")))')


def types(count: int, width: int) -> bytes:
    """Make a module of many different types."""
    declared = [f"(type (func (param {'i32 ' * length}f64)))" for length in range(width, width + count)]
    return compiled(f"(module {' '.join(declared)})")


BOMBS = {
    "wide block types: 5 GiB, then an abort": written(Shape((Segment("wide_else", 1_600),), width=1_000)),
    "wide loops: 52 s, 13 GB": written(Shape((Segment("wide_loop", 600),), width=1_000)),
    "values that blocks hand over": written(Shape((Segment("wide_branch", 4_000),), width=10)),
    "calls of wide functions: 67 s": written(Shape((Segment("wide_call", 1_600),), width=1_000)),
    "indirect calls of wide functions": written(Shape((Segment("wide_call_indirect", 1_600),), width=1_000)),
    "indirect calls": written(Shape((Segment("call_indirect", 30_000),))),
    "unused locals: 52 s": written(Shape(locals_unused=49_000, copies=2_000)),
    "loops over locals: 49 s": written(Shape((Segment("loop_read", 12_000),), locals_live=2_000)),
    "conditions over locals": written(Shape((Segment("if_read", 12_000),), locals_live=2_000)),
    "conditions in one another: 14 s": written(Shape((Segment("if", 50_000, nested=True),))),
    "conditions in one another that set locals": written(Shape((Segment("if_set", 2_000, True),), locals_live=500)),
    "growing a memory": written(Shape((Segment("memory_grow", 16_000),))),
    "many small functions": written(Shape(sections={"functions": 100_000})),
    "many types": types(400, 500),
    "passive elements": compiled(f"(module (table 1 funcref) (func $f) {'(elem func $f)' * 50_000})"),
    "data segments far from one another: 6 s": written(Shape(sections={"far_data": 10_000})),
    "data segments that keep 255 MB": images(16, 15 * MEBIBYTE),
}  # fmt: skip


@pytest.fixture
def nothing_compiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail when anything is compiled."""

    def compile_anything(*_: object) -> None:
        raise AssertionError("it was compiled")

    monkeypatch.setattr(wasmtime.Module, "__init__", compile_anything)


@pytest.mark.usefixtures("nothing_compiles")
@pytest.mark.parametrize("name", BOMBS)
def test_what_would_take_long_to_compile_is_refused_before_that(name: str) -> None:
    with pytest.raises(
        ValidationError, match=r"compiling it would cost [0-9,]+ units or more, and 3,000,000"
    ) as caught:
        World().deploy(BOMBS[name])
    assert "(compile_cost_max)" in str(caught.value)
    assert "most of them are for" in str(caught.value)


@pytest.mark.parametrize("name", [*BOMBS][::4])
def test_a_transaction_fails_that_creates_what_would_take_long_to_compile(name: str) -> None:
    receipt = World().create(BOMBS[name])
    assert not receipt.ok
    assert "compile_cost_max" in str(receipt.error)


def test_the_command_line_refuses_what_would_take_long_to_compile(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bomb.wasm"
    path.write_bytes(BOMBS["calls of wide functions: 67 s"])
    assert main(["compile", str(path), "-o", str(tmp_path / "out.wasm")]) != 0
    assert "compile_cost_max" in capsys.readouterr().err


FACTORY = """(module
  (import "ethereum" "create" (func $create (param i32 i32 i32 i32) (result i32)))
  (import "ethereum" "getCallDataSize" (func $size (result i32)))
  (import "ethereum" "callDataCopy" (func $copy (param i32 i32 i32)))
  (import "ethereum" "finish" (func $finish (param i32 i32)))
  (memory (export "memory") 16)
  (func (export "main")
    (call $copy (i32.const 64) (i32.const 0) (call $size))
    (i32.store (i32.const 0) (call $create (i32.const 32) (i32.const 64) (call $size) (i32.const 0)))
    (call $finish (i32.const 0) (i32.const 4))))"""


def test_a_contract_goes_on_that_creates_what_would_take_long_to_compile() -> None:
    world = World()
    factory = world.deploy(FACTORY)
    receipt = world.transact(factory, data=BOMBS["calls of wide functions: 67 s"], gas=10**9).raise_for_error()
    assert int.from_bytes(receipt.output, "little") != 0
    assert receipt.trace is not None
    assert "compile_cost_max" in str(receipt.trace.calls[1].ended)


def test_what_a_transaction_creates_is_bounded_together_and_the_same_whatever_was_compiled_before() -> None:
    code = '(module (func (export "main")))'
    cost = Contract.load(code).module.declarations.compile_cost
    for _ in range(2):
        world = World(limits=Limits(created_compile_cost_max=2 * cost))
        assert world.create(code).ok
        factory = world.deploy(FACTORY)
        assert world.transact(factory, data=Contract.load(code).code).raise_for_error().output == bytes(4)
        small = World(limits=Limits(created_compile_cost_max=cost - 1))
        receipt = small.transact(small.deploy(FACTORY), data=Contract.load(code).code).raise_for_error()
        assert receipt.output != bytes(4)
        assert receipt.trace is not None
        assert "created_compile_cost_max" in str(receipt.trace.calls[1].ended)


def test_a_machine_lets_go_of_modules_that_take_much_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machines, "_MODULE_BYTES_MAX", 3 * MEBIBYTE)
    monkeypatch.setattr(module, "BYTES_KEPT", 1)
    world = World()
    contracts = [world.deploy(images(1, MEBIBYTE + number)) for number in range(3)]
    for contract in contracts:
        assert world.transact(contract).ok
    gc.collect()
    alive = [each for each in gc.get_objects() if isinstance(each, module.Module) and len(each.wasm) < 200]
    assert sum(each.bytes_kept > 2 * MEBIBYTE for each in alive) < 3


def test_a_transaction_compiles_nothing_after_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Init code whose loading takes until after the deadline, and the code that it gives."""
    world = World(limits=Limits(deadline_seconds=0.01))
    machine = world._machine
    loaded = []

    def slow(code: bytes, _link: str | None) -> Contract:
        loaded.append(code)
        while True:
            machine.store.check_time()

    monkeypatch.setattr(machine, "contract", slow)
    receipt = world.create('(module (func (export "main")))')
    assert "deadline" in str(receipt.error)
    assert len(loaded) == 1


# Real code


def unrolled(steps: int) -> tuple[bytes, int]:
    """Make a function as compilers make hash functions, rounds written out over 25 words, and its result."""
    words = [number * 0x9E3779B97F4A7C15 % 2**64 for number in range(1, 26)]
    code = b"".join(b"\x42" + signed(word) + b"\x21" + leb(number) for number, word in enumerate(words))
    for step in range(steps):
        a, b, c, turn = step % 25, step * 7 % 25, step * 11 % 25, step % 63 + 1
        read = [b"\x20" + leb(each) for each in (a, b, c)]
        code += read[0] + read[1] + b"\x85\x42" + signed(turn) + b"\x89" + read[2] + b"\x7c\x21" + leb(a)
        mixed = words[a] ^ words[b]
        words[a] = ((mixed << turn | mixed >> (64 - turn)) + words[c]) % 2**64
    body = b"\1\x19\x7e" + code + b"\x20\0\x0b"
    sections = (b"\1\5\1\x60\0\1\x7e", b"\3\2\1\0", b"\7\x08\1\4hash\0\0", b"\x0a" + vector(vector(body, b"\1")))
    return b"\0asm\1\0\0\0" + b"".join(sections), words[0]


def vector(content: bytes, before: bytes = b"") -> bytes:
    return before + leb(len(content)) + content if before else leb(len(content)) + content


def signed(value: int) -> bytes:
    """Write a number of 64 bits as a signed one."""
    value -= 2**64 * (value >> 63)
    groups = []
    while not -64 <= value < 64:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value & 0x7F])


def test_a_function_of_135_kilobytes_passes_and_runs() -> None:
    wasm, expected = unrolled(10_500)
    assert 135_000 < len(wasm) < 150_000
    world = World()
    receipt = world.transact(world.deploy(wasm), "hash", gas=10**9).raise_for_error()
    assert isinstance(receipt.value, int)
    assert receipt.value % 2**64 == expected
    assert read_declarations(wasm).compile_cost < Limits().compile_cost_max / 4


# Images of memories


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        ("(memory 16)", 0),
        ('(memory 16) (data (i32.const 100000) "x")', 4_097),
        ('(memory 16) (data (i32.const 100000) "x") (data (i32.const 0) "y")', 104_097),
        ('(memory 16) (data (i32.const -1) "x")', 0),  # beyond its end: instantiation fails
        ('(memory i64 16) (data (i64.const 100000) "x") (data (i64.const 0) "y")', 104_097),
        ('(memory 16) (data (i32.add (i32.const 99999) (i32.const 1)) "x")', 1_052_672),  # anywhere, for what we know
        ('(memory 16) (data "passive")', 0),
        ('(memory 1024) (data (i32.const 0) "x") (data (i32.const 50000000) "y")', 4 * 4_096),
    ],
)
def test_what_images_of_memories_keep_is_known(fields: str, kept: int) -> None:
    assert read_declarations(compiled(f"(module {fields})")).image_bytes == kept


@pytest.mark.parametrize("last", [1 * MEBIBYTE, 8 * MEBIBYTE])
def test_images_are_as_long_as_thought(last: int) -> None:
    found = compile_module(images(1, last), Limits())
    assert last <= len(found.compiled.serialize()) < last + 100_000
    assert 2 * last <= found.bytes_kept < 2 * last + 200_000


# What is remembered


def test_a_module_that_was_compiled_under_wider_limits_is_refused_under_narrower_ones() -> None:
    wasm = written(Shape((Segment("if", 1_000),)))
    cost = compile_module(wasm, Limits()).declarations.compile_cost
    assert compile_module(wasm, Limits(compile_cost_max=cost))
    with pytest.raises(ValidationError, match=f"cost {cost:,} units or more, and {cost - 1:,} are allowed"):
        compile_module(wasm, limits=Limits(compile_cost_max=cost - 1))


def test_modules_are_remembered_by_the_bytes_that_they_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_modules", type(module._modules)())
    monkeypatch.setattr(module, "BYTES_KEPT", 5 * MEBIBYTE)
    contracts = [Contract.load(images(1, MEBIBYTE + number)) for number in range(2)]
    assert [Contract.load(each.code) for each in contracts] == contracts
    forgotten = weakref.ref(contracts.pop(0).module)
    Contract.load(images(1, MEBIBYTE + 2))
    gc.collect()
    assert forgotten() is None
    assert Contract.load(contracts[0].code) is contracts[0]


def test_the_last_module_is_remembered_however_long_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BYTES_KEPT", 1)
    wasm = compiled('(module (func (export "remembered")))')
    assert compile_module(wasm, Limits()) is compile_module(wasm, Limits())
