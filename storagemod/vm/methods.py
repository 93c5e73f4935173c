"""The option ``methods``: the memory is private to the storage module, which exports functions to use it.

The functions are wasm, in the storage module itself, with three exceptions. ``copy_in`` and ``copy_out`` move bytes
between two memories of which one belongs to an instance that is younger than the storage module, so the host moves
them. ``grow`` must not take a refusal of the system for one of the rules, and wasm cannot tell the two apart.

A contract that imports these functions can also run under ``single`` and ``regions`` (:func:`with_memory`): it gets the
memory, and instructions on it replace calls. So compilers that know one memory only reach those options as well.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from storagemod.errors import LinkError, ValidationError
from storagemod.limits import Limits
from storagemod.types import FunctionType, MemoryType, ValueType
from storagemod.vm.ethereum import u32
from storagemod.vm.layout import DEFAULT_REGION, NAMESPACE, Access, Layout, Region, bounded_region
from storagemod.wasm import FIRST_ACCESS, Accessor, HostFunction, Import, Instance, Module, inline

if TYPE_CHECKING:
    from storagemod.vm.frame import Frame

_PAGES_MIN = 1

_VALUE_TYPES: tuple[ValueType, ...] = ("i32", "i64", "f32", "f64")

_NARROW_LOADS = tuple(
    f"load_{value}_{bits}_{sign}"
    for value, widths in (("i32", (8, 16)), ("i64", (8, 16, 32)))
    for bits in widths
    for sign in "su"
)
_NARROW_STORES = tuple(
    f"store_{value}_{bits}" for value, widths in (("i32", (8, 16)), ("i64", (8, 16, 32))) for bits in widths
)
_LOADS = (*(f"load_{value}" for value in _VALUE_TYPES), *_NARROW_LOADS)
_STORES = (*(f"store_{value}" for value in _VALUE_TYPES), *_NARROW_STORES)


def accessor_types(is_64: bool) -> dict[str, FunctionType]:
    """Every function that the option offers, by name, for a memory of 32-bit or of 64-bit addresses."""
    at: ValueType = "i64" if is_64 else "i32"
    types = {name: FunctionType((at,), (_value_type(name),)) for name in _LOADS}
    types |= {name: FunctionType((at, _value_type(name))) for name in _STORES}
    copy = FunctionType(("i32", at, "i32"))
    return types | {
        "copy_in": copy,
        "copy_out": copy,
        "size": FunctionType((), (at,)),
        "grow": FunctionType((at,), (at,)),
    }


COPIES = ("copy_in", "copy_out")

GROW = "grow"
"""The function that makes storage longer."""

_SERVED = (*COPIES, GROW)
"""What the host carries out."""


def _value_type(name: str) -> ValueType:
    found: Any = re.match(r"(?:load|store)_(i32|i64|f32|f64)", name)
    value_type: ValueType = found[1]
    return value_type


_TYPES = {is_64: accessor_types(is_64) for is_64 in (False, True)}

_OPCODES = dict(zip((*_LOADS, *_STORES, "size", GROW), itertools.count(FIRST_ACCESS)))
"""Opcode of the instruction that does what a function does. Loads and stores above are in the order of opcodes."""


def instruction_for(item: Import) -> str | None:
    """Return the instruction that replaces calls of an import where a contract has the memory, or ``None``."""
    if item.module != NAMESPACE or not isinstance(item.type, FunctionType) or item.name not in _OPCODES:
        return None
    return _instruction(item.name) if "_" in item.name else f"memory.{item.name}"


def with_memory(module: Module, region: Region) -> bytes:
    """Return a contract as it is linked under ``single`` and ``regions``: with the memory, and without calls.

    ``copy_in`` and ``copy_out`` are called as before. ``memory.copy`` would take them out of reach of page protection:
    wasmtime carries it out in the host.

    Args:
        module: A contract that runs under ``methods``.
        region: The private region that it has there.

    Raises:
        ValidationError: It uses one of the functions as a value.
    """
    declarations = module.declarations
    functions = (item for item in module.imports if isinstance(item.type, FunctionType))
    inlined = {index: item for index, item in enumerate(functions) if instruction_for(item)}
    for index in sorted(declarations.imported_references & inlined.keys()):
        raise ValidationError(
            f"{inlined[index]} is exported, or stands in a table or a global: no instruction can replace it there",
            hint="call it directly, or link the contract under 'methods'",
        )
    memory = Import(NAMESPACE, region.name, MemoryType(region.type.pages_min, None, region.type.is_64))
    return inline(module.wasm, declarations, memory, {index: _OPCODES[item.name] for index, item in inlined.items()})


def _not_called(*_: object) -> None:
    raise AssertionError("an instruction replaced every call of this function")  # no contract can cause it


_UNCALLED = {
    is_64: {name: HostFunction(NAMESPACE, name, types[name], _not_called, takes_raw=True) for name in _OPCODES}
    for is_64, types in _TYPES.items()
}


_ENTRY_FUEL = 1
"""What entering a function uses, besides each of its instructions."""


def accessor_of(item: Import) -> Accessor | None:
    """Return what a function of the storage module does to storage, or ``None`` if an import is none of those."""
    if instruction_for(item) is None or item.name == GROW or not isinstance(item.type, FunctionType):
        return None
    params = item.type.params
    fuel = _ENTRY_FUEL + len(params) + 1  # its parameters, and the instruction
    if not params:
        return Accessor(item.name, fuel)
    bits = re.search(r"_(\d+)(?:_[su])?\Z", item.name)
    length = int(bits[1]) // 8 if bits is not None else int(_value_type(item.name)[1:]) // 8
    return Accessor(item.name, fuel, length, params[1] if len(params) > 1 else None, params[0] == "i64")


class Methods:
    """Storage module with I/O methods that trap on invalid access (the seed's last option of "storage modules")."""

    name = "methods"
    summary = "the storage module keeps its memory private and exports functions that load, store, copy, size and grow"

    def claims(self, item: Import) -> bool:
        """Function imports."""
        return item.module == NAMESPACE and not isinstance(item.type, MemoryType)

    def regions(self, items: Sequence[Import], limits: Limits) -> list[Region]:
        """The one private region; its address width is that of the first import that shows one."""
        widths = [is_64 for item in items for is_64 in (False, True) if item.type == _TYPES[is_64].get(item.name)]
        is_64 = bool(widths) and widths[0]
        for item in items:
            if item.type != _TYPES[is_64].get(item.name):
                raise LinkError(
                    f'import "{NAMESPACE}" "{item.name}" does not match: wanted {item.type}, '
                    f"offered {_TYPES[is_64].get(item.name, 'nothing of that name')}"
                )
        return [bounded_region(DEFAULT_REGION, MemoryType(_PAGES_MIN, None, is_64), Access.METHODS, limits)]

    def module_fields(self, region: Region, memory: str) -> list[str]:
        """The accessor functions."""
        if region.access is not Access.METHODS:
            return []
        types = _TYPES[region.type.is_64]
        fields = [_accessor(name, types[name], _instruction(name), memory) for name in (*_LOADS, *_STORES)]
        fields.append(_accessor("size", types["size"], "memory.size", memory))
        return fields

    def host_functions(self, items: Sequence[Import], layout: Layout) -> list[HostFunction]:
        """``copy_in``, ``copy_out`` and ``grow``, as far as they are imported, and what instructions replace."""
        region = layout.region(DEFAULT_REGION)
        if region is None:
            return []
        names = {item.name for item in items}
        uncalled = []
        if region.access is Access.MEMORY:
            uncalled = [_UNCALLED[region.type.is_64][name] for name in sorted(names - {*COPIES})]
            names &= {*COPIES}
        names &= {*_SERVED}
        if not names:
            return uncalled
        address_mask = 2**64 - 1 if region.type.is_64 else 2**32 - 1
        types = _TYPES[region.type.is_64]

        def copy_in(frame: Frame, memory_offset: int, storage_offset: int, length: int) -> None:
            _pay(frame, length)
            data = frame.memory.read(u32(memory_offset), u32(length))
            frame.storage_memory(DEFAULT_REGION).write(storage_offset & address_mask, data)

        def copy_out(frame: Frame, memory_offset: int, storage_offset: int, length: int) -> None:
            _pay(frame, length)
            data = frame.storage_memory(DEFAULT_REGION).read(storage_offset & address_mask, u32(length))
            frame.memory.write(u32(memory_offset), data)

        def grow(frame: Frame, pages: int) -> int:
            return frame.storage_memory(DEFAULT_REGION).grow(pages & address_mask)

        bodies: dict[str, Callable[..., int | None]] = {"copy_in": copy_in, "copy_out": copy_out, GROW: grow}
        return uncalled + [HostFunction(NAMESPACE, name, types[name], bodies[name]) for name in sorted(names)]

    def offered(self, item: Import, layout: Layout) -> object | None:
        """The function's type."""
        region = layout.region(DEFAULT_REGION)
        if region is None or region.access is not Access.METHODS:
            return None
        return _TYPES[region.type.is_64].get(item.name)

    def accepts(self, item: Import, layout: Layout, sizes: dict[str, int]) -> bool:  # noqa: ARG002 - any length will do
        """Whether the function's type is the one wanted."""
        return item.type == self.offered(item, layout)

    def link(self, item: Import, instance: Instance) -> Any | None:
        """The function, unless the host serves it."""
        return None if item.name in _SERVED else instance.export(item.name)


def _instruction(accessor: str) -> str:
    """The instruction of an accessor: ``load_i64_32_u`` is ``i64.load32_u``."""
    verb, value, *narrow = accessor.split("_")
    return f"{value}.{verb}{'_'.join(narrow)}"


def _accessor(name: str, function_type: FunctionType, instruction: str, memory: str) -> str:
    pairs = list(zip(("at", "value"), function_type.params, strict=False))
    head = "".join(f" (param ${name} {value_type})" for name, value_type in pairs)
    head += "".join(f" (result {value_type})" for value_type in function_type.results)
    gets = "".join(f" (local.get ${name})" for name, _ in pairs)
    return f'(func (export "{name}"){head} ({instruction} {memory}{gets}))'


def _pay(frame: Frame, length: int) -> None:
    """Take the price of a copy, the same as that of call data."""
    schedule = frame.schedule
    frame.use_gas(schedule.copy + schedule.copying(u32(length)))
