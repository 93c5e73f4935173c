"""Each subject does what it is said to do, whatever it costs; peers are tested where they are installed."""

from __future__ import annotations

import struct
from contextlib import ExitStack, closing

import pytest

from storagemod.bench import Peers, call_comparisons
from storagemod.bench import litesvm as litesvm_module
from storagemod.bench import revm as revm_module
from storagemod.bench.calls import DEPTH, EXPLORED, PING, PONG, SUMMED, TRIES, open_ping_pong
from storagemod.bench.contracts import BUMP_METHODS, BUMP_SINGLE, PING_PONG, PING_PONG_OWN_PAGE, WORDS
from storagemod.bench.litesvm import LiteSvm
from storagemod.bench.revm import SLOT_BYTES, Revm
from storagemod.errors import StateError
from storagemod.explore import explore
from storagemod.pages import BACKENDS, choose_backend, why_not_shared, why_unavailable
from storagemod.scenario.fixtures import scenario_path
from storagemod.types import MAP_OPTIONS, Address
from storagemod.vm import option_names
from storagemod.wasm.bare import BarePingPong, bare_null_call
from storagemod.world import World

WORDS_SUMMED = struct.unpack("<4000Q", SUMMED)
COUNTED_BYTES = 1 << 16


def count_of(world: World, contract: Address, option: str) -> int:
    """How often a contract was called, by its storage."""
    if option == "keyed":
        return int.from_bytes(world.slots(contract)[bytes(32)][:8], "little")
    (region,) = world.storage(contract).values()
    return region.read_int(0)


@pytest.fixture(scope="module")
def litesvm() -> LiteSvm:
    pytest.importorskip("solders", exc_type=ImportError)
    return LiteSvm(SUMMED, COUNTED_BYTES)


@pytest.fixture(scope="module")
def revm() -> Revm:
    pytest.importorskip("pyrevm", exc_type=ImportError)
    return Revm(SUMMED)


def test_programs_of_peers_are_assembled() -> None:
    assert litesvm_module.assemble("mov r0 7\nnext:\nadd r0 r1\njump_less r0 r2 next\nexit").hex(" ", 8) == (
        "b700000007000000 0f10000000000000 ad20feff00000000 9500000000000000"
    )
    assert litesvm_module.assemble(f"number r3 {0x1_0000_0002}").hex(" ", 8) == "1803000002000000 0000000001000000"
    assert revm_module.assemble("next: 0 SLOAD 1000 GT @next JUMPI").hex() == "5b6000546103e811600057"
    with pytest.raises(ValueError, match="expected an instruction, got 'mul r0 r1'"):
        litesvm_module.assemble("mul r0 r1")


def test_litesvm_does_nothing_and_counts(litesvm: LiteSvm) -> None:
    litesvm.null()
    litesvm.count()
    litesvm.count()
    assert litesvm.counted() == 2


def test_litesvm_sums(litesvm: LiteSvm) -> None:
    litesvm.sum()
    with pytest.raises(StateError, match="a program failed in LiteSVM"):
        litesvm.sum(wrong=True)


def test_litesvm_fills_with_other_words_each_time(litesvm: LiteSvm) -> None:
    filled = set()
    for _ in range(2):
        litesvm.fill()
        words = struct.unpack("<4000Q", litesvm.filled())
        assert words == tuple(range(words[0], words[0] + 4_000))
        filled.add(words[0])
    assert filled == {1, 2}


def test_revm_sums(revm: Revm) -> None:
    revm.null()
    slots = [SUMMED[at : at + SLOT_BYTES] for at in range(0, len(SUMMED), SLOT_BYTES)]
    assert revm.sum() == sum(int.from_bytes(slot, "little") for slot in slots) % 2**256


def test_revm_fills_with_other_words_each_time(revm: Revm) -> None:
    revm.fill()
    assert revm.filled() == list(range(1, 1_001))
    revm.fill()
    assert revm.filled() == list(range(2, 1_002))


