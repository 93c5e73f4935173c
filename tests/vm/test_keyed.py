"""The linking option `keyed`: a table of keys and values that does not tell how it came about."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storagemod import Contract, Limits, World
from storagemod.errors import LimitError, LinkError, StateError, ValidationError
from storagemod.vm import slots
from storagemod.vm.slots import CELL_BYTES, NO_VALUE, Slots

CELLS = 32
"""Of the tables here: so few that keys are in one another's way."""


class Bytes:
    """A memory that is a bytearray."""

    def __init__(self) -> None:
        self.bytes = bytearray(CELLS * CELL_BYTES)

    def read(self, offset: int, length: int) -> bytes:
        return bytes(self.bytes[offset : offset + length])

    def write(self, offset: int, data: bytes) -> None:
        self.bytes[offset : offset + len(data)] = data


@pytest.fixture
def few_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "CELLS", CELLS)
    monkeypatch.setattr(slots, "PROBES_MAX", CELLS)


def word(number: int) -> bytes:
    return number.to_bytes(32, "big")


numbers = st.integers(0, 40) | st.sampled_from([2**256 - 1, 2**255, 64, 128])


@pytest.mark.usefixtures("few_cells")
@settings(
    max_examples=300,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # it is the same for all examples
)
@given(steps=st.lists(st.tuples(numbers, st.integers(0, 3)), max_size=60))
def test_a_table_is_a_dictionary_whose_bytes_are_those_of_its_entries(steps: list[tuple[int, int]]) -> None:
    memory = Bytes()
    table, model = Slots(memory), dict[bytes, bytes]()
    for number, value in steps:
        if value and word(number) not in model and len(model) == CELLS - 1:
            continue
        table.store(word(number), word(value))
        model[word(number)] = word(value)
        if not value:
            del model[word(number)]
        assert table.load(word(number)) == word(value)
    for number, _ in steps:
        assert table.load(word(number)) == model.get(word(number), NO_VALUE)
    fresh = Bytes()
    for key, stored in sorted(model.items(), key=lambda entry: hash(entry[0])):
        Slots(fresh).store(key, stored)
    assert fresh.bytes == memory.bytes


@pytest.mark.usefixtures("few_cells")
def test_a_full_table_says_so() -> None:
    table = Slots(Bytes())
    for number in range(CELLS):
        table.store(word(number), word(1))
    with pytest.raises(LimitError, match="no room for another key"):
        table.store(word(CELLS), word(1))


@pytest.mark.usefixtures("few_cells")
@pytest.mark.parametrize("number", range(CELLS))
@pytest.mark.parametrize("key", [0, 5, CELLS, 2**256 - 1])
def test_a_table_that_a_preset_filled_is_no_circle(number: int, key: int) -> None:
    memory = Bytes()
    for place in range(CELLS):  # in an order that no contract makes
        memory.write(place * CELL_BYTES, word((place * 5 + number) % CELLS + CELLS * (place % 3)) + word(1))
    table = Slots(memory)
    table.store(word(key), word(0))
    table.load(word(key))
    table.store(word(key + 1), word(0)) if key < 2**255 else None


CONTRACT = """
(module
  (import "ethereum" "storageLoad" (func $load (param i32 i32)))
  (import "ethereum" "storageStore" (func $store (param i32 i32)))
  (memory (export "memory") 1)
  (func (export "put") (param $key i64) (param $value i64)
    (i64.store (i32.const 0) (local.get $key))
    (i64.store (i32.const 32) (local.get $value))
    (call $store (i32.const 0) (i32.const 32)))
  (func (export "get") (param $key i64) (result i64)
    (i64.store (i32.const 0) (local.get $key))
    (call $load (i32.const 0) (i32.const 64))
    (i64.load (i32.const 64)))
  (func (export "beyond") (call $load (i32.const 65505) (i32.const 0))))
"""


def little(number: int) -> bytes:
    return number.to_bytes(32, "little")


def test_a_contract_keeps_values_by_keys(tracker: str) -> None:
    world = World(tracker=tracker)
    contract = world.deploy(CONTRACT)
    assert world.contract(contract).options == {"keyed"}
    empty = world.state_root
    world.transact(contract, "put", 7, 70).raise_for_error()
    world.transact(contract, "put", 8, 80).raise_for_error()
    assert [world.call(contract, "get", key).value for key in (7, 8, 9)] == [70, 80, 0]
    kept = world.slots(contract)
    assert dict(kept) == {little(7): little(70), little(8): little(80)}
    assert len(kept) == 2
    assert little(9) not in kept
    assert kept[little(9)] == NO_VALUE
    world.transact(contract, "put", 7, 0)
    world.transact(contract, "put", 8, 0)
    assert dict(kept) == {}
    sender = world.account(world.default_sender)
    fresh = World(tracker=tracker)
    fresh.deploy(CONTRACT)
    assert fresh.state_root == empty
    assert sender.nonce == 5


def test_a_contract_finds_the_values_that_were_preset() -> None:
    world = World()
    contract = world.deploy(CONTRACT)
    world.slots(contract)[little(1)] = little(11)
    world.slots(contract).update({little(2): little(22), little(3): little(33)})
    del world.slots(contract)[little(3)]
    assert [world.call(contract, "get", key).value for key in (1, 2, 3)] == [11, 22, 0]


def test_a_contract_that_reaches_beyond_its_memory_traps() -> None:
    world = World()
    receipt = world.transact(world.deploy(CONTRACT), "beyond")
    assert "lie outside the memory" in str(receipt.error)


@pytest.mark.parametrize("key", [b"short", 7, bytearray(32)])
def test_a_contract_has_keys_of_32_bytes(key: object) -> None:
    world = World()
    slots_of = world.slots(world.deploy(CONTRACT))
    with pytest.raises(ValidationError, match="a key of keyed storage is 32 bytes"):
        slots_of[key]  # type: ignore[index]
    assert key not in slots_of


def test_the_storage_of_another_contract_is_not_keyed() -> None:
    world = World()
    contract = world.deploy('(module (import "storage" "slots" (memory 1)))', name="linear")
    with pytest.raises(StateError, match="the storage of linear is not keyed"):
        world.slots(contract)


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ('(module (import "ethereum" "storageLoad" (func (param i32))))', LinkError, "wanted (func (param i32))"),
        ('(module (import "ethereum" "storageLoad" (func (param i32 i32))))', ValidationError, "has to be exported"),
        (
            """(module (import "storage" "slots" (memory 1)) (import "ethereum" "storageStore" (func (param i32 i32)))
              (memory (export "memory") 1))""",
            LinkError,
            'the region "slots" is wanted as a memory and through functions',
        ),
    ],
)
def test_a_contract_that_cannot_be_served_is_refused(source: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as raised:
        Contract.load(source)
    assert message in str(raised.value)


def test_a_contract_whose_table_is_longer_than_the_limits_is_refused() -> None:
    with pytest.raises(ValidationError, match="keyed storage takes 64 Wasm pages, and 8 are allowed"):
        Contract.load(CONTRACT, limits=Limits(storage_pages_max=8))
