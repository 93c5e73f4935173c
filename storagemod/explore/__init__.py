"""The re-entry explorer: at every call out to an untrusted account, what if the callee comes back?"""

from storagemod.explore.caveats import Caveat
from storagemod.explore.executors import LostWorkersError
from storagemod.explore.exploration import Exploration, Settings, explore
from storagemod.explore.script import Call, Ending, Reaction, Script
from storagemod.explore.search import Violation
from storagemod.explore.stopping import Stop
from storagemod.explore.trial import Breach

__all__ = [
    "Breach",
    "Call",
    "Caveat",
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
