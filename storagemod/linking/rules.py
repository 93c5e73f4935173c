"""What calls end with that break a rule of storage. The texts are the same however it was found."""

from __future__ import annotations

from storagemod.errors import TrapError


def static_write() -> TrapError:
    """What a static call that changes storage ends with (rule 6)."""
    return TrapError("a static call wrote storage", code="static_write")


def static_growth(region: str) -> TrapError:
    """What a static call that grows storage ends with (rule 6)."""
    return TrapError(f'a static call grew storage region "{region}"', code="static_write")


def outside_region() -> TrapError:
    """What an access beyond the length of a region ends with, where an undone growth left memory there (rule 5)."""
    return TrapError(
        "out of bounds storage access: beyond the length of the region, where an undone growth had been",
        code="memory_out_of_bounds",
    )
