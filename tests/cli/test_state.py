from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from storagemod import Address, StorageMapping, World
from storagemod.cli import main
from storagemod.errors import StateError

from .conftest import Run

CONTRACT = """
(module
  (import "storage" "memory" (memory $s 1 8))
  (import "storage" "notes" (memory $n 0 8))
  (func (export "put") (param i32 i64) (i64.store $s (local.get 0) (local.get 1)))
  (func (export "grow") (drop (memory.grow $s (i32.const 1)))))
"""

A = Address(0xA)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "world"
    with World(folder) as world:
        world.deploy(CONTRACT, address=A, name="keeper")
        world.load_storage(A, "memory", b"hello, storage!!", offset=8)
        world.transact(A, "put", 4_096, -5)
    return folder


def test_a_world_is_listed(run: Run, folder: Path) -> None:
    listed = run("state", folder)
    assert (listed.status, listed.err) == (0, "")
    assert "keeper" in listed.out
    assert "by memory, 1 to 8" in listed.out
    assert run("state", "list", folder).out == listed.out
    with World(folder, read_only=True) as world:
        assert f"state root 0x{world.state_root.hex()}" in listed.out


def test_a_world_is_listed_for_programs(run: Run, folder: Path) -> None:
    listed = json.loads(run("state", folder, "--json").out)
    assert listed["schema"] == "storagemod.state/1"
    (keeper,) = [account for account in listed["accounts"] if account["name"] == "keeper"]
    assert keeper["address"] == str(A)
    (region,) = keeper["regions"]
    assert (region["region"], region["wasm_pages"]) == ("memory", 1)


LOG = """
(module
  (import "storage" "log" (memory $log 100 200000 (pagesize 1)))
  (func (export "append") (param i64)
    (i64.store $log (memory.grow $log (i32.const 8)) (local.get 0))))
"""


@pytest.fixture
def by_bytes(tmp_path: Path) -> tuple[Path, Path]:
    """A world whose storage is 100 bytes long, and one in which it has grown by 8."""
    folders = tmp_path / "short", tmp_path / "long"
    for folder in folders:
        with World(folder) as world:
            world.deploy(LOG, address=A, name="log")
    with World(folders[1]) as world:
        world.transact(A, "append", -2)
    return folders


def test_lengths_in_bytes_are_listed_and_told_apart(run: Run, by_bytes: tuple[Path, Path]) -> None:
    short, long = by_bytes
    assert "by memory, 100 to 200000 bytes  100 bytes" in run("state", short).out
    listed = json.loads(run("state", long, "--json").out)["accounts"]
    assert [(each["wasm_pages"], each["length_bytes"]) for account in listed for each in account["regions"]] == [
        (1, 108)
    ]
    told = run("state", "diff", short, long)
    assert told.status == 1
    assert f"{A} log: 100 -> 108 bytes" in told.out
    assert f"{A} log[0x60..0x6c]" in told.out  # the region ends within a word
    (region,) = json.loads(run("state", "diff", short, long, "--json").out)["regions"]
    assert (region["length_bytes_old"], region["length_bytes_new"]) == (100, 108)
    assert run("state", "verify", long).status == 0


def test_a_dump_ends_where_the_region_does(run: Run, by_bytes: tuple[Path, Path]) -> None:
    assert run("state", "dump", by_bytes[1], "log", "--region", "log", "--range", "100:108", "--i64").out == (
        "0x00000064  -2\n"
    )
    refused = run("state", "dump", by_bytes[1], "log", "--region", "log", "--range", "100:109")
    assert refused.status == 2
    assert "does not lie within the 108 bytes" in refused.err


def test_lengths_in_bytes_go_through_a_file(run: Run, by_bytes: tuple[Path, Path], tmp_path: Path) -> None:
    assert run("state", "export", by_bytes[1], tmp_path / "file").status == 0
    assert run("state", "import", tmp_path / "file", tmp_path / "again").status == 0
    assert run("state", "diff", by_bytes[1], tmp_path / "again").status == 0
    with World(tmp_path / "again") as world:
        assert len(world.storage(A)["log"]) == 108


MAPS = """
(module
  (import "ethereum" "storageMap" (func $map (param i32 i32 i32)))
  (import "storage" "notes" (memory 1 8))
  (memory $own (export "memory") 1))
"""


@pytest.fixture
def mapped(tmp_path: Path) -> Path:
    """A world with contracts that map storage, and one that does not."""
    folder = tmp_path / "mapped"
    with World(folder) as world:
        world.deploy(MAPS, name="copier", mapping=StorageMapping("copied", "end"))
        world.deploy(MAPS, name="pager", mapping=StorageMapping("paged", frame_bytes=64, exclusive="call"))
        world.deploy(CONTRACT, address=A, name="keeper")
    return folder


