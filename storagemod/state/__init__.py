"""Committed state: accounts, images, the page stores that keep them, and marks to go back to."""

from storagemod.state.account import BALANCE_MAX, NO_ACCOUNT, NONCE_MAX, Account
from storagemod.state.changes import ChangeSet
from storagemod.state.committed import CommittedRegion, account_digest
from storagemod.state.journal import AccountJournal
from storagemod.state.memory_store import MemoryPageStore
from storagemod.state.store import PageStore
from storagemod.state.world_state import Mark, WorldState

__all__ = [
    "BALANCE_MAX",
    "NONCE_MAX",
    "NO_ACCOUNT",
    "Account",
    "AccountJournal",
    "ChangeSet",
    "CommittedRegion",
    "Mark",
    "MemoryPageStore",
    "PageStore",
    "WorldState",
    "account_digest",
]
