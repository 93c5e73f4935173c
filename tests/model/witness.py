"""A model that notes what it meets: random histories that never meet a rule do not test it."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import ClassVar

from storagemod.scenario import puppet
from storagemod.scenario.puppet import Operation, Script
from storagemod.types import Address, CallKind, Outcome

from .reference import WASM_PAGE, Account, Call, Failed, Log, Prediction, ReferenceWorld


class Witness(ReferenceWorld):
    """Foretells what any model does, and counts events: by whether pages are protected, and name."""

    seen: ClassVar[Counter[tuple[bool, str]]] = Counter()

    def _note(self, event: str) -> None:
        self.seen[self.protected, event] += 1

    def transact(
        self, to: Address, script: Script | bytes, *, sender: Address, value: int, commit: bool = True
    ) -> Prediction:
        prediction = super().transact(to, script, sender=sender, value=value, commit=commit)
        self._note(f"a transaction ended: {prediction.outcome}")
        return prediction

    def _undo(self, accounts: defaultdict[Address, Account], logs: list[Log]) -> None:
        for address, before in accounts.items():
            after = self.accounts[address]
            if before.balance != after.balance:
                self._note("an undone call had moved value")
            for name, region in before.regions.items():
                memory = after.regions[name].memory
                if len(memory) > len(region.memory):
                    self._note("an undone call had grown storage")
                if not memory.startswith(region.memory):
                    self._note("an undone call had written")
        if len(self.logs) > len(logs):
            self._note("an undone call had emitted a log")
        super()._undo(accounts, logs)

    def _enter(self, call: Call) -> None:
        if call.depth > self.call_depth_max:
            self._note("a call was too deep")
        elif not self.accounts[call.code].regions:
            self._note("an account without code was called")
        super()._enter(call)

    def _check_reentry(self, call: Call) -> None:
        policy = self.accounts[call.address].policy
        assert call.parent is not None
        try:
            super()._check_reentry(call)
        except Failed:
            self._note(f"a re-entry was refused: {policy}")
            raise
        self._note(f"a re-entry was let in: {policy}")
        if call.parent.storage_owners.count(call.address) > 1:
            self._note("a contract was re-entered twice")

    def _transfer(self, payer: Address, payee: Address, value: int) -> None:
        if self.accounts[payer].balance < value:
            self._note("a call could not pay")
        elif self.accounts[payee].balance + value > 2**128 - 1 and payer != payee:
            self._note("a call could not be paid")
        elif value:
            self._note("a call paid")
        super()._transfer(payer, payee, value)

    def _run(self, call: Call) -> None:
        if call.kind is CallKind.DELEGATE:
            self._note("a delegate call ran")
            if call.code != call.address:
                self._note("a delegate call ran the code of another account")
        super()._run(call)

    def _end_interval(self, call: Call) -> None:
        for name, region in self.accounts[call.address].regions.items():
            before = call.storage_before[name]
            if any(region.memory[before.hole]):
                self._note("a call had written into a hole")
            if len(region.memory) > len(before.memory):
                self._note("a static call had grown storage" if call.static else "a call had grown storage")
                if before.memory[before.hole]:
                    self._note("a call had grown storage over a hole")
            if call.static and not region.memory.startswith(before.memory):
                self._note("a static call had written")
        super()._end_interval(call)

    def _step(self, call: Call, operation: Operation) -> None:
        if call.static and isinstance(operation, puppet.EmitLog):
            self._note("a static call emitted a log")
        super()._step(call, operation)

    def _bytes(self, call: Call, operation: Operation, offset: int, length: int) -> slice:
        region = self._region(call, operation)
        if offset + length > len(region.memory):
            self._note("an access left the memory")
        elif length and offset + length > region.pages * WASM_PAGE and region.memory[region.hole]:
            self._note(f"an access to a hole: {type(operation).__name__}")
        elif call.static and isinstance(operation, puppet.Store | puppet.Store8 | puppet.CopyIn):
            self._note(f"a write in a static call: {type(operation).__name__}")
        return super()._bytes(call, operation, offset, length)

    def _grow(self, memory: bytearray, pages: int) -> int:
        before = super()._grow(memory, pages)
        if before < 0:
            self._note("storage could not grow")
        return before

    def _call_out(self, call: Call, asked: puppet.Call) -> None:
        if call.static and asked.value:
            self._note("a static call sent value")
        super()._call_out(call, asked)
