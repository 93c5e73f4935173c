"""The model and real worlds side by side: whatever is done, is done to all of them, and they are compared after it."""

from __future__ import annotations

import functools
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self

import attrs
import pytest

from storagemod import Contract, Receipt, Snapshot, World
from storagemod.errors import ValidationError
from storagemod.limits import GAS_MAX
from storagemod.scenario.contents import contents, preset
from storagemod.scenario.puppet import Call, Script
from storagemod.trace import HazardKind
from storagemod.types import Address, ReentryPolicy
from storagemod.vm import SLOTS_REGION
from tests.semantics import puppets

from . import linked
from .kinds import KINDS, LIMITS, PUPPET_BALANCE, PUPPETS, Kind
from .linked import SLOT
from .reference import PAGE, WASM_PAGE, Account, Prediction, ReferenceWorld

_GAS_DIVISOR = 32
"""The model has no gas, so none may be missed. A callee that traps uses up what it was given: a share of its caller's,
and no script makes half as many calls as there are shares."""


WARNINGS = {HazardKind.WRITE_AFTER_CALL, HazardKind.PAGE_WRITTEN_AGAIN}
"""Kinds of hazards that say nothing about copies."""


class SideBySide:
    """The model, and a world of each kind.

    Where only some kinds protect pages, there is a model for these and one for the others. States that are equal have
    one state root, under all kinds. It is a context manager, or to be closed: worlds may have directories.

    Args:
        kinds: The worlds.
        spare: Whether the puppets of these worlds have the region ``spare``. It must be so for all of them.
        model: What foretells them all: only where a model is itself under test.
    """

    def __init__(
        self, kinds: Sequence[Kind] = KINDS, *, spare: bool = False, model: type[ReferenceWorld] | None = None
    ) -> None:
        self._stack = ExitStack()
        self._folders = {
            kind: self._stack.enter_context(tempfile.TemporaryDirectory(prefix="storagemod-model-"))
            for kind in kinds
            if kind.durable
        }
        self.worlds = {kind: kind.open(self._folders.get(kind)) for kind in kinds}
        first = self.worlds[kinds[0]]
        self.sender = first.default_sender
        self._model_of = {kind: (model or kind.model, kind.protected) for kind in kinds}
        self.models = {
            (foreteller, protected): foreteller(
                self.sender,
                first.account(self.sender).balance,
                call_depth_max=LIMITS.call_depth_max,
                storage_pages_max=LIMITS.storage_pages_max,
                spare=spare,
                protected=protected,
            )
            for foreteller, protected in dict.fromkeys(self._model_of.values())
        }
        self._snapshots: list[tuple[list[defaultdict[Address, Account]], list[Snapshot]]] = []
        self._digests: dict[bytes, bytes] = {}
        self._roots: dict[tuple[str, bytes], bytes] = {}

    @classmethod
    def with_puppets(
        cls,
        policies: Sequence[ReentryPolicy] = (ReentryPolicy.ALLOW,) * len(PUPPETS),
        kinds: Sequence[Kind] = KINDS,
        *,
        spare: bool = False,
        model: type[ReferenceWorld] | None = None,
    ) -> SideBySide:
        """Worlds with the three puppets in them."""
        both = cls(kinds, spare=spare, model=model)
        try:
            for address, policy in zip(PUPPETS, policies, strict=True):
                both.deploy(address, PUPPET_BALANCE, policy)
        except BaseException:
            both.close()
            raise
        return both

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of all worlds, and of what is open in them."""
        while self._snapshots:
            _, snapshots = self._snapshots.pop()
            for snapshot in snapshots:
                snapshot.__exit__(None, None, None)
        for world in self.worlds.values():
            world.close()
        self._stack.close()

    def reopen(self) -> None:
        """Close the worlds that are kept in directories, and open them anew."""
        for kind, folder in self._folders.items():
            self.worlds[kind].close()
            self.worlds[kind] = kind.open(folder)
        self.compare_states()

    @property
    def model(self) -> ReferenceWorld:
        """The model of the first kind. They all have their puppets in the same places."""
        return next(iter(self.models.values()))

    @property
    def state_root(self) -> bytes:
        """The state root of the world of the first kind."""
        return next(iter(self.worlds.values())).state_root

    def deploy(self, address: Address, balance: int, policy: ReentryPolicy) -> None:
        for model in self.models.values():
            model.deploy(address, balance, policy)
        for kind, world in self.worlds.items():
            mapping = kind.model.mapping_at(address) if issubclass(kind.model, linked.SmallStorage) else None
            code, link = _puppet(kind.option)
            world.deploy(code, address=address, balance=balance, policy=policy, mapping=mapping, link=link)
        self.compare_states()

    def fund(self, address: Address, balance: int) -> None:
        for model in self.models.values():
            model.fund(address, balance)
        for world in self.worlds.values():
            world.fund(address, balance)
        self.compare_states()

    def load_storage(self, address: Address, region: str, data: bytes, offset: int) -> None:
        for model in self.models.values():
            model.load_storage(address, region, data, offset)
        for world in self.worlds.values():
            preset(world, address, region, data, offset=offset)
        self.compare_states()

    def transact(
        self, to: Address, script: Script, *, sender: Address | None = None, value: int = 0, commit: bool = True
    ) -> Prediction | None:
        """Run a transaction everywhere, and give what is foretold for the first kind.

        Where the sender cannot pay, nothing runs, and ``None`` is foretold.
        """
        sender = sender or self.sender
        predictions = {
            key: model.transact(to, script, sender=sender, value=value, commit=commit)
            if value <= model.accounts[sender].balance
            else None
            for key, model in self.models.items()
        }
        data = bytes(with_gas(script))
        for kind, world in self.worlds.items():
            predicted = predictions[self._model_of[kind]]
            run = functools.partial(world.transact if commit else world.call, to, data=data, gas=GAS_MAX)
            if predicted is None:
                with pytest.raises(ValidationError, match="cannot pay"):
                    run(sender=sender, value=value)
            else:
                receipt = run(sender=sender, value=value)
                compare_receipt(kind, predicted, receipt)
                compare_hazards(kind, predicted, receipt)
        self.compare_states()
        return next(iter(predictions.values()))

    def begin_snapshot(self) -> None:
        accounts = [model.copy_accounts() for model in self.models.values()]
        snapshots = [world.snapshot() for world in self.worlds.values()]
        for snapshot in snapshots:
            snapshot.__enter__()
        self._snapshots.append((accounts, snapshots))

    def end_snapshot(self, *, keep: bool) -> None:
        accounts, snapshots = self._snapshots.pop()
        if not keep:
            for model, before in zip(self.models.values(), accounts, strict=True):
                model.accounts = before
        for snapshot in snapshots:
            if keep:
                snapshot.keep()
            snapshot.__exit__(None, None, None)
        self.compare_states()

    @property
    def open_snapshots(self) -> int:
        return len(self._snapshots)

    def compare_states(self) -> None:
        """Every account and every byte of storage, and the state root."""
        digests = {key: model.digest() for key, model in self.models.items()}
        for kind, world in self.worlds.items():
            model = self.models[self._model_of[kind]]
            for address in {*model.accounts, *world.accounts()}:
                compare_account(kind, model.accounts[address], world, address)
            digest, root = digests[self._model_of[kind]], world.state_root
            layout = "slots" if kind.option == "keyed" else "linear"
            assert self._roots.setdefault((layout, digest), root) == root, f"{kind.name}: equal states have two roots"
            assert self._digests.setdefault(root, digest) == digest, f"{kind.name}: two states have one root"


def compare_receipt(where: Kind, predicted: Prediction, receipt: Receipt) -> None:
    """Check one receipt, the parts that tell most first."""
    kind = where.name
    assert receipt.outcome is predicted.outcome, f"{kind}: outcome, {receipt.error}"
    assert receipt.output == predicted.output, f"{kind}: output"
    logs = tuple((log.address, log.topics, log.data) for log in receipt.logs)
    assert logs == predicted.logs, f"{kind}: logs"
    changes = {address: tuple(map(attrs.astuple, runs)) for address, runs in receipt.changes.items()}
    if where.option == "keyed":  # where bytes of its table change is its own affair
        assert changes.keys() == predicted.changes.keys(), f"{kind}: changes"
        assert {region for runs in changes.values() for region, *_ in runs} <= {SLOTS_REGION}, f"{kind}: changes"
    else:
        assert changes == predicted.changes, f"{kind}: changes"
    assert receipt.ok is (receipt.error is None), f"{kind}: error"


def compare_hazards(kind: Kind, predicted: Prediction, receipt: Receipt) -> None:
    """Check that there is an explanation of what went wrong, and none where nothing can go wrong."""
    if receipt.trace is not None:
        found = {hazard.kind for hazard in receipt.trace.hazards} - WARNINGS
        if not issubclass(kind.model, linked.Stale):
            assert not found, f"{kind.name}: hazards"
        assert found or not predicted.astray, f"{kind.name}: hazards"
        lost = [
            (hazard.address, hazard.offset + at, *pair)
            for hazard in receipt.trace.hazards
            if hazard.kind is HazardKind.LOST_UPDATE
            for at, pair in enumerate(zip(hazard.old, hazard.new, strict=True))
        ]
        assert sorted(lost) == sorted(predicted.lost), f"{kind.name}: lost updates"


def compare_account(kind: Kind, expected: Account, world: World, address: Address) -> None:
    """Check one account and its storage."""
    account = world.account(address)
    where = f"{kind.name}: {address}"
    assert account.nonce == expected.nonce, f"{where}: nonce"
    assert account.balance == expected.balance, f"{where}: balance"
    assert bool(account.code) is bool(expected.regions), f"{where}: code"
    if account.code:
        storage = contents(world, address)
        if kind.option == "keyed":
            assert {*storage} == {SLOTS_REGION, *expected.regions}, f"{where}: regions"
            compare_slots(where, expected, world, address)
            return
        used = {name for name, view in storage.items() if view.pages or name in expected.regions}
        assert used == {*expected.regions}, f"{where}: regions"
        for name, region in expected.regions.items():
            assert len(storage[name]) == region.length, f"{where}: length of {name}"
            assert storage[name][:] == bytes(region.memory), f"{where}: bytes of {name}"


def compare_slots(where: str, expected: Account, world: World, address: Address) -> None:
    """Check keyed storage: that it has these entries and no others, and that they read as linear storage."""
    memory = bytes(expected.regions["memory"].memory)
    slots = {
        at: memory[at : at + SLOT]
        for page in range(0, WASM_PAGE, PAGE)
        if memory[page : page + PAGE].strip(b"\0")
        for at in range(page, page + PAGE, SLOT)
        if memory[at : at + SLOT] != bytes(SLOT)
    }
    keys = {(at // SLOT).to_bytes(SLOT, "big"): slot for at, slot in slots.items()}
    assert dict(world.slots(address)) == keys, f"{where}: bytes of slots"
    view = contents(world, address)["memory"]
    assert view.pages == 1, f"{where}: length of memory"
    for at, slot in slots.items():
        assert view[at : at + SLOT] == slot, f"{where}: bytes of memory"


def with_gas(script: Script, gas: int = GAS_MAX) -> Script:
    """The script with its calls given so much gas that there is enough for whatever comes after they fail."""
    share = gas // _GAS_DIVISOR
    operations = [
        attrs.evolve(each, gas=share, data=with_gas(each.data, share) if isinstance(each.data, Script) else each.data)
        if isinstance(each, Call)
        else each
        for each in script.operations
    ]
    assert sum(isinstance(each, Call) for each in operations) <= _GAS_DIVISOR // 2
    return Script(*operations)


@functools.cache
def _puppet(option: str) -> tuple[bytes, str | None]:
    """Return the code of puppets, and what it is linked as."""
    source = puppets.linked("puppet/puppet", option)
    return Contract.load(source["code"], name="puppet").code, source.get("link")
