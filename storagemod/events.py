"""Events of a transaction: what the virtual machine reports, in the order in which it happens.

An observer is any callable that takes an event. Events are facts: an observer cannot change what happens, and one
that raises aborts the transaction with its own exception. Five kinds of events cost something to find out. Observers
get these only if their attribute ``wants``, a set of event classes, names them.

The machine appends *raw events*, plain tuples, to one list; :func:`decode` makes an event of a raw one when somebody
looks. A raw event has the class first and then the fields in order, with these exceptions::

    (CallStarted, ..., args, ...)               args: a tuple of values, or (types, raw)
    (CallEnded, ..., values, ...)               values: likewise
    (StorageWritten, call_id, address, pages)   pages: tuples (region, page number, old bytes, new bytes), sorted
    (StorageStored, call_id, address, stores)   stores: tuples (region, offset, old bytes, new bytes), in order
    (StorageHeldBack, call_id, address, areas)  areas: tuples (region, storage offset, loaded bytes, bytes now)

``(types, raw)`` has the value types, like ``("i32", "f64")``, and 16 bytes for each value, as wasmtime keeps them:
little-endian in the first 4 or 8 bytes. The old and new bytes of a page are 4,096 each and differ somewhere. The bytes
of an area have one length and may be equal.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, TypeAlias

from attrs import field, frozen

from storagemod.errors import StorageModError
from storagemod.pages.page import PAGE_BYTES, differing_bytes, merged_runs
from storagemod.types import WASM_PAGE_BYTES, Address, CallKind, Outcome, Value, ValueType


@frozen
class CallStarted:
    """A call starts; its callee is not yet instantiated.

    Attributes:
        call_id: Counts from 0, the top-level call, in the order of starting.
        address: The owner of the storage. With ``code_address`` it differs where foreign code runs on the caller's
            storage. Both are the new address where a contract is created.
        code_address: The owner of the code.
        method: The export that is invoked with ``args``; ``None`` where ``main`` reads ``data``.
        data: Call data, or the init code of a creation.
        reentry: How many calls of ``address`` are already active.
    """

    call_id: int
    parent_id: int | None
    depth: int
    kind: CallKind
    address: Address
    code_address: Address
    caller: Address
    method: str | None
    args: tuple[Value, ...]
    data: bytes
    value: int
    gas: int
    static: bool
    reentry: int


@frozen
class CallEnded:
    """A call ends. What it and its callees changed is kept (``OK``) or undone."""

    call_id: int
    outcome: Outcome
    values: tuple[Value, ...]
    output: bytes
    gas_used: int
    error: StorageModError | None


@frozen
class StorageModuleInstantiated:
    """A contract's storage was used for the first time in this transaction."""

    call_id: int
    address: Address
    regions: tuple[str, ...]


@frozen
class StorageChange:
    """Run of differing bytes of one region, as long as possible.

    ``offset`` is in bytes; ``old`` and ``new`` have the same length. Runs consist of whole words of 8 bytes, except in
    :class:`StorageHeldBack`. A region that grew reads as zeros beyond its old length.
    """

    region: str
    offset: int
    old: bytes = field(repr=lambda data: data.hex())
    new: bytes = field(repr=lambda data: data.hex())


@frozen
class StorageWritten:
    """The running call itself changed storage since its start, or since the last call that it made ended."""

    call_id: int
    address: Address
    changes: tuple[StorageChange, ...]


@frozen
class StorageStored:
    """The running call stored to storage since the last call that it made ended, and was re-entered before that.

    Happens where code records what it does, before the :class:`StorageWritten` of the same boundary. ``stores`` are in
    the order of time, each place once. Old and new bytes can be equal; they are those at the two boundaries. Of a store
    of more than 65,536 bytes the first ones are there.
    """

    call_id: int
    address: Address
    stores: tuple[StorageChange, ...]


@frozen
class StorageRewritten:
    """The running call wrote to pages of 4 KiB as above, and changed no byte of them. Where in a page is not known.

    Happens where code does not record, and the kernel tells which pages were written. Only observers whose ``wants``
    names it get it.
    """

    call_id: int
    address: Address
    region: str
    pages: tuple[int, ...]


@frozen
class StorageGrown:
    """A region grew. Lengths are in pages of its memory, each of ``page_bytes`` bytes: 65,536, or 1."""

    call_id: int
    address: Address
    region: str
    pages_old: int
    pages_new: int
    page_bytes: int = WASM_PAGE_BYTES


