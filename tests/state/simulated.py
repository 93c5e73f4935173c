"""Simulates disks that fail, by seed, and opens what they leave. ``python -m tests.state.simulated LIBRARY ...``

Started with the shim of ``faults.c`` preloaded, which lets calls fail, shortens them, and records what was written and
synced. From each record disks are made as they may be at some instant: as a killed process leaves them; as a loss of
power leaves them, with any part of what was not synced; or with a bit that turned over. Whatever happened, the next
opening shows one committed state with all that was acknowledged, or it says why not.
"""

from __future__ import annotations

import ctypes
import json
import os
import random
import shutil
import struct
import sys
import time
from contextlib import closing, suppress
from pathlib import Path
from unittest.mock import patch

from attrs import define, field

from storagemod.errors import StateError
from storagemod.pages import choose_backend
from storagemod.state import SqlitePageStore
from storagemod.state import sqlite_store as store_module

from .histories import Model, commit, commits
from .stores import content

ATTEMPTS = 10
LOG_PAGES_MAX = 12
OVERLAY_PAGES_MAX = 4
DISKS = 6
"""Disks that are made from each record."""

SECTOR_BYTES = 512

MODELS = [Model()]
for _number in range(1, ATTEMPTS * 2):
    MODELS.append(Model())
    MODELS[-1].advance(_number)


@define
class Operation:
    """What was done to a file."""

    kind: str
    path: str
    offset: int
    data: bytes


def read_record(file: Path) -> list[Operation]:
    data, at, found = file.read_bytes(), 0, []
    while at < len(data):
        kind, of_path = struct.unpack_from("<ci", data, at)
        at += 5 + of_path
        path = data[at - of_path : at].decode()
        offset, length = struct.unpack_from("<qq", data, at)
        at += 16 + length
        found.append(Operation(kind.decode(), path, offset, data[at - length : at]))
    return found


