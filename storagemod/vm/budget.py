"""What one transaction has used of what it may use. Counted by rule, whatever the machine had kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storagemod.errors import LimitError
from storagemod.limits import Limits
from storagemod.types import CallKind
from storagemod.wasm import strip_hint

if TYPE_CHECKING:
    from storagemod.vm.frame import Frame


class Budget:
    """Counts of one transaction, calls that were undone included, and the limits that they may reach.

    Attributes:
        calls: Calls that were begun.
        instances: Instances: of contracts, one for each call, and of storage modules.
        bytes_copied: Bytes that the host copied out of and into storage for contracts.
        working_pages: Wasm pages of working memory that calls which have not ended have, and tables that stay.
    """

    __slots__ = (
        "_compile_cost",
        "_limits",
        "_memories",
        "_payload_bytes",
        "bytes_copied",
        "calls",
        "instances",
        "working_pages",
    )

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.restart()

    def restart(self) -> None:
        """Begin with nothing, for the next transaction."""
        self.calls = self.instances = self.bytes_copied = self._memories = self._payload_bytes = 0
        self._compile_cost = self.working_pages = 0

    def check_call(self, frame: Frame) -> None:
        """Check that a call may start.

        Raises:
            LimitError: It is too deep, or one too many.
        """
        limits = self._limits
        if frame.depth > limits.call_depth_max:
            raise LimitError(f"calls are nested deeper than {limits.call_depth_max:,} (call_depth_max)")
        if frame.call_id >= limits.calls_max:
            raise LimitError(f"the transaction makes more than {limits.calls_max:,} calls (calls_max)")

    def reject_data(self, frame: Frame) -> LimitError | None:
        """Return why the data or init code of a call is too long, if it is, and take it away; else count it."""
        what, limit, length = "call data", "data_bytes_max", len(frame.data)
        if frame.kind is CallKind.CREATE:
            what, limit, length = "init code", "code_bytes_max", len(frame.code)
        allowed = getattr(self._limits, limit)
        error = None
        if length > allowed:
            message = f"{length:,} bytes of {what}, and {allowed:,} are allowed ({limit})"
            error = LimitError(message, hint=strip_hint(frame.code) if frame.kind is CallKind.CREATE else None)
        else:
            try:
                self.count_payload(length)
            except LimitError as reached:
                error = reached
        if error is not None:
            frame.data = frame.code = b""  # a trace would keep it, of whatever length
        return error

    def check_output(self, output: bytes) -> bytes:
        """Return the output of a call, if it is not too long.

        Raises:
            LimitError: It is.
        """
        allowed = self._limits.data_bytes_max
        if len(output) > allowed:
            raise LimitError(f"{len(output):,} bytes of output, and {allowed:,} are allowed (data_bytes_max)")
        self.count_payload(len(output))
        return output

    def count_payload(self, length: int) -> None:
        """Count bytes that calls hand to one another.

        Raises:
            LimitError: The transaction has handed over as many as it may.
        """
        allowed = self._limits.payload_bytes_max
        if self._payload_bytes + length > allowed:
            raise LimitError(
                f"the calls of the transaction hand more than {allowed:,} bytes to one another (payload_bytes_max)"
            )
        self._payload_bytes += length

    def count_compilation(self, cost: int) -> None:
        """Count what it costs to compile code that the transaction creates, also where it was compiled before.

        Raises:
            LimitError: The transaction creates more than it may.
        """
        self._compile_cost += cost
        allowed = self._limits.created_compile_cost_max
        if self._compile_cost > allowed:
            raise LimitError(
                f"compiling what the transaction creates costs {self._compile_cost:,} units, and {allowed:,} are "
                "allowed (created_compile_cost_max)"
            )

    def count_memories(self, count: int) -> None:
        """Count linear memories that calls and storage modules have.

        Raises:
            LimitError: The transaction uses more than it may.
        """
        self._memories += count
        allowed = self._limits.memories_per_transaction_max
        if self._memories > allowed:
            raise LimitError(
                f"the transaction uses more than {allowed:,} linear memories (memories_per_transaction_max)"
            )

    def hold_pages(self, frame: Frame, pages: int) -> None:
        """Count Wasm pages of working memory that a call has more than before; :meth:`release_pages` ends that.

        Raises:
            LimitError: The calls of the transaction have more together than they may.
        """
        frame.working_pages += pages
        self.keep_pages(pages)

    def keep_pages(self, pages: int) -> None:
        """Count Wasm pages of working memory that stay until the transaction ends.

        Raises:
            LimitError: There are more together than there may be.
        """
        self.working_pages += pages
        allowed = self._limits.working_pages_max
        if self.working_pages > allowed:
            raise LimitError(
                f"the calls of the transaction have more than {allowed:,} Wasm pages of working memory together "
                "(working_pages_max)"
            )

    def release_pages(self, frame: Frame, lasting: int) -> None:
        """Take off what a call had that ended, but for so many pages that stay until the transaction ends."""
        self.working_pages -= max(frame.working_pages - lasting, 0)
        frame.working_pages = 0