@frozen
class StorageMapped:
    """The running call mapped storage into its own memory or its window, by ``ethereum.storageMap``.

    ``option`` is the linking option that keeps the two in line; offsets and length are in bytes.
    """

    call_id: int
    address: Address
    option: str
    memory_offset: int
    storage_offset: int
    length: int


@frozen
class StorageUnmapped:
    """The running call took a mapping out of its own memory or its window, by ``ethereum.storageUnmap``."""

    call_id: int
    address: Address
    option: str
    memory_offset: int


@frozen
class StorageLoaded:
    """The running call's copy of some bytes of storage agrees with storage now.

    Happens under linking options that copy mapped storage: when a mapping is made, and when it is brought up to date.
    Only observers whose ``wants`` names it get it.
    """

    call_id: int
    address: Address
    region: str
    offset: int
    length: int


@frozen
class StorageHeldBack:
    """The running call makes another one and does not copy back first what it changed in its copies of storage.

    The old bytes of ``changes`` are those that it copied in. Only observers whose ``wants`` names it get it.
    """

    call_id: int
    address: Address
    changes: tuple[StorageChange, ...]


@frozen
class FrameRun:
    """Neighbouring frames of one region that are alike, in the frame table of a transaction.

    ``first`` is the number of the first frame, of ``frame_bytes`` each. ``dirty`` frames were written by calls, even if
    those were undone since.
    """

    address: Address
    region: str
    frame_bytes: int
    first: int
    count: int
    dirty: bool


@frozen
class PageRun:
    """Neighbouring pages of a call's memory that map neighbouring frames: the first of each, and how many."""

    page: int
    frame: int
    count: int


@frozen
class TablesShown:
    """Page table and frame table of a linking option with frames, when the running call makes another one or ends.

    ``pages`` is the page table of the call, of pages of ``frame_bytes``. Only observers whose ``wants`` names it get
    it.
    """

    call_id: int
    address: Address
    frame_bytes: int
    pages: tuple[PageRun, ...]
    frames: tuple[FrameRun, ...]


@frozen
class PagesTouched:
    """The running call was the first in the transaction to read or write some pages of 4 KiB.

    ``runs`` are page numbers: the first, and how many. Only observers whose ``wants`` names it get it, and only if the
    write tracker knows: ``userfaultfd`` does.
    """

    call_id: int
    address: Address
    region: str
    runs: tuple[tuple[int, int], ...]


@frozen
class Log:
    """Log that a contract emitted; ``topics`` are up to four, of 32 bytes each."""

    address: Address
    topics: tuple[bytes, ...]
    data: bytes


@frozen
class LogEmitted:
    """The running call emitted a log, which is removed if the call is undone."""

    call_id: int
    log: Log


@frozen
class AccountCreated:
    """The running call, whose init code is done, created a contract, which is removed if the call is undone."""

    call_id: int
    address: Address
    code: bytes = field(repr=lambda code: f"<{len(code)} bytes>")


@frozen
class AccountDestroyed:
    """The running call destroyed the account whose storage it runs on; it is removed when the transaction ends.

    The beneficiary has its balance, ``value``, from now on.
    """

    call_id: int
    address: Address
    beneficiary: Address
    value: int


@frozen
class DebugPrinted:
    """The running call printed text, by the ``debug`` functions of a world that offers them."""

    call_id: int
    text: str


Event: TypeAlias = (
    CallStarted
    | CallEnded
    | AccountCreated
    | AccountDestroyed
    | DebugPrinted
    | StorageModuleInstantiated
    | StorageWritten
    | StorageStored
    | StorageRewritten
    | StorageGrown
    | StorageMapped
    | StorageUnmapped
    | StorageLoaded
    | StorageHeldBack
    | TablesShown
    | PagesTouched
    | LogEmitted
)
Observer: TypeAlias = Callable[[Event], None]

RawEvent: TypeAlias = tuple[Any, ...]
"""Event as the machine appends it; the description of this module has the format."""

ON_DEMAND: Final = frozenset({PagesTouched, TablesShown, StorageLoaded, StorageHeldBack, StorageRewritten})
"""Events that observers get only if they want them."""

_RUN_BYTES = 64
"""About what one run of a table, or of touched pages, takes in memory."""


class Notifier:
    """Decodes raw events and calls the observers that listen to them.

    Args:
        observers: Called in this order. Their ``wants`` is read once, here.
    """

    def __init__(self, observers: Iterable[Observer]) -> None:
        self._observers = [(observer, frozenset(getattr(observer, "wants", ()))) for observer in observers]

    def __bool__(self) -> bool:
        return bool(self._observers)

    def wants(self, kind: type[Event]) -> bool:
        """Return whether an observer listens to events of this class."""
        return any(kind not in ON_DEMAND or kind in wanted for _, wanted in self._observers)

    def __call__(self, raw: RawEvent) -> None:
        """Call everyone who listens to an event.

        Raises:
            BaseException: An observer raised it.
        """
        kind = raw[0]
        listening = [observer for observer, wanted in self._observers if kind not in ON_DEMAND or kind in wanted]
        if listening:
            event = decode(raw)
            for observer in listening:
                observer(event)


