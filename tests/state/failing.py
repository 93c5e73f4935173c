"""Lets each write and sync of a world fail in turn, and looks at what is left. ``python -m tests.state.failing ...``

Started with the shim of ``faults.c`` preloaded.
"""

from __future__ import annotations

import ctypes
import json
import shutil
import sys
from contextlib import closing, suppress
from pathlib import Path

from attrs import define

from storagemod.errors import StateError
from storagemod.pages import choose_backend
from storagemod.state import SqlitePageStore

from .histories import Model, commit, commits
from .stores import content

ATTEMPTS = 7
LOG_PAGES_MAX = 12

MODELS = [Model()]
for _number in range(1, ATTEMPTS + 2):
    MODELS.append(Model())
    MODELS[-1].advance(_number)


@define
class Trial:
    """A world that commits while something fails; what it acknowledged, and how often it could not."""

    home: Path
    synchronous: str
    acknowledged: int = 0
    refused: int = 0
    went_on: int = 0
    """Commits after a refused one, without opening the world again."""

    def run(self) -> None:
        with suppress(StateError):  # of opening and closing; what is committed is looked at later
            store = self.open()
            try:
                self.commit_to(store)
            finally:
                store.close()

    def commit_to(self, store: SqlitePageStore) -> None:
        for attempt in range(ATTEMPTS):
            self.attempt(store)
            if attempt == ATTEMPTS // 2:
                self.flush_log(store)

    def attempt(self, store: SqlitePageStore) -> None:
        try:
            commit(store, self.acknowledged + 1)
        except StateError:
            self.refused += 1
            with suppress(StateError):  # it may say that it has to be opened again
                assert content(store) == MODELS[self.acknowledged].content()
            self.look_at_a_copy()
        else:
            self.acknowledged += 1
            self.went_on += self.refused > 0

    def flush_log(self, store: SqlitePageStore) -> None:
        try:
            store.flush_log()
        except StateError:
            self.refused += 1
            self.look_at_a_copy()

    def open(self, directory: Path | None = None) -> SqlitePageStore:
        return SqlitePageStore(
            directory or self.home,
            choose_backend().image_maker(),
            synchronous=self.synchronous,  # type: ignore[arg-type]
            log_pages_max=LOG_PAGES_MAX,
        )

    def look_at_a_copy(self) -> None:
        """What there would be if the process ended here."""
        copy = self.home.with_name("copy")  # where nothing fails
        shutil.copytree(self.home, copy)
        self.look(copy)
        shutil.rmtree(copy)

    def look(self, directory: Path) -> None:
        """All that was acknowledged is there, and perhaps the one that was refused after it, but none by half."""
        with closing(self.open(directory)) as store:
            found = commits(store)
            assert self.acknowledged <= found <= self.acknowledged + (self.refused > 0)
            assert content(store) == MODELS[found].content()
            assert not list(store.verify())


def main(library: str, directory: str, synchronous: str, error: int, persistent: int) -> None:
    """Print a line of JSON for each call that failed, in turn, until one run has no such call any more."""
    shim = ctypes.CDLL(library)
    home = Path(directory) / "world"
    failed, number = 1, 0
    while failed:
        number += 1
        trial = Trial(home, synchronous)
        shim.fault_arm(str(home).encode(), ctypes.c_long(number), error, persistent)
        trial.run()
        failed = shim.fault_failed()
        shim.fault_arm(b"", ctypes.c_long(0), 0, 0)
        trial.look(home)
        shutil.rmtree(home)
        print(json.dumps({"failed": failed, "refused": trial.refused, "went_on": trial.went_on}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
