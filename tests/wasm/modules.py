"""Modules for tests: assembled by wasmtime from text, or by hand where text cannot say it."""

from __future__ import annotations

from collections.abc import Iterator

import wasmtime

from storagemod.wasm.engine import shared_engine

CODE, DATA = 10, 11


def compiled(wat: str) -> bytes:
    """Assemble a module that the engine accepts."""
    return validated(bytes(wasmtime.wat2wasm(wat)))


def validated(wasm: bytes) -> bytes:
    """Return a module that the engine accepts."""
    wasmtime.Module.validate(shared_engine(), wasm)
    return wasm


def leb(value: int, length: int = 0) -> bytes:
    """Write an unsigned number in so many bytes, which can be more than it needs."""
    groups = []
    while value or not groups or len(groups) < length:
        groups.append(value & 0x7F)
        value >>= 7
    return bytes([group | 0x80 for group in groups[:-1]] + groups[-1:])


def number_at(data: bytes, offset: int) -> tuple[int, int]:
    """Read an unsigned number; return it and the offset behind it."""
    end = next(at for at in range(offset, len(data)) if data[at] < 0x80) + 1
    return sum((byte & 0x7F) << (7 * place) for place, byte in enumerate(data[offset:end])), end


def sections(wasm: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the number and the content of each section."""
    offset = 8
    while offset < len(wasm):
        length, start = number_at(wasm, offset + 1)
        yield wasm[offset], wasm[start : start + length]
        offset = start + length


def bodies(wasm: bytes) -> Iterator[bytes]:
    """Yield the instructions of each function."""
    code = dict(sections(wasm))[CODE]
    count, offset = number_at(code, 0)
    for _ in range(count):
        length, start = number_at(code, offset)
        offset = start + length
        groups, start = number_at(code, start)
        for _ in range(groups):
            _, start = number_at(code, start)
            start += 1
        yield code[start:offset]


def section(kind: int, content: bytes) -> bytes:
    return bytes([kind]) + leb(len(content), 5) + content


def by_hand(instructions: bytes, data: bytes = b"\2\1\1x\1\1y") -> bytes:
    """Make a module of three memories, two of them imported, a table, and a function of these instructions."""
    memories = b"".join(b"\1m" + bytes([1, name]) + b"\2\0\1" for name in b"ab")
    body = b"\0" + instructions + b"\x0b"
    return b"\0asm\1\0\0\0" + b"".join(
        [
            section(1, b"\1\x60\0\0"),
            section(2, b"\2" + memories),
            section(3, b"\1\0"),
            section(4, b"\1\x70\0\1"),
            section(5, b"\1\0\1"),
            section(12, b"\2"),
            section(CODE, b"\1" + leb(len(body), 4) + body),
            section(DATA, data),
        ]
    )
