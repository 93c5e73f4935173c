"""Recording a transaction, its tree of calls, and hazards."""

from storagemod.trace.hazards import Hazard, HazardDetector, HazardKind
from storagemod.trace.model import HAZARD_EVENTS, LIGHT_BYTES, CallRecord, Recording, Step, Trace

__all__ = [
    "HAZARD_EVENTS",
    "LIGHT_BYTES",
    "CallRecord",
    "Hazard",
    "HazardDetector",
    "HazardKind",
    "Recording",
    "Step",
    "Trace",
]
