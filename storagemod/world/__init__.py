"""The world that users hold: deploying, transacting, reading storage, going back."""

from storagemod.world.receipt import Receipt
from storagemod.world.snapshot import Snapshot
from storagemod.world.views import SlotsView, StorageBytes, StorageView
from storagemod.world.world import DEFAULT_SENDER, DEFAULT_SENDER_BALANCE, World

__all__ = [
    "DEFAULT_SENDER",
    "DEFAULT_SENDER_BALANCE",
    "Receipt",
    "SlotsView",
    "Snapshot",
    "StorageBytes",
    "StorageView",
    "World",
]
