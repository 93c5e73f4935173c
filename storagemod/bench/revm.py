"""A peer to compare with: revm, the Ethereum virtual machine in Rust, from the package ``pyrevm``.

pyrevm keeps the storage of all transactions in one journal. So slots are warm from the second transaction on, and
nothing is committed: its times are the least that they can be.
"""

from __future__ import annotations

from itertools import count
from typing import Final

_SENDER, _NULL, _SUM, _FILL = (f"0x{number:040x}" for number in range(0x5E00, 0x5E04))
_PING, _PONG = "0x" + "aa" * 20, "0x" + "bb" * 20
_GAS = 30_000_000
SLOT_BYTES: Final = 32

_OPCODES = {
    "STOP": 0x00, "ADD": 0x01, "SUB": 0x03, "GT": 0x11, "ISZERO": 0x15, "CALLDATALOAD": 0x35, "POP": 0x50,
    "MSTORE": 0x52, "SLOAD": 0x54, "SSTORE": 0x55, "JUMPI": 0x57, "GAS": 0x5A, "DUP1": 0x80, "DUP2": 0x81,
    "DUP3": 0x82, "SWAP1": 0x90, "SWAP2": 0x91, "CALL": 0xF1, "RETURN": 0xF3, "INVALID": 0xFE,
}  # fmt: skip
_JUMPDEST, _PUSH1 = 0x5B, 0x60

_NULL_CODE = "STOP"

_SUM_CODE = """
  0 0
next:
  DUP1 SLOAD DUP3 ADD SWAP2 POP
  1 ADD DUP1 {slots} GT @next JUMPI
  POP 0 MSTORE 32 0 RETURN
"""

_FILL_CODE = """
  0 CALLDATALOAD 0
next:
  DUP2 DUP2 SSTORE
  1 ADD SWAP1 1 ADD SWAP1
  DUP1 {slots} GT @next JUMPI STOP
"""

_PING_PONG_CODE = """
  0 SLOAD 1 ADD 0 SSTORE
  0 CALLDATALOAD DUP1 ISZERO @innermost JUMPI
  1 SWAP1 SUB 0 MSTORE
  32 CALLDATALOAD 32 MSTORE
  0 0 64 0 0 {peer} GAS CALL STOP
innermost:
  32 CALLDATALOAD @fail JUMPI STOP
fail:
  INVALID
"""


def assemble(source: str) -> bytes:
    """Assemble EVM code: opcodes by name, numbers to be pushed, labels that end with a colon, ``@label`` to push one.

    Addresses are one byte, so code is at most 256 bytes.
    """
    code = bytearray()
    labels: dict[str, int] = {}
    wanted: dict[int, str] = {}
    for word in source.split():
        if word.endswith(":"):
            labels[word[:-1]] = len(code)
            code.append(_JUMPDEST)
        elif word.startswith("@"):
            code += bytes((_PUSH1, 0))
            wanted[len(code) - 1] = word[1:]
        elif word in _OPCODES:
            code.append(_OPCODES[word])
        else:
            value = int(word, 0)
            length = max(1, (value.bit_length() + 7) // 8)
            code += bytes((_PUSH1 + length - 1,)) + value.to_bytes(length, "big")
    for at, label in wanted.items():
        code[at] = labels[label]
    return bytes(code)


class Revm:
    """Run contracts in a revm that do what those for a world do.

    Args:
        data: What is summed, as slots of 32 bytes; as many slots are filled. A multiple of 32 bytes.

    Raises:
        ImportError: The package ``pyrevm`` is not installed.
    """

    def __init__(self, data: bytes) -> None:
        from pyrevm import EVM, AccountInfo  # noqa: PLC0415 - an extra

        self._evm = EVM()
        self._slots = len(data) // SLOT_BYTES
        self._value = count(1)
        for address, source in (
            (_NULL, _NULL_CODE),
            (_SUM, _SUM_CODE.format(slots=self._slots)),
            (_FILL, _FILL_CODE.format(slots=self._slots)),
            (_PING, _PING_PONG_CODE.format(peer=_PONG)),
            (_PONG, _PING_PONG_CODE.format(peer=_PING)),
        ):
            self._evm.insert_account_info(address, AccountInfo(code=assemble(source)))
        for slot in range(self._slots):
            value = int.from_bytes(data[slot * SLOT_BYTES : (slot + 1) * SLOT_BYTES], "little")
            self._evm.insert_account_storage(_SUM, slot, value)

    def null(self) -> None:
        """Run code that does nothing."""
        self._call(_NULL)

    def sum(self) -> int:
        """Sum the slots, modulo 2**256."""
        return int.from_bytes(self._call(_SUM), "big")

    def fill(self) -> None:
        """Fill as many slots with numbers that follow one another, each time with others."""
        self._call(_FILL, next(self._value))

    def filled(self) -> list[int]:
        """Return what :meth:`fill` wrote."""
        return [self._evm.storage(_FILL, slot) for slot in range(self._slots)]

    def ping_pong(self, depth: int, *, traps: bool = False) -> None:
        """Make so many nested calls between two contracts, each of which counts in a slot of its storage."""
        self._call(_PING, depth - 1, int(traps))

    def counts(self) -> tuple[int, int]:
        """Return how often each of the two contracts was called, failed calls left out."""
        return self._evm.storage(_PING, 0), self._evm.storage(_PONG, 0)

    def _call(self, to: str, *arguments: int) -> bytes:
        data = b"".join(argument.to_bytes(SLOT_BYTES, "big") for argument in arguments)
        result: bytes = self._evm.message_call(_SENDER, to, data, 0, _GAS)
        return result
