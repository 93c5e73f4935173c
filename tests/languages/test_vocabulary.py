"""What the bindings declare works in every language: call data and output, functions of storage, and mappings."""

from __future__ import annotations

import pytest

from storagemod import Address, StorageMapping, World
from storagemod.errors import TrapError
from storagemod.types import MAP_OPTIONS, METHODS_OPTIONS, Outcome
from tests.languages.compilers import LANGUAGES, contract

CALLER = Address(0xCA11)

every_language = pytest.mark.parametrize("language", LANGUAGES)


@every_language
def test_caller_value_address_and_call_data_arrive_and_output_and_logs_leave(language: str) -> None:
    world = World(validation="ewasm")
    world.fund(CALLER, 2**100)
    address = world.deploy(contract(language, "echo"))

    receipt = world.transact(address, data=b"some data", sender=CALLER, value=2**99 + 3)

    assert receipt.raise_for_error().output == CALLER + (2**99 + 3).to_bytes(16, "little") + address + b"some data"
    (log,) = receipt.logs
    assert (log.data, log.topics) == (b"some data", (bytes([7]).ljust(32, b"\0"),))
    assert len(world.call(address, data=bytes(100)).output) == 56 + 64


@every_language
def test_call_that_reverts_has_its_reason(language: str) -> None:
    world = World()
    receipt = world.transact(world.deploy(contract(language, "echo")))
    assert (receipt.outcome, receipt.output) == (Outcome.REVERTED, b"no data")


@pytest.mark.parametrize("link", METHODS_OPTIONS)
@every_language
def test_functions_of_storage_do_what_instructions_do_and_trap_beyond_its_end(language: str, link: str) -> None:
    world = World()
    address = world.deploy(contract(language, "probe"), link=link)

    def value(method: str, *args: int) -> object:
        return world.transact(address, method, *args).raise_for_error().value

    value("store", 65_528, -2)
    assert value("load", 65_528) == -2
    assert value("load", 65_521) == int.from_bytes(bytes(7) + b"\xfe", "little", signed=True)
    assert value("narrow", 65_528) == -2 + 0xFFFE
    for offset in (65_529, 65_536, -8, -1):
        for step in (("load", offset), ("store", offset, 1), ("swap", offset)):
            receipt = world.transact(address, *step)
            assert receipt.outcome is Outcome.FAILED
            assert isinstance(receipt.error, TrapError)
    assert (value("size"), value("grow", 2), value("size"), value("grow", -1)) == (1, 1, 3, -1)
    value("store", 65_536, 9)
    value("swap", 65_528)
    assert world.storage(address)["memory"][65_528:65_544] == (9).to_bytes(8, "little") + b"\xfe".ljust(8, b"\xff")
    assert value("load", 3 * 65_536 - 8) == 0


@pytest.mark.parametrize("option", MAP_OPTIONS)
@every_language
def test_page_that_is_unmapped_is_zeros_and_storage_keeps_it(language: str, option: str) -> None:
    world = World()
    address = world.deploy(contract(language, "unmap"), mapping=StorageMapping(option))

    assert [world.transact(address, "count").raise_for_error().value for _ in range(3)] == [1000, 2000, 3000]
    assert world.storage(address)["memory"][4096:8192] == (3).to_bytes(8, "little").ljust(4096, b"\0")
    assert world.call(address, "size").value == 65_536
