"""The re-entry explorer: at every call out to an untrusted account, what if the callee comes back?"""

from storagemod.explore.executors import LostWorkersError
from storagemod.explore.exploration import Exploration, Settings, explore
from storagemod.explore.script import Call, Ending, Reaction, Script
from storagemod.explore.search import Violation
from storagemod.explore.stopping import Stop

__all__ = [
    "Call",
    "Ending",
    "Exploration",
    "LostWorkersError",
    "Reaction",
    "Script",
    "Settings",
    "Stop",
    "Violation",
    "explore",
]
