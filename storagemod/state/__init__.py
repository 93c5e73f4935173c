"""Committed state: accounts, images, the page stores that keep them, and savepoints."""

from storagemod.state.account import (
    BALANCE_MAX,
    NO_ACCOUNT,
    NONCE_MAX,
    Account,
    AccountJournal,
    account_digest,
    created_address,
)
from storagemod.state.comparison import account_differences, region_differences
from storagemod.state.portable import Contents, backup_state, export_state, import_state
from storagemod.state.sqlite_store import Damage, SqlitePageStore, what_is_left
from storagemod.state.store import ChangeSet, CommittedRegion, MemoryPageStore, PageStore, Savepoint, WorldState

__all__ = [
    "BALANCE_MAX",
    "NONCE_MAX",
    "NO_ACCOUNT",
    "Account",
    "AccountJournal",
    "ChangeSet",
    "CommittedRegion",
    "Contents",
    "Damage",
    "MemoryPageStore",
    "PageStore",
    "Savepoint",
    "SqlitePageStore",
    "WorldState",
    "account_differences",
    "account_digest",
    "backup_state",
    "created_address",
    "export_state",
    "import_state",
    "region_differences",
    "what_is_left",
]
