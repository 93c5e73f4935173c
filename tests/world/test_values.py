"""Values and limits that users choose: what is taken, what is refused, and by which error."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from storagemod import Address, Limits, ValidationError, World
from storagemod.scenario import parse_scenario, run_scenario
from storagemod.world.views import SlotsView

FLOATS = """(module (func (export "echo") (param f32 f64) (result f32 f64) (local.get 0) (local.get 1))
  (func (export "tenth") (result f32) (f32.const 0.1)))"""

F32_MAX = 3.4028234663852886e38


@pytest.mark.parametrize("number", [1e300, -1e300, 3.5e38, 2**128, 10**400])
def test_a_finite_number_that_is_too_large_for_an_f32_is_refused(number: float) -> None:
    world = World()
    f = world.deploy(FLOATS)
    with pytest.raises(ValidationError, match=r"argument 1 of 'echo' is f32, and .* is too large for it"):
        world.transact(f, "echo", number, 0)


@pytest.mark.parametrize("number", [0.1, F32_MAX, -F32_MAX, float("inf"), float("-inf"), 1e-400, 2**127])
def test_any_other_number_is_rounded_to_an_f32(number: float) -> None:
    world = World()
    value = world.transact(world.deploy(FLOATS), "echo", number, 1e300).value
    assert isinstance(value, tuple)
    assert value[0] == pytest.approx(float(number), rel=1e-7)
    assert value[1] == 1e300


@pytest.mark.parametrize(("wanted", "ok"), [("0.1", True), ("0.1000001", False), ("1e300", False), ("inf", False)])
def test_an_expected_f32_is_written_as_people_write_it(wanted: str, ok: bool) -> None:
    text = (
        f"[contracts.f]\nwat = '''{FLOATS}'''\n[[transactions]]\nto = 'f'\nmethod = 'tenth'\nexpect.value = {wanted}\n"
    )
    assert run_scenario(parse_scenario(text, path="it.toml", folder=Path())).ok is ok


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ({"calls_max": 0}, "calls_max must be an integer of 1 or more, got 0"),
        ({"calls_max": True}, "got True"),
        ({"logs_max": 1.5}, "got 1.5"),
        ({"storage_pages_max": 65_537}, "storage_pages_max must be an integer from 1 to 65,536, got 65537"),
        ({"deadline_seconds": 0}, "deadline_seconds must be a number of seconds above 0, got 0"),
        ({"deadline_seconds": float("nan")}, "got nan"),
        ({"deadline_seconds": "1"}, "got '1'"),
    ],
)
def test_a_limit_that_is_none_is_a_validation_error(limit: dict[str, int], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Limits(**limit)
    assert message in str(caught.value)


@pytest.mark.parametrize("text", [" 1 ", "+1", "-1", "1_0", "0x", "", "0x0x1", "\uff11", "1\n", "0x+1", "g"])
def test_text_that_is_not_hexadecimal_is_no_address(text: str) -> None:
    with pytest.raises(ValidationError, match="is not an address"):
        Address(text)


@pytest.mark.parametrize("text", ["1", "0x1", "0X01", "00" * 19 + "01"])
def test_hexadecimal_text_is_an_address(text: str) -> None:
    assert Address(text) == Address(1)


def test_slots_keep_the_contract_of_a_mapping() -> None:
    world = World()
    slots = world.slots(world.set_account(5))
    key, other, value, zero = bytes(31) + b"\1", bytes(31) + b"\2", b"\7" * 32, bytes(32)
    assert (slots[key], slots.get(key), slots.get(key, value)) == (zero, None, value)
    with pytest.raises(KeyError):
        slots.pop(key)
    assert slots.pop(key, None) is None
    assert slots.setdefault(key, value) == value
    assert slots.setdefault(key, zero) == value
    assert slots.get(key) == value
    assert slots.setdefault(other) == zero
    assert dict(slots) == {key: value}
    assert slots.pop(key) == value
    assert (key in slots, len(slots), slots[key]) == (False, 0, zero)


def test_get_gives_a_value_or_the_default_while_another_thread_removes_the_entry(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    slots = world.slots(world.set_account(5))
    key, value = bytes(31) + b"\1", b"\7" * 32
    slots[key] = value
    remover = threading.Thread(target=slots.pop, args=(key,))
    contains = SlotsView.__contains__

    def contains_then_removed(self: SlotsView, key: object) -> bool:
        found = contains(self, key)
        if not remover.ident:
            remover.start()
            remover.join(0.2)  # it waits for the one who reads
        return found

    monkeypatch.setattr(SlotsView, "__contains__", contains_then_removed)
    assert slots.get(key) == value
    remover.join()
    assert slots.get(key) is None


def test_offsets_of_any_length_outside_a_region_are_refused() -> None:
    world = World()
    view = world.storage(world.deploy('(module (import "storage" "memory" (memory 1)))'))["memory"]
    with pytest.raises(IndexError, match="byte an integer of 16,610 bits is outside region"):
        view[10**5000]
    with pytest.raises(ValidationError, match="an integer of 16,610 bits"):
        view.read_int(10**5000)


@pytest.mark.parametrize("wrong", [5, 1.5, [], {}, object(), True])
def test_a_method_that_is_no_text_is_a_validation_error(wrong: object) -> None:
    world = World()
    f = world.deploy(FLOATS)
    with pytest.raises(ValidationError, match="method must be text, got "):
        world.transact(f, wrong)  # type: ignore[arg-type]
    for what in ("init", "link"):
        with pytest.raises(ValidationError, match=f"{what} must be text, got "):
            world.deploy(FLOATS, **{what: wrong})  # type: ignore[arg-type]


@pytest.mark.parametrize("what", ["limits", "schedule"])
def test_a_setting_of_another_type_is_a_validation_error(what: str) -> None:
    with pytest.raises(ValidationError, match=f"{what} must be a storagemod"):
        World(**{what: 5})  # type: ignore[arg-type]


def test_links_that_are_no_mapping_are_a_validation_error() -> None:
    with pytest.raises(ValidationError, match="links must be a mapping of names to addresses, got 'token'"):
        World().deploy(FLOATS, links="token")  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [None, 1.5, "1", float("nan")])
def test_an_offset_that_is_no_integer_is_a_validation_error(wrong: object) -> None:
    world = World()
    region = world.storage(world.deploy('(module (import "storage" "memory" (memory 1)))'))["memory"]
    for place in ((wrong, 8), (0, wrong)):
        with pytest.raises(ValidationError, match="offset and size must be integers, got "):
            region.read_int(*place)
