"""Finding the memories that a module reaches in bulk: by ``memory.copy``, ``fill`` and ``init``, and by data segments.

wasmtime carries these out in the host, where a fault on a protected page ends the process instead of trapping. So it
has to be known beforehand which memories must not be protected while such code runs.

The instructions are searched for in the bytes of the code section, without decoding what lies between. Each of them
begins with the same byte, so none is missed, however it is encoded; bytes that only look like one are taken for one.
Source: WebAssembly core specification 5.4.7, "Memory Instructions", and 5.5.14, "Data Section".
"""

from __future__ import annotations

_BULK_PREFIX = 0xFC
_MEMORY_INIT, _MEMORY_COPY, _MEMORY_FILL = 8, 10, 11
_OPERANDS = {_MEMORY_INIT: 2, _MEMORY_COPY: 2, _MEMORY_FILL: 1}

_PASSIVE, _ACTIVE_WITH_MEMORY = 1, 2
_END, _GLOBAL_GET, _I32_CONST, _I64_CONST = 0x0B, 0x23, 0x41, 0x42

_INTEGER_BYTES_MAX = 10
_CONTINUES = 0x80


def memories_in_code(code: bytes) -> set[int]:
    """The indices of memories that instructions in a code section reach in bulk, and perhaps others."""
    found: set[int] = set()
    at = code.find(_BULK_PREFIX)
    while at >= 0:
        opcode, operands_at = _integer(code, at + 1)
        operands = []
        for _ in range(_OPERANDS.get(opcode, 0)):
            operand, operands_at = _integer(code, operands_at)
            operands.append(operand)
        found.update(operands[1:] if opcode == _MEMORY_INIT else operands)  # the first of init is a data segment
        at = code.find(_BULK_PREFIX, at + 1)
    return found


def memories_in_data(data: bytes) -> set[int]:
    """The indices of memories that the active segments of a data section are written to."""
    found: set[int] = set()
    count, at = _integer(data, 0)
    for _ in range(count):
        mode, at = _integer(data, at)
        if mode != _PASSIVE:
            index = 0
            if mode == _ACTIVE_WITH_MEMORY:
                index, at = _integer(data, at)
            found.add(index)
            at = _after_expression(data, at)
        length, at = _integer(data, at)
        at += length
    return found


def _after_expression(data: bytes, at: int) -> int:
    """Where a constant expression of integers ends."""
    while data[at] != _END:
        if data[at] in (_GLOBAL_GET, _I32_CONST, _I64_CONST):
            _, at = _integer(data, at + 1)
        else:  # addition, subtraction, multiplication
            at += 1
    return at + 1


def _integer(data: bytes, at: int) -> tuple[int, int]:
    """A LEB128 number, taken for unsigned, and where it ends. Bytes that are none give some number."""
    value = shift = 0
    for byte in data[at : at + _INTEGER_BYTES_MAX]:
        value |= (byte & ~_CONTINUES) << shift
        shift += 7
        at += 1
        if byte < _CONTINUES:
            break
    return value, at
