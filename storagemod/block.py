"""The block that a transaction runs in, as far as contracts can ask for it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import attrs
from attrs import field, frozen

from storagemod.errors import ValidationError, shown
from storagemod.types import ZERO_ADDRESS, Address

HASH_BYTES = 32

HASHES_SERVED = 256
"""So many blocks before the running one have a hash that contracts can ask for (Ethereum Environment Interface)."""

_U64_MAX = 2**64 - 1
_U256_MAX = 2**256 - 1


def _unsigned(maximum: int, default: int) -> int:
    def check(_block: Block, attribute: attrs.Attribute[int], value: object) -> None:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= maximum:
            bits = maximum.bit_length()
            raise ValidationError(f"a block's {attribute.name} is an integer of {bits} bits, not {shown(value)}")

    checked: int = field(default=default, validator=check)
    return checked


def _hashes(hashes: Mapping[Any, Any]) -> Mapping[int, bytes]:
    for number, digest in hashes.items():
        if isinstance(number, bool) or not isinstance(number, int) or number < 0:
            raise ValidationError(f"hashes are given by the numbers of their blocks, and {shown(number)} is none")
        if not isinstance(digest, bytes) or len(digest) != HASH_BYTES:
            raise ValidationError(f"the hash of a block is {HASH_BYTES} bytes, not {shown(digest)}")
    return MappingProxyType(dict(hashes))


@frozen(kw_only=True, slots=False)
class Block:
    """The block that transactions run in. Made up: there is no chain, and it does not move on by itself.

    Attributes:
        number: Of 64 bits.
        timestamp: In seconds since 1970, of 64 bits.
        coinbase: Who would be paid for the block.
        difficulty: Of 256 bits.
        gas_limit: Of 64 bits. Contracts can ask for it; a transaction is not held to it.
        hashes: Those of earlier blocks, 32 bytes each, by number. Contracts get those of the last 256 blocks before
            ``number``, and are told that there is none for others.

    Raises:
        ValidationError: A value is not what it has to be.
    """

    number: int = _unsigned(_U64_MAX, 1)
    timestamp: int = _unsigned(_U64_MAX, 0)
    coinbase: Address = field(default=ZERO_ADDRESS, converter=Address)
    difficulty: int = _unsigned(_U256_MAX, 0)
    gas_limit: int = _unsigned(_U64_MAX, 2**63 - 1)
    hashes: Mapping[int, bytes] = field(factory=dict, converter=_hashes, hash=False)

    def __getstate__(self) -> dict[str, Any]:
        """Return the fields, as copies and pickles take them: hashes as a dictionary."""
        return {**self.__dict__, "hashes": dict(self.hashes)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over fields; hashes cannot be changed."""
        self.__dict__.update(state, hashes=MappingProxyType(state["hashes"]))

    def hash_of(self, number: int) -> bytes | None:
        """The hash of a block, 32 bytes, if contracts may have it and it is known."""
        if not max(self.number - HASHES_SERVED, 0) <= number < self.number:
            return None
        return self.hashes.get(number)
