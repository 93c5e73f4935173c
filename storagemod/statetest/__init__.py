"""State tests: vectors that list accounts, one transaction, and the accounts expected after it."""

from storagemod.statetest.run import LINK_OPTIONS, Difference, Status, VectorResult, run_vector
from storagemod.statetest.vector import Vector, VectorError, find_vectors, parse_vector, read_vector

__all__ = [
    "LINK_OPTIONS",
    "Difference",
    "Status",
    "Vector",
    "VectorError",
    "VectorResult",
    "find_vectors",
    "parse_vector",
    "read_vector",
    "run_vector",
]
