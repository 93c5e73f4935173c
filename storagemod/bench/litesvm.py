"""A peer to compare with: LiteSVM, the Solana virtual machine in this process, from the package ``solders``.

Its programs are assembled here: there is no Solana toolchain to install. A program is an ELF file with one section of
sBPF code, version 0 (https://github.com/anza-xyz/sbpf). It gets one account, whose data lies at a fixed offset from r1.
There is none for nested calls: Solana nests them at most 9 deep, and a program may be re-entered by itself only.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from storagemod.errors import StateError

if TYPE_CHECKING:
    from solders.pubkey import Pubkey
    from solders.transaction import Transaction

_DATA_OFFSET: Final = 96
"""Of the account's data in a program's input: 8 bytes for the number of accounts, 88 for what else an account has."""

_GROWTH_BYTES: Final = 10_240
"""Room behind an account's data, in which it may grow."""

_LAMPORTS = 10**13
_WORD_BYTES = 8

# Opcodes by mnemonic: with a number, with a register.
_ARITHMETIC = {"mov": (0xB7, 0xBF), "add": (0x07, 0x0F), "sub": (0x17, 0x1F)}
_LOAD, _STORE, _LOAD_NUMBER, _JUMP_LESS, _EXIT = 0x79, 0x7B, 0x18, 0xAD, 0x95

_NULL = """
  mov r0 0
  exit
"""

_SUM = """
  number r2 {argument}
  add r2 r1
  load r4 r2
  number r2 {end}
  add r2 r1
  add r1 {data}
  mov r0 0
next:
  load r3 r1
  add r0 r3
  add r1 8
  jump_less r1 r2 next
  sub r0 r4
  exit
"""
"""Fails unless the words of the data have the sum that is the argument."""

_FILL = """
  number r2 {argument}
  add r2 r1
  load r4 r2
  number r2 {end}
  add r2 r1
  add r1 {data}
  mov r0 0
next:
  store r1 r4
  add r4 1
  add r1 8
  jump_less r1 r2 next
  exit
"""
"""Fills the data with numbers that follow the argument."""

_COUNT = """
  number r2 {word}
  add r1 r2
  load r2 r1
  add r2 1
  store r1 r2
  mov r0 0
  exit
"""


