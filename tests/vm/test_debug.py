"""The `debug` functions: offered where a world is told to, and what they show."""

from __future__ import annotations

import pytest

from storagemod import Contract, World
from storagemod.errors import LinkError, TrapError
from storagemod.events import DebugPrinted, Event
from storagemod.types import FunctionType
from tests.vm.interface import DEBUG_METHODS, METHODS, import_of

PAGE = 65_536

MEMORY = '(memory (export "memory") 1) (data (i32.const 0) "caf\\c3\\a9\\n") (data (i32.const 64) "stored\\00value")'


def printing(name: str, *args: int, before: str = "", imports: str = "") -> str:
    method = DEBUG_METHODS[name]
    values = " ".join(f"({kind}.const {value})" for kind, value in zip(method.params, args, strict=True))
    return f"""(module {import_of(name, method.type, module="debug")} {imports} {MEMORY}
      (func (export "main") {before} (call ${name} {values})))"""


def printed(code: str, **options: object) -> list[str]:
    shown: list[str] = []

    def listen(event: Event) -> None:
        if isinstance(event, DebugPrinted):
            shown.append(event.text)

    world = World(debug=True, observers=[listen])
    world.transact(world.deploy(code), **options).raise_for_error()  # type: ignore[arg-type]
    return shown


@pytest.mark.parametrize("mode", ["relaxed", "ewasm"])
@pytest.mark.parametrize("name", DEBUG_METHODS)
def test_nothing_of_debug_is_offered_unless_it_is_switched_on(name: str, mode: str) -> None:
    code = printing(name, *(0 for _ in DEBUG_METHODS[name].params))
    with pytest.raises(LinkError, match=name):
        World(validation=mode).deploy(code)
    assert World(validation=mode, debug=True).deploy(code)
    assert Contract.load(code, debug=True).code


def test_the_refusal_says_where_it_is_switched_on() -> None:
    with pytest.raises(LinkError, match=r"debugging is off, and nothing is offered \(World\(debug=True\) offers it\)"):
        Contract.load(printing("print32", 1))


@pytest.mark.parametrize("name", DEBUG_METHODS)
def test_a_debug_function_cannot_be_imported_with_another_signature(name: str) -> None:
    wanted = FunctionType((*DEBUG_METHODS[name].type.params, "i64"))
    code = f'(module {import_of(name, wanted, module="debug")} {MEMORY} (func (export "main")))'
    with pytest.raises(LinkError, match=f'import "debug" "{name}" does not match'):
        Contract.load(code, debug=True)


def test_an_unknown_debug_function_is_refused_with_what_was_meant() -> None:
    code = f'(module {import_of("printStorageHx", FunctionType(), module="debug")} (func (export "main")))'
    with pytest.raises(LinkError, match=r"\"debug\" offers no \"printStorageHx\" \(did you mean 'printStorageHex'\?\)"):
        Contract.load(code, debug=True)


@pytest.mark.parametrize(
    ("name", "args", "text"),
    [
        ("print32", (5,), "5 (0x5)"),
        ("print32", (-1,), "-1 (0xffffffff)"),
        ("print64", (2**40,), "1099511627776 (0x10000000000)"),
        ("print64", (-(2**63),), "-9223372036854775808 (0x8000000000000000)"),
        ("printMem", (0, 6), "caf..."),
        ("printMemHex", (0, 6), "0x636166c3a90a"),
        ("printMem", (0, 0), ""),
        ("printMem", (0, 1_030), "caf..." + "." * 58 + "stored.value" + "." * 948 + "… and 6 more bytes"),
        ("printMemHex", (PAGE - 2, 2), "0x0000"),
        ("printStorage", (0,), "." * 32),
        ("printStorageHex", (0,), "0x" + "00" * 32),
    ],
)
def test_what_is_printed_can_be_listened_to(name: str, args: tuple[int, ...], text: str) -> None:
    assert printed(printing(name, *args)) == [text]


def test_storage_is_printed_as_it_is_then() -> None:
    store = import_of("storageStore", METHODS["storageStore"].type)
    before = "(call $storageStore (i32.const 0) (i32.const 64))"
    assert printed(printing("printStorage", 0, before=before, imports=store)) == ["stored.value" + "." * 20]


@pytest.mark.parametrize("name", ["printMem", "printMemHex", "printStorage", "printStorageHex"])
def test_memory_that_is_not_there_traps(name: str) -> None:
    rest = (8,) if name.startswith("printMem") else ()
    world = World(debug=True)
    for offset in (PAGE - 7, 2**32 - 1):
        receipt = world.transact(world.deploy(printing(name, offset, *rest)))
        assert isinstance(receipt.error, TrapError)
        assert receipt.error.code == "memory_out_of_bounds"


def test_printing_costs_nothing_but_instructions() -> None:
    world = World(debug=True)
    short, long = (world.transact(world.deploy(printing("printMem", 0, length))) for length in (0, PAGE))
    assert short.gas_used == long.gas_used
