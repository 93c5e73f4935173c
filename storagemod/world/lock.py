"""One thing at a time for a world."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from storagemod.errors import StateError
from storagemod.interruption import interruption


class WorldLock:
    """Lets one thing at a time be done to a world, from any thread of its own process, until it is closed.

    Whatever is done is a section: no signal breaks it off, and what a handler raises comes out of :meth:`release`.

    Attributes:
        closed: Whether nothing may be done any more.
    """

    def __init__(self, *, read_only: bool) -> None:
        self.closed = False
        self._read_only = read_only
        self._busy = threading.Lock()
        self._process = os.getpid()

    def acquire(self, *, writing: bool = False) -> None:
        """Begin to do something to the world; :meth:`release` ends it.

        Raises:
            StateError: It cannot be done, or not now.
        """
        interruption.hold()
        try:
            self._take(writing=writing)
        except BaseException:
            interruption.release()
            raise

    def _take(self, *, writing: bool) -> None:
        if self.closed:
            raise StateError("the world is closed")
        if os.getpid() != self._process:
            raise StateError(
                f"the world belongs to process {self._process}, and this is a fork of it",
                hint="make or open a world in each process",
            )
        if writing and self._read_only:
            raise StateError("the world was opened to be read only", hint="call() works; it never commits")
        if not self._busy.acquire(blocking=False):
            raise StateError(
                "a transaction is open on this world already",
                hint="a world runs one at a time: wait for it, or use a world for each thread",
            )

    def release(self) -> None:
        """End what :meth:`acquire` began.

        Raises:
            BaseException: A signal handler raised it meanwhile.
        """
        self._busy.release()
        interruption.release()

    @contextmanager
    def held(self, *, writing: bool = False) -> Iterator[None]:
        """Do something to the world for the length of a ``with`` block.

        Raises:
            StateError: It cannot be done, or not now.
        """
        self.acquire(writing=writing)
        try:
            yield
        finally:
            self.release()