def assemble(source: str) -> bytes:
    """Assemble sBPF code: a mnemonic and its operands a line, registers or numbers; a label ends with a colon.

    ``load`` and ``store`` move 8 bytes: ``load TO ADDRESS``, ``store ADDRESS FROM``. ``number`` sets all 64 bits.
    """
    instructions: list[list[str]] = []
    labels: dict[str, int] = {}
    at = 0
    for line in filter(None, map(str.strip, source.splitlines())):
        if line.endswith(":"):
            labels[line[:-1]] = at
        else:
            instructions.append(line.split())
            at += 2 if line.startswith("number") else 1
    code = b""
    for words in instructions:
        code += _instruction(words, labels, len(code) // 8)
    return code


def _instruction(words: list[str], labels: Mapping[str, int], at: int) -> bytes:
    match words:
        case ["exit"]:
            return _encode(_EXIT)
        case ["number", to, value]:
            return _encode(_LOAD_NUMBER, to, number=int(value) & 0xFFFF_FFFF) + _encode(0, number=int(value) >> 32)
        case ["load" | "store" as name, to, of]:
            return _encode(_LOAD if name == "load" else _STORE, to, of)
        case ["jump_less", left, right, label]:
            return _encode(_JUMP_LESS, left, right, offset=labels[label] - at - 1)
        case [name, to, value] if name in _ARITHMETIC:
            with_number, with_register = _ARITHMETIC[name]
            is_register = re.fullmatch(r"r\d", value)
            return _encode(with_register, to, value) if is_register else _encode(with_number, to, number=int(value))
    raise ValueError(f"expected an instruction, got {' '.join(words)!r}")


def _encode(opcode: int, to: str = "r0", of: str = "r0", *, offset: int = 0, number: int = 0) -> bytes:
    return struct.pack("<BBhI", opcode, int(of[1:]) << 4 | int(to[1:]), offset, number)


def elf(code: bytes) -> bytes:
    """Make the ELF file of a program."""
    names = b"\0.text\0.shstrtab\0".ljust(24, b"\0")  # what follows is aligned to 8 bytes
    header_bytes, segment_bytes, section_bytes = 64, 56, 64
    code_at = header_bytes + segment_bytes
    names_at = code_at + len(code)
    sections_at = names_at + len(names)
    header = b"\x7fELF\2\1\1".ljust(16, b"\0") + struct.pack(
        "<HHIQQQIHHHHHH",
        *(3, 247, 1),  # a shared object, of machine BPF, in version 1 of the format
        *(code_at, header_bytes, sections_at),
        *(0, header_bytes, segment_bytes, 1, section_bytes, 3, 2),
    )
    segment = struct.pack("<IIQQQQQQ", 1, 5, code_at, code_at, code_at, len(code), len(code), 8)
    sections = (
        bytes(section_bytes)
        + struct.pack("<IIQQQQIIQQ", names.index(b".text"), 1, 6, code_at, code_at, len(code), 0, 0, 8, 0)
        + struct.pack("<IIQQQQIIQQ", names.index(b".shstrtab"), 3, 0, 0, names_at, len(names), 0, 0, 1, 0)
    )
    return header + segment + code + names + sections


class LiteSvm:
    """Run programs that do what the contracts do in a LiteSVM. Transactions are made and signed beforehand.

    Signatures and block hashes are not checked, and no history is kept: a world has none of these.

    Args:
        data: What is summed; as many bytes are filled. A multiple of 8 bytes.
        counted_bytes: How long the account is in which a word counts.

    Raises:
        ImportError: The package ``solders`` is not installed.
    """

    def __init__(self, data: bytes, counted_bytes: int) -> None:
        from solders.keypair import Keypair  # noqa: PLC0415 - an extra
        from solders.litesvm import LiteSVM  # noqa: PLC0415

        self._svm = LiteSVM().with_sigverify(False).with_blockhash_check(False).with_transaction_history(0)
        self._payer = Keypair()
        self._svm.airdrop(self._payer.pubkey(), _LAMPORTS)
        self._null = self._transaction(self._program(_NULL), None)
        places = {"data": _DATA_OFFSET, "end": _DATA_OFFSET + len(data), "argument": _argument_offset(len(data))}
        summing, filling = (self._program(source.format_map(places)) for source in (_SUM, _FILL))
        summed, self._filled = self._account(summing, data), self._account(filling, bytes(len(data)))
        sum_of_words = sum(struct.unpack(f"<{len(data) // _WORD_BYTES}Q", data)) % 2**64
        self._right, self._wrong = (self._transaction(summing, summed, sum_of_words ^ bit) for bit in (0, 1))
        # Two, so that each writes other bytes than the one before; none is made while the clock runs.
        self._fills = [self._transaction(filling, self._filled, value) for value in (1, 2)]
        word_at = counted_bytes // 2
        counting = self._program(_COUNT.format(word=_DATA_OFFSET + word_at))
        self._counted, self._word_at = self._account(counting, bytes(counted_bytes)), word_at
        self._count = self._transaction(counting, self._counted)

    def null(self) -> None:
        """Run a program that does nothing."""
        self._send(self._null)

    def sum(self, *, wrong: bool = False) -> None:
        """Sum the data, and compare with what the sum must be, or with another number.

        Raises:
            StateError: It differs.
        """
        self._send(self._wrong if wrong else self._right)

    def fill(self) -> None:
        """Fill as many words as are summed."""
        self._fills.reverse()
        self._send(self._fills[0])

    def count(self) -> None:
        """Add 1 to a word in the middle of the long account."""
        self._send(self._count)

    def filled(self) -> bytes:
        """Return what :meth:`fill` wrote."""
        return self._data_of(self._filled)

    def counted(self) -> int:
        """Return how often :meth:`count` ran."""
        return int.from_bytes(self._data_of(self._counted)[self._word_at : self._word_at + _WORD_BYTES], "little")

    def _program(self, source: str) -> Pubkey:
        from solders.pubkey import Pubkey  # noqa: PLC0415

        address = Pubkey.new_unique()
        self._svm.add_program(address, elf(assemble(source)))
        return address

    def _account(self, owner: Pubkey, data: bytes) -> Pubkey:
        from solders.account import Account  # noqa: PLC0415
        from solders.pubkey import Pubkey  # noqa: PLC0415

        address = Pubkey.new_unique()
        self._svm.set_account(address, Account(_LAMPORTS, data, owner))
        return address

    def _transaction(self, program: Pubkey, account: Pubkey | None, argument: int | None = None) -> Transaction:
        from solders.instruction import AccountMeta, Instruction  # noqa: PLC0415
        from solders.message import Message  # noqa: PLC0415
        from solders.transaction import Transaction  # noqa: PLC0415

        accounts = [] if account is None else [AccountMeta(account, is_signer=False, is_writable=True)]
        data = b"" if argument is None else argument.to_bytes(_WORD_BYTES, "little")
        block_hash = self._svm.latest_blockhash()
        instructions = [Instruction(program, data, accounts)]
        message = Message.new_with_blockhash(instructions, self._payer.pubkey(), block_hash)
        return Transaction([self._payer], message, block_hash)

    def _send(self, transaction: Transaction) -> None:
        result = self._svm.send_transaction(transaction)
        if hasattr(result, "err"):
            raise StateError(f"a program failed in LiteSVM: {result.err()}")

    def _data_of(self, address: Pubkey) -> bytes:
        account = self._svm.get_account(address)
        if account is None:
            raise StateError("an account is gone in LiteSVM")
        return bytes(account.data)


def _argument_offset(data_bytes: int) -> int:
    """Find an instruction's data: behind the account's data, its room to grow, its rent epoch and a length."""
    return _DATA_OFFSET + data_bytes + _GROWTH_BYTES + 8 + 8
