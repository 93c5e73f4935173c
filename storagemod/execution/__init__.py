"""Running transactions: calls inside one another, checkpoints, re-entry, gas."""

from storagemod.execution.message import Answer, Message
from storagemod.execution.transaction import Transaction

__all__ = ["Answer", "Message", "Transaction"]
