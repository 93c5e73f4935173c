"""The model and real worlds side by side: whatever is done, is done to all of them, and they are compared after it."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from contextlib import ExitStack
from copy import deepcopy

import attrs
import pytest

from storagemod import Contract, Limits, Receipt, Snapshot, World
from storagemod.errors import ValidationError
from storagemod.limits import GAS_MAX
from storagemod.scenario.fixtures import fixture
from storagemod.scenario.puppet import Call, Script
from storagemod.types import Address, ReentryPolicy

from .reference import Account, Prediction, ReferenceWorld

OPTIONS = ("single", "regions", "methods")

LIMITS = Limits(call_depth_max=5, storage_pages_max=4)
"""Small, so that they are reached."""

PUPPETS = (Address(0xA), Address(0xB), Address(0xC))
EMPTY = Address(0xE)
"""An account without code."""
LATE = Address(0xF)
"""An account without code, until a puppet is deployed there."""

PUPPET_BALANCE = 1_000

_GAS_DIVISOR = 32
"""The model has no gas, so none may be missed. A callee that traps uses up what it was given: a share of its caller's,
and no script makes half as many calls as there are shares."""


class SideBySide:
    """The model, and a world for each linking option."""

    def __init__(self, options: Sequence[str] = OPTIONS, *, spare: bool = False) -> None:
        self.spare = spare
        self.worlds = {option: World(limits=LIMITS, trace=option == "single") for option in options}
        first = next(iter(self.worlds.values()))
        self.sender = first.default_sender
        self.model = ReferenceWorld(
            self.sender,
            first.account(self.sender).balance,
            call_depth_max=LIMITS.call_depth_max,
            storage_pages_max=LIMITS.storage_pages_max,
            spare=spare,
        )
        self._snapshots: list[tuple[dict[Address, Account], list[Snapshot]]] = []
        self._digests: dict[tuple[str, bytes], bytes] = {}
        self._roots: dict[tuple[str, bytes], bytes] = {}

    @classmethod
    def with_puppets(
        cls,
        policies: Sequence[ReentryPolicy] = (ReentryPolicy.ALLOW,) * len(PUPPETS),
        options: Sequence[str] = OPTIONS,
        *,
        spare: bool = False,
    ) -> SideBySide:
        """Worlds with the three puppets in them."""
        both = cls(options, spare=spare)
        for address, policy in zip(PUPPETS, policies, strict=True):
            both.deploy(address, PUPPET_BALANCE, policy)
        return both

    def deploy(self, address: Address, balance: int, policy: ReentryPolicy) -> None:
        self.model.deploy(address, balance, policy)
        for option, world in self.worlds.items():
            world.deploy(_puppet(option), address=address, balance=balance, policy=policy)
        self.compare_states()

    def fund(self, address: Address, balance: int) -> None:
        self.model.fund(address, balance)
        for world in self.worlds.values():
            world.fund(address, balance)
        self.compare_states()

    def load_storage(self, address: Address, region: str, data: bytes, offset: int) -> None:
        self.model.load_storage(address, region, data, offset)
        for world in self.worlds.values():
            world.load_storage(address, region, data, offset=offset)
        self.compare_states()

    def transact(
        self, to: Address, script: Script, *, sender: Address | None = None, value: int = 0, commit: bool = True
    ) -> Prediction | None:
        """Run a transaction everywhere, and give what the model foretold; ``None`` if the sender cannot pay."""
        sender = sender or self.sender
        data = bytes(with_gas(script))
        predicted = None
        if value <= self.model.accounts[sender].balance:
            predicted = self.model.transact(to, script, sender=sender, value=value, commit=commit)
        for option, world in self.worlds.items():
            run = world.transact if commit else world.call
            if predicted is None:
                with pytest.raises(ValidationError, match="cannot pay"):
                    run(to, data=data, sender=sender, value=value, gas=GAS_MAX)
            else:
                compare_receipt(option, predicted, run(to, data=data, sender=sender, value=value, gas=GAS_MAX))
        self.compare_states()
        return predicted

    def begin_snapshot(self) -> None:
        snapshots = [world.snapshot() for world in self.worlds.values()]
        for snapshot in snapshots:
            snapshot.__enter__()
        self._snapshots.append((deepcopy(self.model.accounts), snapshots))

    def end_snapshot(self, *, keep: bool) -> None:
        accounts, snapshots = self._snapshots.pop()
        if not keep:
            self.model.accounts = accounts
        for snapshot in snapshots:
            with ExitStack() as stack:
                stack.push(snapshot)
                if keep:
                    snapshot.keep()
        self.compare_states()

    @property
    def open_snapshots(self) -> int:
        return len(self._snapshots)

    def compare_states(self) -> None:
        """Every account and every byte of storage, and the state root."""
        for option, world in self.worlds.items():
            for address in {*self.model.accounts, *world.accounts()}:
                compare_account(option, self.model.accounts[address], world, address)
        digest = self.model.digest()
        for option, world in self.worlds.items():
            # One root for all options, but where a region is in use that only one of them has.
            scope = option if self.spare else ""
            root = world.state_root
            assert self._roots.setdefault((scope, digest), root) == root, f"{option}: equal states have two roots"
            assert self._digests.setdefault((scope, root), digest) == digest, f"{option}: two states have one root"


def compare_receipt(option: str, predicted: Prediction, receipt: Receipt) -> None:
    """Check one receipt, the parts that tell most first."""
    assert receipt.outcome is predicted.outcome, f"{option}: outcome, {receipt.error}"
    assert receipt.output == predicted.output, f"{option}: output"
    logs = tuple((log.address, log.topics, log.data) for log in receipt.logs)
    assert logs == predicted.logs, f"{option}: logs"
    changes = {address: tuple(map(attrs.astuple, runs)) for address, runs in receipt.changes.items()}
    assert changes == predicted.changes, f"{option}: changes"
    assert receipt.ok is (receipt.error is None), f"{option}: error"


def compare_account(option: str, expected: Account, world: World, address: Address) -> None:
    """Check one account and its storage."""
    account = world.account(address)
    where = f"{option}: {address}"
    assert account.nonce == expected.nonce, f"{where}: nonce"
    assert account.balance == expected.balance, f"{where}: balance"
    assert bool(account.code) is bool(expected.regions), f"{where}: code"
    if account.code:
        storage = world.storage(address)
        used = {name for name, view in storage.items() if view.pages or name in expected.regions}
        assert used == {*expected.regions}, f"{where}: regions"
        for name, region in expected.regions.items():
            assert storage[name].pages == region.pages, f"{where}: length of {name}"
            assert storage[name][:] == bytes(region.memory), f"{where}: bytes of {name}"


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
def _puppet(option: str) -> bytes:
    return Contract.load(fixture("puppet/puppet", option), name="puppet").code
