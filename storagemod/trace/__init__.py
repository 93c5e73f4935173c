"""Recording a transaction as a tree of calls."""

from storagemod.trace.hazards import Hazard, HazardDetector, HazardKind
from storagemod.trace.model import CallRecord, Step, Trace
from storagemod.trace.recorder import Recorder

__all__ = ["CallRecord", "Hazard", "HazardDetector", "HazardKind", "Recorder", "Step", "Trace"]
