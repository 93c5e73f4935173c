"""What contracts may call of the host."""

from storagemod.host.context import CallMemory, HostContext
from storagemod.host.ethereum import FUNCTIONS, NAMESPACE, EthereumFunction, Finished, u32

__all__ = ["FUNCTIONS", "NAMESPACE", "CallMemory", "EthereumFunction", "Finished", "HostContext", "u32"]
