"""Recording a transaction, its tree of calls, and hazards."""

from storagemod.trace.hazards import Hazard, HazardDetector, HazardKind
from storagemod.trace.model import LIGHT_BYTES, CallRecord, Recording, Step, Trace

__all__ = ["LIGHT_BYTES", "CallRecord", "Hazard", "HazardDetector", "HazardKind", "Recording", "Step", "Trace"]