@define
class File:
    """A file: operations that are on the disk for certain, and others."""

    operations: list[tuple[Operation, bool]] = field(factory=list)
    named: bool = False
    """Whether its name is on the disk for certain."""

    def note(self, operation: Operation) -> None:
        self.operations.append((operation, False))

    def sync(self) -> None:
        self.operations = [(each, True) for each, _ in self.operations]
        self.named = True

    def fail_to_sync(self) -> None:
        """Systems drop what they could not write, and no later sync brings it to the disk."""
        self.operations = [(each if safe else Operation("?" + each.kind, each.path, each.offset, each.data), safe)
                           for each, safe in self.operations]  # fmt: skip

    def bytes(self, chosen: random.Random | None) -> bytes:
        """Its content; with ``chosen``, after a loss of power."""
        data = bytearray()
        keeps = 1.0 if chosen is None else chosen.choice([0.0, 0.5, 0.9])
        for operation, safe in self.operations:
            doubtful = operation.kind.startswith("?")
            piece = operation.data
            if chosen is not None and (doubtful or not safe):
                if chosen.random() >= keeps:
                    continue
                if operation.kind.endswith("w") and chosen.random() < 0.1:
                    piece = piece[: chosen.randrange(len(piece) // SECTOR_BYTES + 1) * SECTOR_BYTES]
            _apply(data, operation.kind[-1], operation.offset, piece)
        return bytes(data)


def _apply(data: bytearray, kind: str, offset: int, piece: bytes) -> None:
    if kind == "n":
        data.clear()
    elif kind == "t":
        del data[offset:]
        data.extend(bytes(offset - len(data)))
    elif kind in "wh":
        if kind == "h":
            piece = bytes(min(int.from_bytes(piece, "little"), max(len(data) - offset, 0)))
        if len(data) < offset + len(piece):
            data.extend(bytes(offset + len(piece) - len(data)))
        data[offset : offset + len(piece)] = piece


@define
class Disk:
    """The files of a directory at some instant of a record."""

    files: dict[str, File] = field(factory=dict)
    acknowledged: int = 0

    def do(self, operation: Operation) -> None:
        kind, path = operation.kind, operation.path
        if kind == "a":
            self.acknowledged = operation.offset
        elif kind == "r":
            self.files[operation.data.decode()] = self.files.pop(path)
        elif kind == "u":
            self.files.pop(path, None)
        elif kind in "sx":
            if path in self.files:
                self.files[path].sync() if kind == "s" else self.files[path].fail_to_sync()
            elif kind == "s":  # a directory
                for name, file in self.files.items():
                    file.named |= os.path.dirname(name) == path  # noqa: PTH120 - text
        else:
            file = self.files.setdefault(path, File())
            if kind != "c":
                file.note(operation)

    def make(self, home: Path, directory: Path, chosen: random.Random | None) -> None:
        """Write the files into a new directory."""
        (directory / "images").mkdir(parents=True)
        for name, file in self.files.items():
            if name.endswith("-shm") or (chosen is not None and not file.named and chosen.random() < 0.5):
                continue
            (directory / Path(name).relative_to(home)).write_bytes(file.bytes(chosen))


@define
class Simulation:
    """One seed: a world that commits on a failing disk, and the disks that it may leave."""

    shim: ctypes.CDLL
    place: Path
    seed: int
    acknowledged: int = 0
    attempted: int = 0
    counts: dict[str, int] = field(factory=dict)

    def run(self) -> dict[str, int]:
        chosen = random.Random(self.seed)  # noqa: S311 - not a secret
        synchronous = chosen.choice(["full", "normal"])
        failing, short = chosen.choice([(0, 0), (0, 30), (3, 0), (20, 20), (100, 50)])
        home, record = self.place / "world", self.place / "record"
        with record.open("wb") as file:
            self.shim.fault_simulate(str(home).encode(), ctypes.c_uint64(self.seed), failing, short, file.fileno())
            try:
                self.work(home, synchronous, chosen)
            finally:
                self.counts["failed"] = self.shim.fault_failed()
                self.shim.fault_arm(b"", ctypes.c_long(0), 0, 0)
        operations = read_record(record)
        for number in range(DISKS):
            instant = chosen.randrange(len(operations) + 1) if number else len(operations)
            disk = Disk()
            for operation in operations[:instant]:
                disk.do(operation)
            how = chosen.choice(["killed", "power", "flipped"])
            copy = self.place / f"disk-{number}"
            disk.make(home, copy, chosen if how == "power" else None)
            if (copy / "lock").exists() and chosen.random() < 0.5:
                (copy / "lock").write_bytes(b"")  # or it is hashed as a copy, which the directory itself would not be
            if how == "flipped":
                flip(copy, chosen)
            sound = not failing and (how == "killed" or (how == "power" and synchronous == "full"))
            self.count(how)
            self.look(
                copy,
                disk.acknowledged,
                sound=sound,
                may_lose=how == "power" and synchronous == "normal",
                flipped=how == "flipped",
            )
            shutil.rmtree(copy)
        shutil.rmtree(home, ignore_errors=True)
        return self.counts

    def count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    def work(self, home: Path, synchronous: str, chosen: random.Random) -> None:
        """Commit, close and open again, whatever fails."""
        for _ in range(chosen.choice([1, 2, 3])):
            with suppress(StateError):
                store = self.open(home, synchronous)
                try:
                    found = commits(store)
                    assert self.acknowledged <= found <= self.attempted, "opened again"
                    self.acknowledged = found
                    self.commit_to(store, chosen)
                finally:
                    if chosen.random() < 0.7:
                        store.close()
                    del store

    def commit_to(self, store: SqlitePageStore, chosen: random.Random) -> None:
        for _ in range(chosen.randrange(1, ATTEMPTS // 2)):
            number = self.acknowledged + 1
            self.attempted = max(self.attempted, number)
            try:
                commit(store, number)
            except StateError:
                self.count("refused")
                with suppress(StateError):  # it may say that it has to be opened again
                    assert content(store) == MODELS[self.acknowledged].content(), "after a refused commit"
                raise
            self.acknowledged = number
            self.shim.fault_note(ctypes.c_int64(number))
            if chosen.random() < 0.2:
                store.flush_log()

    def open(self, directory: Path, synchronous: str = "full") -> SqlitePageStore:
        return SqlitePageStore(
            directory,
            choose_backend("portable" if self.seed % 2 else None).image_maker(),
            synchronous=synchronous,  # type: ignore[arg-type]
            log_pages_max=LOG_PAGES_MAX,
        )

    def look(self, directory: Path, acknowledged: int, *, sound: bool, may_lose: bool, flipped: bool) -> None:
        """Open what is left. A sound disk has all that was acknowledged; of others, something may be said.

        Args:
            directory: The disk.
            acknowledged: How many commits were acknowledged when it was left.
            sound: Whether no call failed, and nothing that was synced is gone.
            may_lose: Whether the last commits may be gone, silently if the file ``newest`` lost them as well.
            flipped: Whether a bit turned over, which ``verify`` may be the first to see.
        """
        try:
            store = self.open(directory)
        except StateError as error:
            if sound:
                raise AssertionError("a sound disk was refused") from error
            self.count("told at opening")
            return
        with closing(store):
            found = commits(store)
            try:
                same = content(store) == MODELS[found].content()
            except StateError:
                same = False
            damage = list(store.verify())
            assert flipped or not damage, damage
            if damage:
                self.count("told by verify")
                return
            assert same, f"commit {found} is not as it was, and nothing was said"
            assert found <= self.attempted
            assert found >= acknowledged or may_lose, f"commits after {found} are lost of {acknowledged}, silently"
            self.count("one committed state")
            commit(store, found + 1)
            assert content(store) == MODELS[found + 1].content(), "after one more commit"


def flip(directory: Path, chosen: random.Random) -> None:
    """Turn a bit over in one of the files."""
    files = sorted(path for path in directory.rglob("*") if path.is_file() and path.stat().st_size)
    if files:
        path = chosen.choice(files)
        data = bytearray(path.read_bytes())
        data[chosen.randrange(len(data))] ^= 1 << chosen.randrange(8)
        path.write_bytes(data)


def main(library: str, place: str, first: int, count: int, seconds: float) -> None:
    """Run seeds one after another, and print the sum of what they met. The seed of the first failure is named."""
    shim = ctypes.CDLL(library)
    shim.fault_simulate.argtypes = [ctypes.c_char_p, ctypes.c_uint64, ctypes.c_int, ctypes.c_int, ctypes.c_int]
    total: dict[str, int] = {}
    end = time.monotonic() + seconds
    with patch.object(store_module, "OVERLAY_PAGES_MAX", OVERLAY_PAGES_MAX):
        for seed in range(first, first + count):
            try:
                counts = Simulation(shim, Path(place), seed).run()
            except BaseException:
                again = f"STORAGEMOD_DISK_SEED={seed} pytest tests/state/test_simulated_disks.py"
                print(f"seed {seed} failed; try it again: {again}", file=sys.stderr)
                raise
            total["seeds"] = total.get("seeds", 0) + 1
            for what, number in counts.items():
                total[what] = total.get(what, 0) + number
            if time.monotonic() > end:
                break
    print(json.dumps(total | {"first_seed": first}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]))
