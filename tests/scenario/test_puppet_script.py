"""Scripts for the puppet: what they are in bytes, what they refuse, and how outputs are read."""

import re
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storagemod.errors import ValidationError
from storagemod.scenario import puppet
from storagemod.scenario.fixtures import fixture
from storagemod.scenario.puppet import (
    Burn,
    Call,
    Caller,
    CallResult,
    CallValue,
    CopyIn,
    CopyOut,
    EmitLog,
    Finish,
    Grow,
    Load,
    MemoryLoad,
    MemoryStore,
    Operation,
    OutOfBounds,
    OwnAddress,
    Result,
    Revert,
    Script,
    Size,
    SpareGrow,
    SpareLoad,
    SpareSize,
    SpareStore,
    StackOverflow,
    Store,
    Store8,
    Trap,
    decode_output,
)
from storagemod.types import Address, CallKind, Outcome

OTHER = Address(bytes(range(20)))
TOPIC_1 = b"1" * 32
TOPIC_2 = b"2" * 32


def operation_classes() -> list[type[Operation]]:
    return [each for each in vars(puppet).values() if isinstance(each, type) and hasattr(each, "opcode")]


class TestBytes:
    @pytest.mark.parametrize(
        ("operation", "expected"),
        [
            (Trap(), "00"),
            (Finish(), "01"),
            (Revert(), "02"),
            (Burn(0x01020304), "03 04030201"),
            (StackOverflow(), "04"),
            (OutOfBounds(), "05"),
            (Load(8), "10 08000000"),
            (Store(2**32 - 1, -2), "11 ffffffff feffffffffffffff"),
            (Store8(16, 255), "12 10000000 ff"),
            (Grow(2), "13 02000000"),
            (Size(), "14"),
            (CopyIn(8, b"abc"), "15 08000000 03000000 616263"),
            (CopyIn(8, b""), "15 08000000 00000000"),
            (CopyOut(8, 3), "16 08000000 03000000"),
            (SpareLoad(8), "20 08000000"),
            (SpareStore(8, 2**63 - 1), "21 08000000 ffffffffffffff7f"),
            (SpareGrow(1), "22 01000000"),
            (SpareSize(), "23"),
            (MemoryLoad(1016), "30 f8030000"),
            (MemoryStore(0, 1), "31 00000000 0100000000000000"),
            (Call(OTHER), f"40 00 {OTHER.hex()} ffffffffffffff7f {'00' * 16} 00000000"),
            (
                Call(OTHER, b"ab", kind=CallKind.CALL, gas=1, value=2),
                f"40 00 {OTHER.hex()} 0100000000000000 02{'00' * 15} 02000000 6162",
            ),
            (
                Call(OTHER, Script(Size(), Revert()), kind=CallKind.STATIC, gas=0),
                f"40 01 {OTHER.hex()} {'00' * 8} {'00' * 16} 02000000 1402",
            ),
            (
                Call(OTHER, kind=CallKind.DELEGATE, gas=0),
                f"40 02 {OTHER.hex()} {'00' * 8} {'00' * 16} 00000000",
            ),
            (EmitLog(), "41 00 00000000"),
            (EmitLog(b"a", (TOPIC_1, TOPIC_2)), f"41 02 {TOPIC_1.hex()} {TOPIC_2.hex()} 01000000 61"),
            (Caller(), "50"),
            (OwnAddress(), "51"),
            (CallValue(), "52"),
        ],
        ids=repr,
    )
    def test_an_operation_is_its_opcode_and_its_operands(self, operation: Operation, expected: str) -> None:
        assert bytes(operation) == bytes.fromhex(expected)

    def test_a_script_is_its_operations_in_order(self) -> None:
        assert bytes(Script()) == b""
        assert bytes(Script(Store8(0, 7), Load(0))) == bytes(Store8(0, 7)) + bytes(Load(0))

    def test_scripts_stand_inside_scripts_as_deep_as_calls_go(self) -> None:
        script = Script(Load(0))
        for _ in range(1_024):
            script = Script(Call(OTHER, script))
        assert len(bytes(script)) == 5 + 1_024 * 50
        assert script == Script(Call(OTHER, script.operations[0].data))  # type: ignore[attr-defined]  # it is a Call

    def test_scripts_are_equal_where_their_bytes_are(self) -> None:
        assert Script(Call(OTHER, Script(Load(0)))) == Script(Call(OTHER, bytes(Script(Load(0)))))
        assert len({Script(Load(0)), Script(Load(0)), Script(Load(8))}) == 2

    def test_the_representation_of_a_script_can_be_pasted_into_a_test(self) -> None:
        script = Script(Store(0, -7), Call(OTHER, Script(Load(0)), value=3), EmitLog(b"a", (TOPIC_1,)), Revert())
        names = {**vars(puppet), "Address": Address, "CallKind": CallKind}
        pasted = eval(re.sub(r"<CallKind\.(\w+): '\w+'>", r"CallKind.\1", repr(script)), names)  # noqa: S307 # our own
        assert pasted == script