def test_how_storage_is_mapped_is_listed(run: Run, mapped: Path) -> None:
    listed = run("state", mapped).out
    assert "by host (copied, sync end), 1 to 65536" in listed
    assert "by host (paged, frames of 64 bytes, exclusive call), 1 to 65536" in listed
    assert listed.count("by memory, 1 to 8") == 3
    accounts = json.loads(run("state", mapped, "--json").out)["accounts"]
    mappings = {account["name"]: account["mapping"] for account in accounts}
    assert mappings == {
        "sender": None,
        "keeper": None,
        "copier": {"option": "copied", "sync": "end", "frame_bytes": None, "exclusive": None},
        "pager": {"option": "paged", "sync": None, "frame_bytes": 64, "exclusive": "call"},
    }


def test_contracts_whose_storage_is_mapped_otherwise_differ(run: Run, tmp_path: Path) -> None:
    for name, mapping in (("one", "paged"), ("two", "copied")):
        with World(tmp_path / name) as world:
            world.deploy(MAPS, address=A, name="it", mapping=mapping)
    differing = run("state", "diff", tmp_path / "one", tmp_path / "two")
    assert differing.status == 1
    assert differing.out == f"{A} mapping: paged, frames of 4,096 bytes -> copied, sync call\n"


def test_a_sound_world_verifies(run: Run, folder: Path) -> None:
    verified = run("state", "verify", folder)
    assert verified.status == 0
    assert "all is as it was committed" in verified.out


def test_a_bit_that_turned_over_is_found_and_its_page_named(run: Run, folder: Path) -> None:
    (image,) = (folder / "images").iterdir()
    data = bytearray(image.read_bytes())
    data[4_096 + 4_096 + 1] ^= 0x10  # behind the header of one page, in page 1
    image.write_bytes(data)
    verified = run("state", "verify", folder)
    assert verified.status == 1
    assert f"{A} (keeper) memory: page 1 is not what was committed" in verified.out
    damage = json.loads(run("state", "verify", folder, "--json").out)["damage"]
    assert [(each["address"], each["region"], each["page"]) for each in damage] == [(str(A), "memory", 1)]


def test_equal_worlds_do_not_differ(run: Run, folder: Path) -> None:
    same = run("state", "diff", folder, folder)
    assert (same.status, same.out) == (0, "nothing differs\n")


def test_what_differs_is_shown(run: Run, folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    assert run("state", "export", folder, tmp_path / "file").status == 0
    assert run("state", "import", tmp_path / "file", other).status == 0
    with World(other) as world:
        world.transact(A, "put", 8, 1)
        world.transact(A, "grow")
        world.fund(A, 7)
    differing = run("state", "diff", folder, other)
    assert differing.status == 1
    assert f"{A} balance: 0 -> 7" in differing.out
    assert f"{A} memory: 1 -> 2 Wasm pages" in differing.out
    assert f"{A} memory[0x8..0x10]: {b'hello, s'.hex()} -> 0100000000000000" in differing.out
    document = json.loads(run("state", "diff", folder, other, "--json").out)
    assert document["equal"] is False
    assert document["regions"][0]["changes"][0]["offset_bytes"] == 8


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ((), "0x00000000  00 00 00 00 00 00 00 00 68 65 6c 6c 6f 2c 20 73\n"),
        (("--i64",), "0x00001000  -5\n"),
        (("--range", "8:16", "--i64"), f"0x00000008  {int.from_bytes(b'hello, s', 'little')}\n"),
        (("--range", "0x1000:0x1008"), "0x00001000  fb ff ff ff ff ff ff ff\n"),
    ],
)
def test_bytes_are_dumped(run: Run, folder: Path, options: tuple[str, ...], shown: str) -> None:
    dumped = run("state", "dump", folder, "keeper", *options)
    assert dumped.status == 0
    assert shown in dumped.out
    assert run("state", "dump", folder, str(A), *options).out == dumped.out


