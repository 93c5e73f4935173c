"""Generating the storage module of a layout, as WAT."""

from __future__ import annotations

import functools

from storagemod.limits import Limits
from storagemod.vm.layout import PAGES_MAX, WINDOW, Access, Layout
from storagemod.vm.options import OPTIONS
from storagemod.wasm import Module, compile_module, to_wasm

_REACHED = {
    Access.MEMORY: "imported as a memory",
    Access.METHODS: "reached through functions only",
    Access.HOST: "reached by the host only",
}


def storage_module_wat(layout: Layout) -> str:
    """The storage module of a layout. Memories are exported under the names of their regions.

    The host needs every memory, to map images under it; a contract gets only what the linker offers to it, and the
    memory of a ``methods`` region is never offered.
    """
    lines = ["(module $storage"]
    for index, region in enumerate(layout.regions):
        memory = f"$region{index}"
        kept = str(region.type).removeprefix("(memory ").removesuffix(")")
        lines.append(f"  ;; region {wat_string(region.name)}, {_REACHED[region.access]}")
        lines.append(f"  (memory {memory} (export {wat_string(region.name)}) {kept})")
        lines += [f"  {field}" for option in OPTIONS for field in option.module_fields(region, memory)]
    if layout.window is not None:
        lines.append("  ;; window, imported as a memory: storage appears where it is mapped")
        lines.append(
            f"  (memory $window (export {wat_string(WINDOW)}) {layout.window.pages_min} {layout.window.pages_max})"
        )
    lines.append(")")
    return "\n".join(lines) + "\n"


def storage_module(layout: Layout) -> Module:
    """The compiled storage module of a layout."""
    return compile_module(_storage_module_wasm(layout), Limits(memory_pages_max=PAGES_MAX))  # each region has its own


@functools.lru_cache(maxsize=256)
def _storage_module_wasm(layout: Layout) -> bytes:
    return to_wasm(storage_module_wat(layout), name="storage module", limits=Limits())


def wat_string(text: str) -> str:
    r"""A string as WAT writes it: anything but plain printable ASCII is escaped as ``\hh``."""
    plain = (chr(byte) if 0x20 <= byte < 0x7F and byte not in b'"\\' else f"\\{byte:02x}" for byte in text.encode())  # noqa: PLR2004
    return f'"{"".join(plain)}"'
