"""The bindings for Zig, AssemblyScript and Rust declare what the host offers, as storagemod.h does."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from storagemod import Contract, World, vm
from storagemod.languages import BINDINGS, HEADER
from storagemod.vm.methods import accessor_types
from tests.languages.compilers import LANGUAGES, written

OFFERED = {
    "ethereum": (set(vm.FUNCTIONS) - set(vm.ALIASES))
    | {"storageMap", "storageUnmap", "storageSize", "storageLoad", "storageStore"},
    "storage": set(accessor_types(is_64=False)),
    "debug": set(vm.DEBUG_FUNCTIONS) | {"printStorage", "printStorageHex"},
}

RUST_ARGUMENTS = {
    "&mut [u8]": "&mut [0; 4]",
    "&[u8]": "&[0; 4]",
    "&Address": "&[0; 20]",
    "&mut Address": "&mut [0; 20]",
    "&Bytes32": "&[0; 32]",
    "&[Bytes32]": "&[]",
    "&str": '""',
    "f32": "0.0",
    "f64": "0.0",
}
BEGINNING = {
    ".zig": "",
    ".ts": "",
    ".rs": '#![no_std]\nmod storagemod { include!(env!("STORAGEMOD_RS")); }\n',
}

bindings = pytest.mark.parametrize("suffix", sorted(BEGINNING))


def zig(namespace: str, text: str) -> dict[str, str]:
    names = re.findall(rf'pub extern "{namespace}" fn (\w+)\(', text)
    return {
        name: f'export fn @"nth {name}"() *const anyopaque {{ return @import("storagemod").{namespace}.{name}; }}'
        for name in names
    }


def assemblyscript(namespace: str, text: str) -> dict[str, str]:
    found = re.findall(rf'@external\("{namespace}", "(\w+)"\)\n  export declare function (\w+)\((.*?)\)', text)
    assert all(imported == name for imported, name, _ in found)
    zeros = {name: ", ".join("0" for _ in filter(None, args.split(", "))) for _, name, args in found}
    return {
        name: f'import {{ {namespace} as {name}_ }} from "storagemod";\n'
        f"export function call_{name}(): void {{ {name}_.{name}({args}); }}"
        for name, args in zeros.items()
    }


def rust(namespace: str, text: str) -> dict[str, str]:
    (module,) = re.findall(rf"^pub mod {namespace} {{$(.*?)^}}$", text, re.MULTILINE | re.DOTALL)
    functions = re.findall(r"^(?: {8}| {4}pub )fn (\w+)\((.*?)\)", module, re.MULTILINE)
    calls = {}
    for name, args in functions:
        given = ", ".join(RUST_ARGUMENTS.get(kind, "0") for kind in re.findall(r": ([^,]+)", args))
        calls[name] = f"{namespace}::{name}({given})"
    for name, args in (("storageMap", "core::ptr::null_mut(), 0, 0"), ("storageUnmap", "core::ptr::null_mut()")):
        if namespace == "ethereum":
            calls[name] = f"unsafe {{ {namespace}::{name}({args}) }}"
    return {
        name: f'#[no_mangle]\npub extern "C" fn call_{name}() {{ let _ = storagemod::{call}; }}'.replace(
            "storagemod::unsafe { ", "unsafe { storagemod::"
        )
        for name, call in calls.items()
    }


DECLARED: dict[str, Callable[[str, str], dict[str, str]]] = {".zig": zig, ".ts": assemblyscript, ".rs": rust}


@pytest.mark.parametrize("namespace", sorted(OFFERED))
@bindings
def test_every_function_is_declared_with_the_type_that_is_offered(suffix: str, namespace: str, tmp_path: Path) -> None:
    declared = DECLARED[suffix](namespace, BINDINGS[suffix].read_text())

    code = written(BEGINNING[suffix] + "\n".join(declared.values()) + "\n", suffix, tmp_path)

    contract = Contract.load(code, debug=True)  # which refuses another type
    assert {item.name for item in contract.imports} == set(declared) == OFFERED[namespace]


@bindings
def test_example_of_the_binding_counts(suffix: str, tmp_path: Path) -> None:
    world = World()

    address = world.deploy(written(first_example(BINDINGS[suffix].read_text()), suffix, tmp_path))

    assert [world.transact(address, "increment").value for _ in range(3)] == [1, 2, 3]


def first_example(text: str) -> str:
    """The first block of indented lines in the comments at the top."""
    example: list[str] = []
    for line in text.splitlines():
        shown = re.fullmatch(r"//!?(?: {5}(.*))?", line)
        if shown:
            example.append(shown[1] or "")
        elif any(example):
            break
    return "\n".join(example)


def test_there_is_a_binding_for_every_language() -> None:
    assert set(BINDINGS) == set(LANGUAGES.values())
    assert BINDINGS[".c"] == HEADER
    assert all(path.is_file() for path in BINDINGS.values())
