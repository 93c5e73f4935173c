"""What a transaction made the host do."""

from __future__ import annotations

from attrs import frozen


@frozen
class Costs:
    """Counts of one transaction, calls that were undone included.

    Attributes:
        instances: Instances made: of contracts, one for each call, and of storage modules.
        host_calls: Calls from contracts into the host.
        bytes_copied: Bytes that the host copied out of and into storage for contracts.
        pages_written: Pages of 4 KiB that differ at the end; those are committed.
    """

    instances: int = 0
    host_calls: int = 0
    bytes_copied: int = 0
    pages_written: int = 0