class TestOpcodes:
    def test_are_those_of_the_interpreter(self) -> None:
        table: dict[int, str] = {}
        for start, names in re.findall(r"\(elem \(i32\.const (0x\w+)\) ([^)]*)\)", fixture("puppet/puppet")):
            table |= {int(start, 16) + at: name for at, name in enumerate(names.split())}
        # Where the prelude has a name already, the function's is longer by a word.
        longer = re.compile(r"^(copy_in|copy_out|spare_load|spare_store|spare_grow|spare_size)_\w+$")
        named = {code: longer.sub(r"\1", name.removeprefix("$")) for code, name in table.items()}
        assert named == {each.opcode: snake_case(each.__name__) for each in operation_classes()}

    def test_are_those_of_the_table_in_the_interpreters_header(self) -> None:
        rows = re.findall(r"^;;   0x(\w\w)    (\w+)", fixture("puppet/puppet"), re.MULTILINE)
        named = {int(code, 16): name for code, name in rows}
        assert named == {each.opcode: snake_case(each.__name__) for each in operation_classes()}


def snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


class TestValidation:
    @pytest.mark.parametrize(
        "make",
        [
            lambda: Load(-1),
            lambda: Load(2**32),
            lambda: Load(1.0),  # type: ignore[arg-type]
            lambda: Load(True),
            lambda: Store(0, 2**63),
            lambda: Store(0, -(2**63) - 1),
            lambda: Store8(0, 256),
            lambda: Store8(0, -1),
            lambda: Grow(-1),
            lambda: Burn(2**32),
            lambda: MemoryLoad(1017),
            lambda: MemoryStore(1017, 0),
            lambda: CopyIn(0, "text"),  # type: ignore[arg-type]
            lambda: CopyOut(0, 2**32),
            lambda: Call(b"short"),
            lambda: Call(OTHER, "text"),  # type: ignore[arg-type]
            lambda: Call(OTHER, kind="callStatic"),  # type: ignore[arg-type]
            lambda: Call(OTHER, gas=-1),
            lambda: Call(OTHER, gas=2**63),
            lambda: Call(OTHER, value=2**128),
            lambda: Call(OTHER, kind=CallKind.STATIC, value=1),
            lambda: Call(OTHER, kind=CallKind.DELEGATE, value=1),
            lambda: EmitLog("text"),  # type: ignore[arg-type]
            lambda: EmitLog(b"", (b"short",)),
            lambda: EmitLog(b"", (TOPIC_1,) * 5),
            lambda: EmitLog(b"", TOPIC_1),  # type: ignore[arg-type]
            lambda: Script(b"\x00"),  # type: ignore[arg-type]
            lambda: Script(Load),  # type: ignore[arg-type]
        ],
    )
    def test_refuses_what_cannot_be_written(self, make: Callable[[], object]) -> None:
        with pytest.raises(ValidationError):
            make()

    def test_says_which_operand_is_wrong_and_what_it_has_to_be(self) -> None:
        with pytest.raises(ValidationError, match=r"Store8\.value is an integer from 0 to 255, not 256"):
            Store8(0, 256)

    def test_a_script_fits_the_call_data_of_a_puppet(self) -> None:
        longest = CopyIn(0, bytes(puppet.DATA_BYTES_MAX - 9))
        assert len(bytes(Script(longest))) == puppet.DATA_BYTES_MAX
        with pytest.raises(ValidationError, match="1048576 bytes at most, not 1048577"):
            Script(longest, Size())


queries = st.one_of(
    st.tuples(st.just(Load(0)), st.integers(-(2**63), 2**63 - 1), st.just(8)),
    st.tuples(st.just(Grow(1)), st.integers(-(2**31), 2**31 - 1), st.just(4)),
    st.tuples(st.just(CallValue()), st.integers(0, 2**128 - 1), st.just(16)),
    st.tuples(st.just(CopyOut(0, 5)), st.binary(min_size=5, max_size=5), st.just(5)),
    st.tuples(st.just(Caller()), st.binary(min_size=20, max_size=20).map(Address), st.just(20)),
    st.tuples(st.just(Store(0, 1)), st.none(), st.just(0)),
)


