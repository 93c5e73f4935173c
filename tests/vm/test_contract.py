"""What passes as a contract, and what the refusal of anything else says."""

from __future__ import annotations

from pathlib import Path

import pytest

from storagemod import Contract, Limits, LinkError, ValidationError, World
from storagemod.vm import Access, storage_module, storage_module_wat

FINISH = '(import "ethereum" "finish" (func (param i32 i32)))'

REFUSED = {
    "empty": ("  \n", ValidationError, "x: there is no module in it, it is empty"),
    "no WAT": ("(modul", ValidationError, "x:1:2: expected valid module field\n"),
    "position": ('(module\n  (func (export "a")\n    i32.const))', ValidationError, "x:3:14: expected a i32\n"),
    "ill-typed": ("(module (func $f (i32.add)))", ValidationError, "x:1:19: not a valid module: "),
    "start": ("(module (func $f) (start $f))", ValidationError, "x: a contract has no start function"),
    "no memory": (f"(module {FINISH})", ValidationError, 'has to be exported as "memory"'),
    "namespace": ('(module (import "etherium" "finish" (func)))', LinkError, "did you mean 'ethereum'?"),
    "unknown namespace": ('(module (import "env" "f" (func)))', LinkError, "nothing is offered under 'env'"),
    "host function": ('(module (import "ethereum" "finsh" (func)))', LinkError, "did you mean 'finish'?"),
    "host signature": (
        '(module (import "ethereum" "finish" (func (param i64))))',
        LinkError,
        'x: import "ethereum" "finish" does not match: wanted (func (param i64)), offered (func (param i32 i32))',
    ),
    "storage function": ('(module (import "storage" "load_i46" (func)))', LinkError, "did you mean 'load_i64'?"),
    "storage signature": (
        '(module (import "storage" "load_i64" (func (param i32) (result i32))))',
        LinkError,
        "wanted (func (param i32) (result i32)), offered (func (param i32) (result i64))",
    ),
    "mixed widths": (
        """(module (import "storage" "load_i32" (func (param i32) (result i32)))
          (import "storage" "load_i64" (func (param i64) (result i64))))""",
        LinkError,
        "wanted (func (param i64) (result i64)), offered (func (param i32) (result i64))",
    ),
    "storage global": ('(module (import "storage" "g" (global i32)))', LinkError, '"storage" offers no (global)'),
    "storage limits": (
        '(module (import "storage" "m" (memory 1 4)) (import "storage" "m" (memory 2 8)))',
        LinkError,
        'x: storage region "m" is imported twice with different limits: wanted (memory 2 8), offered (memory 1 4)',
    ),
    "storage too long": ('(module (import "storage" "m" (memory 65536)))', ValidationError, "wanted 65,536 Wasm pages"),
    "memory too long": ("(module (memory 65536))", ValidationError, "(memory_pages_max)"),
    "shared memory": ('(module (import "storage" "m" (memory 1 2 shared)))', ValidationError, "threads"),
    "private and shared": (
        """(module (import "storage" "size" (func (result i32))) (import "storage" "memory" (memory 1)))""",
        LinkError,
        "the memory behind the functions is private to the storage module",
    ),
    "region like a function": ('(module (import "storage" "size" (memory 1)))', LinkError, "the name of a function"),
    "copy without memory": (
        '(module (import "storage" "copy_in" (func (param i32 i32 i32))))',
        ValidationError,
        'has to be exported as "memory"',
    ),
    "contract memory": ('(module (import "contract:a" "m" (memory 1)))', LinkError, "only functions of numbers"),
    "contract name": ('(module (import "contract:" "m" (func)))', LinkError, "names a contract and a method"),
    "catch without result": ('(module (import "contract:a" "m?" (func)))', LinkError, "offered (func (result i32))"),
    "text that is too long": ("(module)" + " " * 100_000, ValidationError, "(source_bytes_max)"),
    "many imports": ("(module" + FINISH * 101 + ")", ValidationError, "(imports_max)"),
    "threads": ("(module (memory 1 2 shared))", ValidationError, "threads must be enabled"),
    "exceptions": ("(module (tag))", ValidationError, "exceptions"),
    "references": ("(module (func (param externref)))", ValidationError, "gc"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_contract_is_refused_with_a_reason(case: str) -> None:
    source, error, message = REFUSED[case]
    with pytest.raises(error) as caught:
        Contract.load(source, name="x", limits=Limits(imports_max=100, source_bytes_max=50_000))
    assert message in str(caught.value)


@pytest.mark.parametrize("source", [b"\0asm\1\0\0\0\xff", b"\0asm", b"\xff\xfe\0", b"(module \xc3)"])
def test_bytes_that_are_no_contract_are_refused(source: bytes) -> None:
    with pytest.raises(ValidationError):
        Contract.load(source)


def test_deep_nesting_is_no_crash() -> None:
    blocks = "(module (func " + "(block " * 100_000 + ")" * 100_000 + "))"
    assert Contract.load(blocks)
    with pytest.raises(ValidationError, match="compile_cost_max"):
        Contract.load(blocks.replace("(block", "(if (i32.const 0) (then").replace(")" * 100_000, "))" * 100_000))
    for text in ("(" * 1_000_000, "(module (func " + "(i32.add " * 200_000, "(; " * 500_000):
        with pytest.raises(ValidationError):
            Contract.load(text)


def test_text_binary_and_paths_give_the_same_contract(tmp_path: Path) -> None:
    text = '(module (func (export "f") (param i32) (result f64) (f64.const 1)))'
    contract = Contract.load(text)
    (tmp_path / "a.wat").write_text(text)
    (tmp_path / "a.wasm").write_bytes(contract.code)
    others = (contract.code, tmp_path / "a.wat", tmp_path / "a.wasm", str(tmp_path / "a.wat"))
    assert {Contract.load(source).code for source in others} == {contract.code}
    assert Contract.load(tmp_path / "a.wat").name == "a"


def test_a_path_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    for path, message in (
        (tmp_path, "is a directory"),
        (tmp_path / "no.wat", "No such file"),
        ("no.wat", "No such file"),
    ):
        with pytest.raises(ValidationError, match=message):
            Contract.load(path)


def test_the_layout_is_read_off_the_imports() -> None:
    contract = Contract.load(
        """(module (import "storage" "memory" (memory 1 16)) (import "storage" "wide" (memory i64 0))
          (import "storage" "again" (memory 2 5)) (import "storage" "again" (memory 2 5)))"""
    )
    assert [(region.name, str(region.type), region.access) for region in contract.layout.regions] == [
        ("again", "(memory 2 5)", Access.MEMORY),
        ("memory", "(memory 1 16)", Access.MEMORY),
        ("wide", "(memory i64 0 1024)", Access.MEMORY),
    ]
    assert contract.options == {"single", "regions"}


def test_a_storage_module_is_compiled_once_for_each_layout() -> None:
    first, second, other = (
        Contract.load(f'(module (import "storage" "memory" (memory {limits})) {extra})')
        for limits, extra in (("1", ""), ("1", '(func (export "f"))'), ("2", ""))
    )
    assert storage_module(first.layout) is storage_module(second.layout)
    assert storage_module(first.layout) is not storage_module(other.layout)


def test_region_names_of_any_kind_are_possible(world: World) -> None:
    name = '"quoted" \\ ünïcode ;; (;'
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    a = world.deploy(
        f"""(module (import "storage" "{escaped}" (memory $s 1))
          (func (export "put") (i32.store8 $s (i32.const 3) (i32.const 7))))"""
    )
    assert world.transact(a, "put").ok
    assert world.storage(a)[name][3] == 7
    assert "\\22quoted\\22" in storage_module_wat(world.contract(a).layout)


ACCESSORS = """
(module
  (import "storage" "{name}" (func $f (param {params}) {result}))
  (import "storage" "store_i64" (func $store (param {at} i64)))
  (func (export "fill") (param {at} i64) (call $store (local.get 0) (local.get 1)))
  (func (export "f") (param {params}) {result} (call $f {gets})))
"""


@pytest.mark.parametrize("at", ["i32", "i64"])
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("load_i32", -0x06050404),
        ("load_i32_8_s", -4),
        ("load_i32_8_u", 0xFC),
        ("load_i32_16_s", -0x0404),
        ("load_i32_16_u", 0xFBFC),
        ("load_i64", -0x0807060506050404),
        ("load_i64_8_s", -4),
        ("load_i64_8_u", 0xFC),
        ("load_i64_16_s", -0x0404),
        ("load_i64_16_u", 0xFBFC),
        ("load_i64_32_s", -0x06050404),
        ("load_i64_32_u", 0xF9FAFBFC),
    ],
)
def test_loads_of_the_storage_module(world: World, name: str, at: str, expected: int) -> None:
    result = f"(result {name[5:8]})"
    a = world.deploy(ACCESSORS.format(name=name, params=at, at=at, result=result, gets="(local.get 0)"))
    assert world.transact(a, "fill", 65_528, 0xF7F8F9FAF9FAFBFC).ok
    value = world.call(a, "f", 65_528).value
    bits = {"i32": 32, "i64": 64}[name[5:8]]
    data = world.storage(a)["memory"][65_528:65_536]
    width = int(name.split("_")[2]) if name.count("_") > 1 else bits
    assert value == int.from_bytes(data[: width // 8], "little", signed=not name.endswith("_u"))
    assert world.call(a, "f", 65_536).error is not None
    assert expected is not None


@pytest.mark.parametrize("at", ["i32", "i64"])
@pytest.mark.parametrize(
    ("name", "width"),
    [
        ("store_i32", 4),
        ("store_i32_8", 1),
        ("store_i32_16", 2),
        ("store_i64", 8),
        ("store_i64_8", 1),
        ("store_i64_16", 2),
        ("store_i64_32", 4),
    ],
)
def test_stores_of_the_storage_module(world: World, name: str, at: str, width: int) -> None:
    a = world.deploy(
        f"""(module (import "storage" "{name}" (func $f (param {at} {name[6:9]})))
          (func (export "f") (param {at} {name[6:9]}) (call $f (local.get 0) (local.get 1))))"""
    )
    assert world.transact(a, "f", 16, -2).ok
    assert world.storage(a)["memory"][16:24] == (b"\xfe" + b"\xff" * 7)[:width] + bytes(8 - width)
    assert not world.transact(a, "f", 65_537 - width, 1).ok


@pytest.mark.parametrize("value_type", ["f32", "f64"])
def test_floats_of_the_storage_module(world: World, value_type: str) -> None:
    a = world.deploy(
        f"""(module (import "storage" "load_{value_type}" (func $load (param i32) (result {value_type})))
          (import "storage" "store_{value_type}" (func $store (param i32 {value_type})))
          (func (export "put") (param {value_type}) (call $store (i32.const 8) (local.get 0)))
          (func (export "get") (result {value_type}) (call $load (i32.const 8))))"""
    )
    assert world.transact(a, "put", 1.5).ok
    assert world.call(a, "get").value == 1.5


@pytest.mark.parametrize("at", ["i32", "i64"])
def test_size_growth_and_copies_of_the_storage_module(world: World, at: str) -> None:
    a = world.deploy(
        f"""(module
          (import "storage" "size" (func $size (result {at})))
          (import "storage" "grow" (func $grow (param {at}) (result {at})))
          (import "storage" "copy_in" (func $in (param i32 {at} i32)))
          (import "storage" "copy_out" (func $out (param i32 {at} i32)))
          (memory (export "memory") 1) (data (i32.const 0) "abcdef")
          (func (export "size") (result {at}) (call $size))
          (func (export "grow") (param {at}) (result {at}) (call $grow (local.get 0)))
          (func (export "round") (param {at} i32) (result i32)
            (call $in (i32.const 0) (local.get 0) (local.get 1))
            (call $out (i32.const 100) (local.get 0) (local.get 1))
            (i32.load (i32.const 100))))"""
    )
    assert world.transact(a, "size").value == 1
    assert world.transact(a, "grow", 1).value == 1
    assert world.transact(a, "grow", 100_000).value == -1
    assert world.transact(a, "round", 131_068, 4).value == int.from_bytes(b"abcd", "little")
    assert world.storage(a)["memory"][131_068:131_072] == b"abcd"
    for offset, length in ((131_069, 4), (0, 65_537), (-1, 1), (-4, 4), (2**31, 4)):
        receipt = world.transact(a, "round", offset, length)
        assert not receipt.ok, (offset, length)
        assert "memory of" in str(receipt.error)
