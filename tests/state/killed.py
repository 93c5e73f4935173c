"""Kills processes that commit, and looks at what they left. ``python -m tests.state.killed DIRECTORY ...``

One warm process forks all the others, so that hundreds of kills take seconds. It uses a store only between forks: what
SQLite has open must not go through one.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import NoReturn

from storagemod.errors import StateError
from storagemod.pages import choose_backend
from storagemod.state import SqlitePageStore

from .histories import Model, commit, commits
from .stores import content

LOG_PAGES_MAX = 20
"""So small that flushing the log is killed as well."""

OPENING_SECONDS_MAX = 0.02
COMMIT_SECONDS_MAX = 0.002
NUMBER_BYTES = 4


def main(directory: str, synchronous: str, tracker: str, kills: int, seed: int) -> None:
    """Print a line of JSON for each kill: what had been acknowledged, and what was found."""
    chosen = random.Random(seed)  # noqa: S311 - not a secret
    settings = (Path(directory), synchronous, tracker)
    model = Model()
    for number in range(kills):
        before = model.number
        reader = Reader(settings) if number % 4 == 0 and before else None
        acknowledged = kill_a_writer(settings, chosen) or before
        if reader is not None:
            reader.leave()
        for read_only in (True, False):
            found = look(settings, model, read_only=read_only)
        print(json.dumps({"before": before, "acknowledged": acknowledged, "found": found}), flush=True)


def open_store(settings: tuple[Path, str, str], *, read_only: bool = False) -> SqlitePageStore:
    directory, synchronous, tracker = settings
    return SqlitePageStore(
        directory,
        choose_backend(tracker).image_maker(),
        synchronous=synchronous,  # type: ignore[arg-type]
        read_only=read_only,
        log_pages_max=LOG_PAGES_MAX,
    )


def look(settings: tuple[Path, str, str], model: Model, *, read_only: bool) -> int:
    """How many commits there are, after it was seen that there is all of them and nothing else."""
    try:
        store = open_store(settings, read_only=read_only)
    except StateError as error:
        if read_only and not model.number and error.message.startswith("there is no world in"):
            return 0  # it was killed while it made one
        raise
    with closing(store):
        found = commits(store)
        model.advance(found)
        assert content(store) == model.content(), f"commit {found} is not as it should be"
        assert not list(store.verify())
    return found


def kill_a_writer(settings: tuple[Path, str, str], chosen: random.Random) -> int:
    """Let a process commit until it is killed; the number of the last commit that it acknowledged, 0 if none."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(reading)
        commit_without_end(settings, writing)
    os.close(writing)
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        acknowledged = b""
        awaited = chosen.choice([0, chosen.randrange(1, 25)])  # that it is there does not hang on how quick it is
        while len(acknowledged) < awaited * NUMBER_BYTES and (more := pipe.read(NUMBER_BYTES)):
            acknowledged += more
        time.sleep(chosen.uniform(0, COMMIT_SECONDS_MAX if awaited else OPENING_SECONDS_MAX))
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        assert os.WIFSIGNALED(status), "the writer ended by itself"
        acknowledged += pipe.read()
    return int.from_bytes(acknowledged[-NUMBER_BYTES:], "little")


def commit_without_end(settings: tuple[Path, str, str], acknowledge: int) -> NoReturn:
    try:
        while True:
            store = open_store(settings)
            number = commits(store)
            for _ in range(15):
                number += 1
                commit(store, number)
                os.write(acknowledge, number.to_bytes(NUMBER_BYTES, "little"))
            store.close()
    finally:  # an error: the other side sees that nobody had to kill it
        os._exit(1)


class Reader:
    """A process that reads the world while the writer is at work and is killed."""

    def __init__(self, settings: tuple[Path, str, str]) -> None:
        ready, self._ready = os.pipe()
        self._leave, leave = os.pipe()
        self._pid = os.fork()
        if not self._pid:
            os.close(leave)
            self._read(settings)
        os.close(self._ready)
        os.close(self._leave)
        assert os.read(ready, 1) == b"!"
        os.close(ready)
        self._release = leave

    def leave(self) -> None:
        """See that it saw one state all the time."""
        os.close(self._release)
        _, status = os.waitpid(self._pid, 0)
        assert status == 0, "the reader did not see one state all the time"

    def _read(self, settings: tuple[Path, str, str]) -> NoReturn:
        status = 1
        try:
            with closing(open_store(settings, read_only=True)) as store:
                seen = content(store)
                os.write(self._ready, b"!")
                os.read(self._leave, 1)
                assert content(store) == seen
                assert not list(store.verify())
            status = 0
        finally:
            os._exit(status)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
