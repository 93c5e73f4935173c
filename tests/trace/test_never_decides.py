"""A trace, cut or whole, never decides how a transaction ends, what it costs, or what it changes."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from storagemod import Limits, Receipt, World
from storagemod.errors import ValidationError
from storagemod.types import Address
from tests.vm.test_warm import messages, with_contracts


@settings(max_examples=15, derandomize=True, database=None, deadline=None)
@given(
    sent=st.lists(st.tuples(messages(), st.sampled_from([10**8, 10**8, 10_000])), min_size=1, max_size=4),
    trace=st.sampled_from([True, "pages", "tables"]),
    mapping=st.sampled_from(["copied", "paged"]),
    trace_events_max=st.sampled_from([1, 5, 100_000]),
    trace_bytes_max=st.sampled_from([1, 10_000, 256 << 20]),
    events_before=st.booleans(),
)
def test_with_a_trace_and_without_everything_is_alike(
    sent: list[tuple[tuple[Address, bytes], int]],
    trace: Any,
    mapping: str,
    trace_events_max: int,
    trace_bytes_max: int,
    events_before: bool,
) -> None:
    limits = Limits(trace_events_max=trace_events_max, trace_bytes_max=trace_bytes_max)
    observers = [lambda _: None] if events_before else []
    worlds = [World(trace=kept, mapping=mapping, limits=limits, observers=observers) for kept in (trace, False)]
    for world in worlds:
        with_contracts(world)
    for (address, data), gas in sent:
        traced, bare = (sent_to(world, address, data, gas) for world in worlds)
        assert traced == bare  # receipts are, whatever their traces
        assert worlds[0].state_root == worlds[1].state_root


def sent_to(world: World, address: Address, data: bytes, gas: int) -> Receipt | str:
    try:
        return world.transact(address, data=data, gas=gas)
    except ValidationError as error:  # there is no `main`
        return str(error)
