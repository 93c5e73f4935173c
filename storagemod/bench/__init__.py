"""Measuring: comparisons within one run, because machines are noisy and shared."""

from storagemod.bench.calls import INSTALL_PEERS, Peers, call_comparisons
from storagemod.bench.measure import NOISE_MAX, Comparison, Figure, compare
from storagemod.bench.pages import page_comparisons

__all__ = [
    "INSTALL_PEERS",
    "NOISE_MAX",
    "Comparison",
    "Figure",
    "Peers",
    "call_comparisons",
    "compare",
    "page_comparisons",
]
