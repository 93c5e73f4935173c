"""storagemod.h declares what the host offers, and nothing else; what it makes easy is safe to use."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from storagemod import Contract, StorageMapping, World, vm
from storagemod.errors import ValidationError
from storagemod.languages import HEADER
from storagemod.types import MAP_OPTIONS
from storagemod.vm.methods import accessor_types

from .compilers import written

MAPPED_OR_KEYED = {"storageMap", "storageUnmap", "storageSize", "storageLoad", "storageStore"}
KEYED_PRINTING = {"printStorage", "printStorageHex"}

_DECLARED = re.compile(r'STORAGEMOD_IMPORT\("(\w+)", "(\w+)"\)')
_ACCESSOR = re.compile(r"^STORAGEMOD_(?:LOAD|STORE)_\((\w+),", re.MULTILINE)


def declared(namespace: str) -> set[str]:
    """The functions of a namespace that the header declares, as it is written."""
    text = HEADER.read_text()
    names = {name for module, name in _DECLARED.findall(text) if module == namespace}
    return names | set(_ACCESSOR.findall(text)) if namespace == "storage" else names


def importer(namespace: str, names: Iterable[str]) -> str:
    """A contract in C that imports these functions."""
    pointers = ", ".join(f"(void *){namespace}_{name}" for name in sorted(names))
    return (
        "#include <storagemod.h>\n"
        f"static void *const all[] = {{{pointers}}};\n"
        "STORAGEMOD_EXPORT(nth) void *nth(int n) { return all[n]; }\n"
    )


def test_every_function_of_the_interface_is_declared_with_the_type_that_is_offered(tmp_path: Path) -> None:
    names = (set(vm.FUNCTIONS) - set(vm.ALIASES)) | MAPPED_OR_KEYED  # aliases are older names, for older contracts

    contract = Contract.load(written(importer("ethereum", names), ".c", tmp_path))  # which refuses another type

    assert {item.name for item in contract.imports} == names
    assert declared("ethereum") == names


def test_every_function_for_debugging_is_declared_with_the_type_that_is_offered(tmp_path: Path) -> None:
    names = set(vm.DEBUG_FUNCTIONS) | KEYED_PRINTING

    contract = Contract.load(written(importer("debug", names), ".c", tmp_path), debug=True)

    assert {item.name for item in contract.imports} == names
    assert declared("debug") == names


def test_every_accessor_of_storage_is_declared_with_the_type_that_is_offered(tmp_path: Path) -> None:
    offered = accessor_types(is_64=False)

    contract = Contract.load(written(importer("storage", offered), ".c", tmp_path))

    assert {item.name: item.type for item in contract.imports} == offered
    assert declared("storage") == set(offered)


def test_contract_that_includes_the_header_imports_what_it_uses_and_exports_what_it_says(tmp_path: Path) -> None:
    source = "#include <storagemod.h>\nSTORAGEMOD_EXPORT(main) void run(void) { ethereum_useGas(1); }\n"

    contract = Contract.load(written(source, ".c", tmp_path))

    assert [item.name for item in contract.imports] == ["useGas"]
    assert set(contract.module.exports) == {"main", "memory"}  # as ewasm wants it


def test_example_of_the_readme_counts(tmp_path: Path) -> None:
    readme = (HEADER.parents[2] / "README.md").read_text()
    (example,) = re.findall(r"^```c\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    world = World()

    address = world.deploy(written(example, ".c", tmp_path))

    assert [world.transact(address, "increment").value for _ in range(3)] == [1, 2, 3]


def test_example_in_the_header_keeps_books(tmp_path: Path) -> None:
    shown = re.findall(r"^ \*     (.*)", HEADER.read_text().partition("*/")[0], re.MULTILINE)
    world = World()

    address = world.deploy(written("\n".join(shown), ".c", tmp_path))

    world.transact(address, "deposit", 2, 70).raise_for_error()
    world.transact(address, "deposit", 2, 7).raise_for_error()
    assert [world.storage(address)["memory"].read_int(at) for at in (0, 8, 16, 24)] == [77, 0, 0, 77]


NEIGHBOURS = """
#include <storagemod.h>
static char before[100] = "before";
struct STORAGEMOD_PAGED first { int64_t number; };
struct STORAGEMOD_PAGED second { char text[5000]; };
static struct first first;
static char between[100] = "between";
static struct second second;
static char after[100] = "after";

STORAGEMOD_EXPORT(fill) void fill(void) {
  STORAGEMOD_MAP(first, 0);
  STORAGEMOD_MAP(second, 4096);
  first.number = 7;
  for (unsigned i = 0; i < sizeof second.text; i++) second.text[i] = 'x';
}

STORAGEMOD_EXPORT(neighbours) int64_t neighbours(void) {
  STORAGEMOD_MAP(first, 0);
  STORAGEMOD_MAP(second, 4096);
  if (first.number != 7 || second.text[4999] != 'x') return -1;
  return before[0] + between[0] + after[0];
}
"""


@pytest.mark.parametrize("option", MAP_OPTIONS)
def test_types_that_are_mapped_fill_pages_that_no_other_data_lies_in(option: str, tmp_path: Path) -> None:
    world = World()
    address = world.deploy(written(NEIGHBOURS, ".c", tmp_path), mapping=StorageMapping(option))

    world.transact(address, "fill").raise_for_error()

    assert world.transact(address, "neighbours").value == ord("b") + ord("b") + ord("a")
    assert world.storage(address)["memory"][0:8192] == b"\7".ljust(4096, b"\0") + b"x" * 4096


def test_mapping_into_a_type_that_does_not_fill_pages_is_refused_by_the_compiler(tmp_path: Path) -> None:
    source = "#include <storagemod.h>\nstatic int64_t n;\nSTORAGEMOD_EXPORT(f) void f(void) { STORAGEMOD_MAP(n, 0); }\n"

    with pytest.raises(ValidationError, match="storage is mapped into a type that is STORAGEMOD_PAGED"):
        written(source, ".c", tmp_path)


DEEP = """
#include <storagemod.h>
struct STORAGEMOD_PAGED books { int64_t numbers[512]; };
static struct books books;

static int64_t down(volatile int64_t *above, int64_t levels) {
  volatile int64_t here[64];
  for (int i = 0; i < 64; i++) here[i] = above[i] + levels;
  return levels ? down(here, levels - 1) + here[levels % 64] : here[0];
}

STORAGEMOD_EXPORT(descend) int64_t descend(int64_t levels) {
  static volatile int64_t top[64];
  STORAGEMOD_MAP(books, 0);
  return down(top, levels);
}
"""


def test_stack_that_overflows_traps_and_reaches_no_mapped_storage(tmp_path: Path) -> None:
    world = World()
    address = world.deploy(written(DEEP, ".c", tmp_path))

    assert world.transact(address, "descend", 50).ok
    receipt = world.transact(address, "descend", 500)

    assert "out of bounds" in str(receipt.error)
    assert not any(world.storage(address)["memory"][0:4096])


SUM = """
#include <storagemod.h>
STORAGEMOD_EXPORT(sum) int64_t sum(int64_t a, int64_t b) { return a + b; }
"""


def test_signed_sum_that_overflows_traps(tmp_path: Path) -> None:
    world = World()
    address = world.deploy(written(SUM, ".c", tmp_path))

    assert world.call(address, "sum", 2, 3).value == 5
    assert "unreachable" in str(world.call(address, "sum", 2**63 - 1, 1).error)