def decode(raw: RawEvent) -> Event:
    """Make the event of a raw one, in time linear in its bytes."""
    decoder = _DECODERS.get(raw[0])
    event: Event = raw[0](*raw[1:]) if decoder is None else decoder(raw)
    return event


def kept_bytes(raw: RawEvent) -> int:
    """Return about how many bytes an event keeps beyond its own few fields: pages, data, output, logs, tables."""
    measure = _KEPT_BYTES.get(raw[0])
    return 0 if measure is None else measure(raw)


def _call_started(raw: RawEvent) -> CallStarted:
    fields = list(raw[1:])
    fields[8] = decoded_values(raw[9])
    return CallStarted(*fields)


def _call_ended(raw: RawEvent) -> CallEnded:
    _, call_id, outcome, values, output, gas_used, error = raw
    return CallEnded(call_id, outcome, decoded_values(values), output, gas_used, error)


def _storage_written(raw: RawEvent) -> StorageWritten:
    _, call_id, address, pages = raw
    return StorageWritten(call_id, address, tuple(_changes_of_pages(pages)))


def _changes_of_pages(pages: Iterable[tuple[str, int, bytes, bytes]]) -> Iterator[StorageChange]:
    for region, group in groupby(pages, itemgetter(0)):
        for run in merged_runs({number: (old, new) for _, number, old, new in group}):
            yield StorageChange(region, run.offset, run.old, run.new)


def _storage_stored(raw: RawEvent) -> StorageStored:
    _, call_id, address, stores = raw
    return StorageStored(call_id, address, tuple(StorageChange(*each) for each in stores))


def _storage_held_back(raw: RawEvent) -> StorageHeldBack:
    _, call_id, address, areas = raw
    return StorageHeldBack(call_id, address, tuple(_changes_of_areas(areas)))


def _changes_of_areas(areas: Iterable[tuple[str, int, bytes, bytes]]) -> Iterator[StorageChange]:
    for region, offset, loaded, now in areas:
        for start, stop in differing_bytes(loaded, now):
            yield StorageChange(region, offset + start, loaded[start:stop], now[start:stop])


def decoded_values(values: tuple[Any, ...]) -> tuple[Value, ...]:
    """Decode ``(types, raw)``; return a tuple of values as it is."""
    if len(values) == 2 and type(values[1]) is bytes:  # noqa: PLR2004 - a pair, and no value is bytes
        types, raw = values
        return _value_format(types).unpack(raw)
    return values


@lru_cache(maxsize=256)
def _value_format(types: tuple[ValueType, ...]) -> struct.Struct:
    """Return the format of values of these types, 16 bytes each."""
    return struct.Struct("<" + "".join(_VALUE_FORMATS[each] for each in types))


_VALUE_FORMATS: Final[Mapping[ValueType, str]] = {"i32": "i12x", "i64": "q8x", "f32": "f12x", "f64": "d8x"}

_DECODERS: Final[Mapping[type[Event], Callable[[RawEvent], Event]]] = {
    CallStarted: _call_started,
    CallEnded: _call_ended,
    StorageWritten: _storage_written,
    StorageStored: _storage_stored,
    StorageHeldBack: _storage_held_back,
}

_KEPT_BYTES: Final[Mapping[type[Event], Callable[[RawEvent], int]]] = {
    CallStarted: lambda raw: len(raw[10]),
    CallEnded: lambda raw: len(raw[4]),
    AccountCreated: lambda raw: len(raw[3]),
    DebugPrinted: lambda raw: len(raw[2]),
    LogEmitted: lambda raw: len(raw[2].data) + sum(map(len, raw[2].topics)),
    StorageWritten: lambda raw: 2 * PAGE_BYTES * len(raw[3]),
    StorageStored: lambda raw: 2 * sum(len(old) for _, _, old, _ in raw[3]),
    StorageRewritten: lambda raw: _RUN_BYTES * len(raw[4]),
    StorageHeldBack: lambda raw: 2 * sum(len(loaded) for _, _, loaded, _ in raw[3]),
    PagesTouched: lambda raw: _RUN_BYTES * len(raw[4]),
    TablesShown: lambda raw: _RUN_BYTES * (len(raw[4]) + len(raw[5])),
}
