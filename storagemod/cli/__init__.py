"""The command ``storagemod``: parse, call, print."""

from storagemod.cli.main import main

__all__ = ["main"]