def test_bytes_are_dumped_raw(folder: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["state", "dump", str(folder), "keeper", "--raw", "--range", "8:24"]) == 0
    assert capsysbinary.readouterr().out == b"hello, storage!!"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("dump", "FOLDER", "keeepr"), "there is no account 'keeepr' (by name there are: keeper, sender)"),
        (("dump", "FOLDER", "keeper", "--region", "notez"), "keeper has no region 'notez' (it has: memory)"),
        (("dump", "FOLDER", "sender"), "it has no storage"),
        (("dump", "FOLDER", "keeper", "--range", "5"), "'5' is no range: it is written A:B"),
        (("dump", "FOLDER", "keeper", "--range", "0:65537"), "does not lie within the 65,536 bytes"),
        (("dump", "FOLDER", "keeper", "--range", "9:3"), "does not lie within"),
        (("list", "NOWHERE"), "there is no world in"),
        (("verify", "NOWHERE"), "there is no world in"),
        (("diff", "FOLDER", "NOWHERE"), "there is no world in"),
        (("export", "FOLDER", "FOLDER"), "exists already"),
        (("import", "NOWHERE", "NOWHERE"), "there is no file"),
    ],
)
def test_what_cannot_be_done_is_said(run: Run, folder: Path, arguments: tuple[str, ...], message: str) -> None:
    places = {"FOLDER": str(folder), "NOWHERE": str(folder.parent / "nowhere")}
    failed = run("state", *[places.get(each, each) for each in arguments])
    assert failed.status == 2
    assert message in failed.err
    assert failed.out == ""


def test_a_world_can_be_looked_at_while_it_is_written(run: Run, folder: Path) -> None:
    with World(folder) as world:
        world.transact(A, "put", 16, 77)
        assert "0x00000010  77\n" in run("state", "dump", folder, "keeper", "--i64").out
        assert run("state", "verify", folder).status == 0


def test_commits_that_are_missing_are_told_until_they_are_accepted(run: Run, folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    with World(folder) as world:
        world.transact(A, "put", 16, 77)
        world.transact(A, "put", 16, 78)
        shutil.copytree(folder, copy)
    (copy / "catalogue.sqlite-wal").write_bytes(b"")
    listed = run("state", copy)
    assert listed.status == 2
    assert " to " in listed.err
    assert "are missing (restore it from a copy, or go on with what is there: `storagemod state accept`)" in listed.err
    verified = run("state", "verify", copy)
    assert verified.status == 1
    assert verified.out.endswith("are missing\n1 found\n")
    accepted = run("state", "accept", copy)
    assert accepted.status == 0
    assert accepted.out.startswith("accepted: commits ")
    assert "state root 0x" in accepted.out
    assert run("state", "verify", copy).status == 0
    assert run("state", "accept", copy).out.startswith("nothing to accept: all is as it was committed\n")


def test_pipes_beside_images_of_a_world_without_its_catalogue_are_not_waited_for(run: Run, folder: Path) -> None:
    (folder / "catalogue.sqlite").unlink()
    os.mkfifo(folder / "images" / "2.pages")
    (folder / "newest").unlink()
    os.mkfifo(folder / "newest")
    result = run("state", "verify", folder)
    assert result.status == 1
    assert "image 2.pages: it is no file" in result.out


def test_a_world_without_its_catalogue_is_described(run: Run, folder: Path) -> None:
    (folder / "catalogue.sqlite").unlink()
    image = folder / "images" / "1.pages"
    (folder / "images" / "2.pages").write_bytes(b"short")
    for command in ((), ("accept",)):
        assert run("state", *command, folder).status == 2
    verified = run("state", "verify", folder)
    world = image.read_bytes()[24:40].hex()
    newest = int.from_bytes((folder / "newest").read_bytes()[25:33], "little")
    other = int.from_bytes((folder / "newest").read_bytes()[4_121:4_129], "little")
    length = image.stat().st_size - 4_096
    assert verified.status == 1
    assert verified.out == (
        "the catalogue is missing\n"
        f"newest: commit {max(newest, other):,} of world {world}\n"
        f"image 1.pages: region 1 of world {world}, {length:,} bytes\n"
        "image 2.pages: it is no image of storagemod\n"
    )
    damage = json.loads(run("state", "verify", folder, "--json").out)["damage"]
    assert [each["what"] for each in damage] == verified.out.splitlines()
    with pytest.raises(StateError, match="has lost its catalogue"):
        World(folder)


def test_a_backup_is_made_of_an_open_world(run: Run, folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    with World(folder) as world:
        world.transact(A, "put", 16, 77)
        made = run("state", "backup", folder, copy)
        assert made.status == 0
        assert f"copied to {copy}: all up to commit " in made.err
        world.transact(A, "put", 16, 78)
    assert run("state", "verify", copy).out == f"all is as it was committed, {made.out}"
    assert "0x00000010  77\n" in run("state", "dump", copy, "keeper", "--i64").out
    again = run("state", "backup", folder, copy)
    assert (again.status, again.out) == (2, "")
    assert "exists already (choose a new directory)" in again.err
