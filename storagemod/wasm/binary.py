"""Reading the few facts of a Wasm binary that wasmtime's interface does not tell.

Only for binaries that wasmtime has validated: nothing here defends itself against malformed input.
Source: WebAssembly core specification 5.5, "Modules".
"""

from __future__ import annotations

from attrs import frozen

_MEMORY_SECTION = 5
_START_SECTION = 8
_PREAMBLE_BYTES = 8


@frozen
class BinaryFacts:
    """What a module keeps to itself: a start function, and the sizes in Wasm pages of memories of its own."""

    has_start: bool
    memory_pages_min: tuple[int, ...]


def read_facts(wasm: bytes) -> BinaryFacts:
    """Walk the sections of a valid module."""
    has_start = False
    memories: tuple[int, ...] = ()
    at = _PREAMBLE_BYTES
    while at < len(wasm):
        section = wasm[at]
        size, at = _leb128(wasm, at + 1)
        if section == _START_SECTION:
            has_start = True
        elif section == _MEMORY_SECTION:
            memories = _memories(wasm, at)
        at += size
    return BinaryFacts(has_start, memories)


def _memories(wasm: bytes, at: int) -> tuple[int, ...]:
    count, at = _leb128(wasm, at)
    minima = []
    for _ in range(count):
        has_maximum = wasm[at] & 1
        minimum, at = _leb128(wasm, at + 1)
        if has_maximum:
            _, at = _leb128(wasm, at)
        minima.append(minimum)
    return tuple(minima)


def _leb128(wasm: bytes, at: int) -> tuple[int, int]:
    """The unsigned LEB128 number at an offset, and the offset behind it."""
    value = shift = 0
    while True:
        byte = wasm[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004 - the continuation bit
            return value, at
        shift += 7
