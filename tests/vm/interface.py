"""The interface as `eth_interface.md` publishes it, written down once more for the tests: signatures and ranges."""

from __future__ import annotations

from attrs import field, frozen

from storagemod.types import FunctionType


@frozen
class Range:
    """A range of memory that a method reads or writes: which argument is its offset, and its length."""

    offset: int
    bytes: int | None = None
    """The length where it is fixed; else the argument `length` has it."""
    length: int | None = None


@frozen
class Method:
    params: tuple[str, ...] = field(converter=lambda text: tuple(text.split()))
    results: tuple[str, ...] = field(converter=lambda text: tuple(text.split()), default="")
    ranges: tuple[Range, ...] = ()

    @property
    def type(self) -> FunctionType:
        return FunctionType(self.params, self.results)  # type: ignore[arg-type]


ADDRESS, U128, BYTES32 = 20, 16, 32

METHODS = {
    "useGas": Method("i64"),
    "getAddress": Method("i32", "", (Range(0, ADDRESS),)),
    "getExternalBalance": Method("i32 i32", "", (Range(0, ADDRESS), Range(1, U128))),
    "getBlockHash": Method("i64 i32", "i32", (Range(1, BYTES32),)),
    "call": Method("i64 i32 i32 i32 i32", "i32", (Range(1, ADDRESS), Range(2, U128), Range(3, length=4))),
    "callDataCopy": Method("i32 i32 i32", "", (Range(0, length=2),)),
    "getCallDataSize": Method("", "i32"),
    "callCode": Method("i64 i32 i32 i32 i32", "i32", (Range(1, ADDRESS), Range(2, U128), Range(3, length=4))),
    "callDelegate": Method("i64 i32 i32 i32", "i32", (Range(1, ADDRESS), Range(2, length=3))),
    "callStatic": Method("i64 i32 i32 i32", "i32", (Range(1, ADDRESS), Range(2, length=3))),
    "storageStore": Method("i32 i32", "", (Range(0, BYTES32), Range(1, BYTES32))),
    "storageLoad": Method("i32 i32", "", (Range(0, BYTES32), Range(1, BYTES32))),
    "getCaller": Method("i32", "", (Range(0, ADDRESS),)),
    "getCallValue": Method("i32", "", (Range(0, U128),)),
    "codeCopy": Method("i32 i32 i32", "", (Range(0, length=2),)),
    "getCodeSize": Method("", "i32"),
    "getBlockCoinbase": Method("i32", "", (Range(0, ADDRESS),)),
    "create": Method("i32 i32 i32 i32", "i32", (Range(0, U128), Range(1, length=2), Range(3, ADDRESS))),
    "getBlockDifficulty": Method("i32", "", (Range(0, BYTES32),)),
    "externalCodeCopy": Method("i32 i32 i32 i32", "", (Range(0, ADDRESS), Range(1, length=3))),
    "getExternalCodeSize": Method("i32", "i32", (Range(0, ADDRESS),)),
    "getGasLeft": Method("", "i64"),
    "getBlockGasLimit": Method("", "i64"),
    "getTxGasPrice": Method("i32", "", (Range(0, U128),)),
    "log": Method(
        "i32 i32 i32 i32 i32 i32 i32", "", (Range(0, length=1), *(Range(topic, BYTES32) for topic in range(3, 7)))
    ),
    "getBlockNumber": Method("", "i64"),
    "getTxOrigin": Method("i32", "", (Range(0, ADDRESS),)),
    "finish": Method("i32 i32", "", (Range(0, length=1),)),
    "revert": Method("i32 i32", "", (Range(0, length=1),)),
    "getReturnDataSize": Method("", "i32"),
    "returnDataCopy": Method("i32 i32 i32", "", (Range(0, length=2),)),
    "selfDestruct": Method("i32", "", (Range(0, ADDRESS),)),
    "getBlockTimestamp": Method("", "i64"),
}

ALIASES = {"return": "finish", "returnDataSize": "getReturnDataSize", "getBalance": "getExternalBalance"}

DEBUG_METHODS = {
    "print32": Method("i32"),
    "print64": Method("i64"),
    "printMem": Method("i32 i32", "", (Range(0, length=1),)),
    "printMemHex": Method("i32 i32", "", (Range(0, length=1),)),
    "printStorage": Method("i32", "", (Range(0, BYTES32),)),
    "printStorageHex": Method("i32", "", (Range(0, BYTES32),)),
}


def import_of(name: str, wanted: FunctionType, *, module: str = "ethereum") -> str:
    """An import as WAT, under the name `$name`."""
    return f'(import "{module}" "{name}" {str(wanted).replace("(func", f"(func ${name}", 1)})'