def test_revm_nests_calls_and_undoes_the_one_that_fails(revm: Revm) -> None:
    revm.ping_pong(DEPTH)
    assert revm.counts() == (DEPTH // 2, DEPTH // 2)
    revm.ping_pong(DEPTH, traps=True)
    assert revm.counts() == (DEPTH, DEPTH - 1)


def test_bare_calls_are_made() -> None:
    bare_null_call()()
    for traps in (False, True):
        with closing(BarePingPong(PING_PONG["single"], depth=DEPTH, traps=traps, runs_per_store=2)) as bare:
            bare.run()
            bare.run()
            assert bare.words() == (DEPTH, DEPTH)
            bare.run()
            assert bare.words() == (DEPTH // 2, DEPTH // 2)


def test_bare_calls_with_memory_of_their_own_are_made() -> None:
    with closing(BarePingPong(PING_PONG_OWN_PAGE, depth=7, runs_per_store=1)) as bare:
        bare.run()
        assert bare.words() == (4, 3)


def test_every_linking_option_is_measured() -> None:
    assert set(PING_PONG) == set(option_names()) | set(MAP_OPTIONS)


def test_a_bare_trap_is_seen_by_the_caller() -> None:
    code = (
        PING_PONG["single"]
        .replace("(drop (call $hit", "(if (call $hit")
        .replace("(local.get $traps))))\n", "(local.get $traps)) (then (unreachable))))\n")
    )
    with closing(BarePingPong(code, depth=2)) as bare:
        bare.run()
    with closing(BarePingPong(code, depth=2, traps=True)) as bare, pytest.raises(RuntimeError, match="call failed"):
        bare.run()


@pytest.mark.parametrize("option", [*PING_PONG, "own page"])
def test_nested_calls_count_in_storage_and_a_trap_is_caught(option: str) -> None:
    if option == "aliased" and (why := why_not_shared(choose_backend(None))) is not None:
        pytest.skip(why)
    code = PING_PONG.get(option, PING_PONG_OWN_PAGE)
    with ExitStack() as stack:
        world = open_ping_pong(stack, None, code, option if option in MAP_OPTIONS else None)
        for traps, counts in ((0, (32, 32)), (1, (64, 63))):
            world.transact(PING, "hit", DEPTH - 1, traps, gas=10**12).raise_for_error()
            assert (count_of(world, PING, option), count_of(world, PONG, option)) == counts


def test_words_are_summed_filled_and_counted() -> None:
    with World() as world:
        contract = world.deploy(WORDS.format(pages=1))
        world.load_storage(contract, "memory", SUMMED)
        total = sum(WORDS_SUMMED) % 2**64
        assert world.transact(contract, "sum", len(SUMMED)).raise_for_error().value % 2**64 == total
        world.transact(contract, "fill", len(SUMMED), 7).raise_for_error()
        assert world.storage(contract)["memory"][: len(SUMMED)] == struct.pack("<4000Q", *range(7, 4_007))
        world.transact(contract, "count", 8).raise_for_error()
        assert world.storage(contract)["memory"].read_int(8) == 9


def test_words_are_bumped_alike_however_they_are_reached() -> None:
    roots = set()
    for code, link in ((BUMP_SINGLE, None), (BUMP_METHODS, "single"), (BUMP_METHODS, "methods")):
        with World() as world:
            contract = world.deploy(code, address=1, link=link)
            world.load_storage(contract, "memory", SUMMED)
            world.transact(contract, "bump", len(SUMMED), 3).raise_for_error()
            words = struct.unpack("<4000Q", world.storage(contract)["memory"][: len(SUMMED)])
            assert words == tuple((each + 3) % 2**64 for each in WORDS_SUMMED)
            roots.add(world.state_root)
    assert len(roots) == 1


def test_the_explorer_has_as_many_tries_to_make() -> None:
    assert explore(scenario_path(EXPLORED), tries=TRIES).found.tries == TRIES


@pytest.mark.skipif(why_unavailable(BACKENDS["userfaultfd"]) is not None, reason="the quick tracker does not work here")
def test_without_peers_a_world_is_measured_alone() -> None:
    comparisons = list(call_comparisons(Peers(), tracker="userfaultfd", rounds=1))
    names = [[figure.name for figure in each.figures] for each in comparisons]
    assert names[:4] == [
        ["a world", "a world that traces", "a call of a bare wasmtime function"],
        ["a world"],
        ["a world"],
        ["a world, 10 MiB", "a world, 4 GiB"],
    ]
    direct = [f"{option}, direct" for option in ("single", "regions", "methods", "keyed")]
    assert [each for each in names[4] if each not in direct] == ["bare wasmtime", *PING_PONG]
    assert [each for each in names[4] if each in direct] == direct
    assert names[5:8] == [["bare wasmtime", *PING_PONG]] * 3
    assert names[8:] == [
        ["single, written by hand", "calls of functions, run as single", "calls of functions, run as methods"],
        ["bare wasmtime, a store for each transaction", "a world", "a world that traces", "a world, direct"],
        ["plain SQLite, the same page writes", "a world in a directory", "a world in memory"],
        ["a transaction", "a try"],
    ]
    assert len({each.title for each in comparisons}) == len(comparisons)
    assert all(figure.seconds > 0 and figure.ratio > 0 for each in comparisons for figure in each.figures)


def test_peers_that_are_not_installed_are_named() -> None:
    assert Peers().absent == ("LiteSVM", "pyrevm")
