"""Measuring: comparisons within one run, because machines are noisy and shared."""

from storagemod.bench.measure import Comparison, Figure, compare
from storagemod.bench.pages import page_comparisons

__all__ = ["Comparison", "Figure", "compare", "page_comparisons"]