def appended(*calls: tuple[int, bytes]) -> bytes:
    """What calls with these outcomes and outputs append."""
    parts = (outcome.to_bytes(4, "little") + len(output).to_bytes(4, "little") + output for outcome, output in calls)
    return b"".join(parts)


def i64(value: int) -> bytes:
    return value.to_bytes(8, "little", signed=True)


class TestDecodeOutput:
    @given(st.lists(queries))
    def test_gives_one_result_for_each_query_in_order(self, steps: list[tuple[Operation, Any, int]]) -> None:
        output = b"".join(
            value.to_bytes(width, "little", signed=not isinstance(operation, CallValue))
            if isinstance(value, int)
            else value or b""
            for operation, value, width in steps
        )
        results: list[Result] = [value for _, value, _ in steps if value is not None]
        assert decode_output(Script(*(operation for operation, _, _ in steps)), output) == results

    @pytest.mark.parametrize(
        ("operation", "output", "result"),
        [
            (Load(0), i64(-7), -7),
            (SpareLoad(0), i64(-7), -7),
            (MemoryLoad(0), i64(-7), -7),
            (Grow(1), b"\xff" * 4, -1),
            (SpareGrow(1), b"\xff" * 4, -1),
            (Size(), b"\x02\0\0\0", 2),
            (SpareSize(), b"\x02\0\0\0", 2),
            (CopyOut(0, 3), b"abc", b"abc"),
            (CopyOut(0, 0), b"", b""),
            (Caller(), bytes(OTHER), OTHER),
            (OwnAddress(), bytes(OTHER), OTHER),
            (CallValue(), b"\xff" * 16, 2**128 - 1),
            (Call(OTHER, b"x"), appended((1, b"")), CallResult(Outcome.FAILED, b"")),
            (Call(OTHER, b"x"), appended((2, b"why")), CallResult(Outcome.REVERTED, b"why")),
        ],
        ids=repr,
    )
    def test_reads_every_query(self, operation: Operation, output: bytes, result: Result) -> None:
        assert decode_output(Script(operation), output) == [result]

    @pytest.mark.parametrize("end", [Finish(), Revert()])
    def test_reads_no_further_than_the_call_went(self, end: Operation) -> None:
        assert decode_output(Script(Load(0), end, Load(8)), i64(1)) == [1]

    def test_reads_the_output_of_a_callees_script(self) -> None:
        inner = Script(Load(0), Call(OTHER, Script(Load(8), Revert())))
        script = Script(Call(OTHER, inner, kind=CallKind.STATIC), Load(0))
        output = appended((0, i64(1) + appended((2, i64(2))))) + i64(3)
        call, last = decode_output(script, output)
        assert last == 3
        assert isinstance(call, CallResult)
        assert call.outcome is Outcome.OK
        first, nested = call.results
        assert first == 1
        assert nested == CallResult(Outcome.REVERTED, i64(2))
        assert isinstance(nested, CallResult)
        assert nested.results == [2]

    def test_a_failed_call_has_no_results(self) -> None:
        [call] = decode_output(Script(Call(OTHER, Script(Load(0), Trap()))), appended((1, b"")))
        assert isinstance(call, CallResult)
        assert call.results == []

    def test_the_output_of_a_callee_that_was_given_bytes_is_bytes(self) -> None:
        [call] = decode_output(Script(Call(OTHER, b"x")), appended((0, b"anything")))
        assert isinstance(call, CallResult)
        assert call.output == b"anything"
        with pytest.raises(ValidationError, match="was given bytes"):
            _ = call.results

    @pytest.mark.parametrize(
        "output",
        [
            b"",
            appended((0, i64(1)))[:-1],
            appended((0, i64(1))) + b"\0",
            appended((3, i64(1))),
            b"\0\0\0\0" + b"\xff" * 4,
        ],
    )
    def test_refuses_an_output_of_another_script(self, output: bytes) -> None:
        with pytest.raises(ValidationError):
            decode_output(Script(Call(OTHER, Script(Load(0)))), output)

    def test_a_callee_that_is_no_puppet_does_not_spoil_the_rest(self) -> None:
        call, last = decode_output(Script(Call(OTHER, Script(Load(0))), Load(0)), appended((0, b"")) + i64(3))
        assert last == 3
        assert isinstance(call, CallResult)
        with pytest.raises(ValidationError, match="ends before the script does"):
            _ = call.results


def test_operations_can_be_changed_one_operand_at_a_time() -> None:
    """So that a script can be shrunk; the changed operation is checked again."""
    assert attrs.evolve(Store(0, 7), value=8) == Store(0, 8)
    with pytest.raises(ValidationError):
        attrs.evolve(Store(0, 7), value=2**63)
