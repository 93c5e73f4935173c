"""Whether a call may enter a contract that is active already."""

from __future__ import annotations

from storagemod.errors import ReentryError
from storagemod.types import ReentryPolicy


def check_reentry(policy: ReentryPolicy, *, from_itself: bool, static: bool) -> None:
    """Refuse a re-entry that the callee's policy does not allow. Only for contracts that are active.

    Raises:
        ReentryError: It is refused.
    """
    allowed = {
        ReentryPolicy.ALLOW: True,
        ReentryPolicy.DENY: False,
        ReentryPolicy.SELF_ONLY: from_itself,
        ReentryPolicy.STATIC_ONLY: static,
    }[policy]
    if not allowed:
        raise ReentryError(f"re-entry refused: the contract is active, and its policy is {policy.value!r}")
