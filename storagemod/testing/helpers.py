"""Context managers for tests: expect failures, check for hazards, roll back changes. They work without the plugin."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from storagemod.errors import LinkError, ScenarioError, StateError, StorageModError, ValidationError
from storagemod.testing.recording import describe, expect
from storagemod.watch import listening, recording

if TYPE_CHECKING:
    from storagemod.trace import Hazard, HazardKind
    from storagemod.world import Receipt, World


_NOT_STARTED = (ValidationError, LinkError, StateError, ScenarioError)
"""Errors raised where nothing was run. In a receipt they are failures like others: a contract can cause them."""


class Failure:
    """Failures that :func:`reverts` recorded, complete after its block.

    Attributes:
        receipts: Every transaction and call of the block, in order.
        errors: The errors of failed transactions, and the error that ended the block.
    """

    def __init__(self) -> None:
        self.receipts: list[Receipt] = []
        self.errors: list[StorageModError] = []

    @property
    def receipt(self) -> Receipt:
        """Receipt of the last failed transaction.

        Raises:
            LookupError: No transaction failed. A transaction that cannot start has no receipt.
        """
        for receipt in reversed(self.receipts):
            if not receipt.ok:
                return receipt
        raise LookupError("no transaction of this block failed")

    @property
    def error(self) -> StorageModError:
        """Error of the last failed transaction.

        Raises:
            LookupError: No transaction failed.
        """
        if not self.errors:
            raise LookupError("no transaction of this block failed")
        return self.errors[-1]


@contextmanager
def reverts(
    match: str | None = None,
    *,
    contract: str | None = None,
    depth: int | None = None,
    kind: type[StorageModError] = StorageModError,
) -> Iterator[Failure]:
    """Check that transactions in a ``with`` block fail and so are undone, whether by a revert, a trap or lack of gas.

    At least one transaction must fail. The error of each failed transaction, or one of its causes, must match all
    arguments. Errors raised in the block, such as by ``receipt.raise_for_error()``, end it and count as well.

    A transaction that cannot start does not count, and its error leaves the block as it is: a misspelt method, a wrong
    argument, a sender that cannot pay, a closed world. Only ``kind=ValidationError``, ``LinkError`` or ``StateError``
    expects one.

    Args:
        match: A regular expression to find in the message with ``re.search``.
        contract: The name of the contract that failed.
        depth: The depth of the call that failed; 1 is the top-level call.
        kind: The class of the error, such as ``RevertError`` for reverts by a contract.

    Raises:
        AssertionError: No transaction failed, or one failed differently.
        StorageModError: A transaction could not start.
    """
    __tracebackhide__ = True
    seen = Failure()

    def record(receipt: Receipt) -> None:
        seen.receipts.append(receipt)
        if receipt.error is not None:
            seen.errors.append(receipt.error)

    with listening(record):
        try:
            yield seen
        except StorageModError as error:
            if not any(error is known for known in seen.errors):
                if isinstance(error, _NOT_STARTED) and not issubclass(kind, _NOT_STARTED):
                    raise
                seen.errors.append(error)
    wanted = _wanted(match, contract, depth, kind)
    if not seen.errors:
        ran = f"{len(seen.receipts)} ran" if seen.receipts else "none ran"
        raise AssertionError(f"no transaction failed ({ran}); wanted: {wanted}")
    for found in seen.errors:
        if not any(_fits(each, match, contract, depth, kind) for each in _chain(found)):
            errors = "\n  because of ".join(f"{type(each).__name__}: {each}" for each in _chain(found))
            raise AssertionError(f"a transaction failed otherwise\nwanted: {wanted}\nfound: {errors}")
    for receipt in seen.receipts:
        expect(receipt)


@contextmanager
def no_hazards(*, allow: HazardKind | str | tuple[HazardKind | str, ...] = ()) -> Iterator[None]:
    """Check that transactions in a ``with`` block have no re-entry hazards.

    Hazards of undone calls count, since they may be why the calls failed. Code records what it does in the block, so
    stores that change nothing are seen as well.

    Args:
        allow: Kinds that are allowed: ``stale read``, ``lost update``, ``torn mapping``, ``write after call``, ``page
            written again``.

    Raises:
        AssertionError: There are hazards, or a world keeps no traces to find them in.
        ValueError: A kind of ``allow`` is unknown.
    """
    from storagemod.trace import HazardKind  # noqa: PLC0415 - heavy, and now it is used

    __tracebackhide__ = True
    allowed = {HazardKind(kind) for kind in ((allow,) if isinstance(allow, str) else allow)}
    receipts: list[Receipt] = []
    with listening(receipts.append), recording():
        yield
    for number, receipt in enumerate(receipts, 1):
        if receipt.trace is None:
            raise AssertionError("hazards are found in traces, and a world of this block keeps none")
        found = [hazard for hazard in receipt.trace.hazards if hazard.kind not in allowed]
        if found:
            where = f"transaction {number} of {len(receipts)} in this block{describe(receipt)}"
            raise AssertionError(f"{_count(found)}\n{where}")


@contextmanager
def undone(*worlds: World) -> Iterator[None]:
    """Roll back worlds at the end of a ``with`` block, for example after each example of Hypothesis."""
    with ExitStack() as stack:
        for world in worlds:
            stack.enter_context(world.snapshot())
        yield


def _chain(error: StorageModError) -> Iterator[StorageModError]:
    """Yield an error and its causes."""
    each: BaseException | None = error
    while isinstance(each, StorageModError):
        yield each
        each = each.cause


def _fits(
    error: StorageModError, match: str | None, contract: str | None, depth: int | None, kind: type[StorageModError]
) -> bool:
    return (
        isinstance(error, kind)
        and (match is None or re.search(match, str(error)) is not None)
        and contract in {None, error.contract}
        and depth in {None, error.depth}
    )


def _wanted(match: str | None, contract: str | None, depth: int | None, kind: type[StorageModError]) -> str:
    parts = [
        "a failure" if kind is StorageModError else f"a {kind.__name__}",
        None if contract is None else f"of {contract}",
        None if depth is None else f"at call depth {depth}",
        None if match is None else f"whose message matches {match!r}",
    ]
    return " ".join(part for part in parts if part is not None)


def _count(hazards: list[Hazard]) -> str:
    kinds = [hazard.kind.value for hazard in hazards]
    return ", ".join(
        f"{kinds.count(kind)} {kind}{'' if kinds.count(kind) == 1 else 's'}" for kind in dict.fromkeys(kinds)
    )
