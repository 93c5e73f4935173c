"""Committed state: accounts, images, the page store that keeps them, and marks to go back to."""

from storagemod.state.account import BALANCE_MAX, NO_ACCOUNT, Account
from storagemod.state.journal import AccountJournal
from storagemod.state.store import ChangeSet, MemoryPageStore, PageStore, account_digest
from storagemod.state.world_state import Mark, WorldState

__all__ = [
    "BALANCE_MAX",
    "NO_ACCOUNT",
    "Account",
    "AccountJournal",
    "ChangeSet",
    "Mark",
    "MemoryPageStore",
    "PageStore",
    "WorldState",
    "account_digest",
]
