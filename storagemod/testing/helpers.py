"""Context managers for tests, with and without the plugin: what has to fail, what must not happen, what is undone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from storagemod.errors import StorageModError
from storagemod.testing.recording import describe, expect
from storagemod.watch import listening

if TYPE_CHECKING:
    from storagemod.trace import Hazard, HazardKind
    from storagemod.world import Receipt, World


class Failure:
    """What :func:`reverts` saw; worth something when its block is over.

    Attributes:
        receipts: Every transaction and call of the block, in order.
        errors: The errors of those that failed, and of one that could not start.
    """

    def __init__(self) -> None:
        self.receipts: list[Receipt] = []
        self.errors: list[StorageModError] = []

    @property
    def receipt(self) -> Receipt:
        """The last transaction that failed.

        Raises:
            LookupError: None did; one that cannot start has no receipt.
        """
        for receipt in reversed(self.receipts):
            if not receipt.ok:
                return receipt
        raise LookupError("no transaction of this block failed")

    @property
    def error(self) -> StorageModError:
        """Why the last one failed.

        Raises:
            LookupError: None did.
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
    """Check that what a ``with`` block transacts fails, and so is undone: by a revert, a trap, for want of gas, ....

    One transaction at least has to fail, and each that does has to fail as it is said: its error, or one of those that
    lay behind it, has all that is asked for. Errors that are raised, as by ``receipt.raise_for_error()`` or by a
    transaction that cannot start, end the block and count too.

    Args:
        match: A regular expression that is found in the message, as ``re.search`` finds it.
        contract: The name of the contract that failed.
        depth: The depth of the call that failed; 1 is the top-level call.
        kind: The class of the error: ``RevertError`` for those only that a contract gave up by itself.

    Raises:
        AssertionError: Nothing failed, or not as it is said.
    """
    __tracebackhide__ = True
    seen = Failure()

    def watch(receipt: Receipt) -> None:
        seen.receipts.append(receipt)
        if receipt.error is not None:
            seen.errors.append(receipt.error)

    with listening(watch):
        try:
            yield seen
        except StorageModError as error:
            if not any(error is known for known in seen.errors):
                seen.errors.append(error)
    wanted = _wanted(match, contract, depth, kind)
    if not seen.errors:
        ran = f"{len(seen.receipts)} ran" if seen.receipts else "none ran"
        raise AssertionError(f"no transaction failed ({ran}); wanted: {wanted}")
    for found in seen.errors:
        if not any(_fits(each, match, contract, depth, kind) for each in _chain(found)):
            told = "\n  because of ".join(_told(each) for each in _chain(found))
            raise AssertionError(f"a transaction failed otherwise\nwanted: {wanted}\nfound: {told}")
    for receipt in seen.receipts:
        expect(receipt)


@contextmanager
def no_hazards(*, allow: HazardKind | str | tuple[HazardKind | str, ...] = ()) -> Iterator[None]:
    """Check that re-entry did nothing to copies of storage, and nothing was written after a call that came back.

    Hazards of undone calls count: they may be why these were undone.

    Args:
        allow: Kinds that do not count: ``stale read``, ``lost update``, ``torn mapping``, ``write after call``.

    Raises:
        AssertionError: There are hazards, or a world keeps no traces, in which they would be.
        ValueError: There is no such kind.
    """
    from storagemod.trace import HazardKind  # noqa: PLC0415 - heavy, and now it is used

    __tracebackhide__ = True
    allowed = {HazardKind(kind) for kind in ((allow,) if isinstance(allow, str) else allow)}
    receipts: list[Receipt] = []
    with listening(receipts.append):
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
    """Undo at the end of a ``with`` block what happened to worlds in it: for each example of Hypothesis, say."""
    with ExitStack() as stack:
        for world in worlds:
            stack.enter_context(world.snapshot())
        yield


def _chain(error: StorageModError) -> Iterator[StorageModError]:
    """An error and those that lay behind it."""
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


def _told(error: StorageModError) -> str:
    return f"{type(error).__name__}: {error}"


def _count(hazards: list[Hazard]) -> str:
    kinds = [hazard.kind.value for hazard in hazards]
    return ", ".join(
        f"{kinds.count(kind)} {kind}{'' if kinds.count(kind) == 1 else 's'}" for kind in dict.fromkeys(kinds)
    )
