"""Recording a transaction as a tree of calls."""

from storagemod.trace.model import CallRecord, Step, Trace
from storagemod.trace.recorder import Recorder

__all__ = ["CallRecord", "Recorder", "Step", "Trace"]
