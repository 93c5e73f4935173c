"""Recording a transaction, its tree of calls, and hazards."""

from storagemod.trace.hazards import Hazard, HazardDetector, HazardKind
from storagemod.trace.model import HAZARD_EVENTS, LIGHT_BYTES, CallRecord, EventLog, Step, Trace
from storagemod.trace.recording import (
    BY_HOST,
    BY_HOST_MAPPED,
    CALLED,
    MAPPED,
    SHOWN,
    Access,
    Comparison,
    Mark,
    Range,
    RecordedCall,
    RecordedCode,
    Recording,
    decode_accesses,
)

__all__ = [
    "BY_HOST",
    "BY_HOST_MAPPED",
    "CALLED",
    "HAZARD_EVENTS",
    "LIGHT_BYTES",
    "MAPPED",
    "SHOWN",
    "Access",
    "CallRecord",
    "Comparison",
    "EventLog",
    "Hazard",
    "HazardDetector",
    "HazardKind",
    "Mark",
    "Range",
    "RecordedCall",
    "RecordedCode",
    "Recording",
    "Step",
    "Trace",
    "decode_accesses",
]
