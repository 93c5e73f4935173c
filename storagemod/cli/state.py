"""``storagemod state``: look at worlds in directories, check them, carry them elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from storagemod.cli.options import NamedPath, json_option
from storagemod.cli.output import note, say, say_document
from storagemod.errors import StateError, StorageModError
from storagemod.limits import Limits
from storagemod.pages import PAGE_BYTES, Image, RegionDiff, Run, image_length, read_image
from storagemod.report import document, render_table
from storagemod.report.table import NOTHING
from storagemod.state import (
    NO_ACCOUNT,
    Account,
    Contents,
    Damage,
    SqlitePageStore,
    account_differences,
    backup_state,
    export_state,
    import_state,
    region_differences,
    what_is_left,
)
from storagemod.types import WASM_PAGE_BYTES, Address, StorageMapping
from storagemod.vm import DEFAULT_REGION, CodeRules, load_binary

_LINE_BYTES = 16
_WORD_BYTES = 8
_RUNS_SHOWN_MAX = 20
_BYTES_SHOWN_MAX = 16
_ROOT_SHOWN = len("0x") + 16


class _StateGroup(click.Group):
    """A group in which ``state DIR`` is short for ``state list DIR``."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.commands:
            args = ["list", *args]
        return super().resolve_command(ctx, args)


@click.group("state", cls=_StateGroup, short_help="Look at a world in a directory, check it, copy it.")
def state_command() -> None:
    """Look at worlds that directories keep. `storagemod state DIR` is short for `storagemod state list DIR`.

    Nothing but `import`, `backup` and `accept` writes, and a world may be looked at while another process goes on
    writing to it. Do not copy the directory of an open world: `backup` makes a sound copy, and `export` one file.
    """


@state_command.command("list", short_help="Accounts, regions, lengths and roots.")
@click.argument("directory", type=NamedPath(), metavar="DIR")
@json_option
def list_command(directory: Path, as_json: bool) -> int:
    """List the accounts of a world: their balances, and the regions of their storage."""
    with _opened(directory) as store:
        regions: dict[Address, list[dict[str, Any]]] = {}
        for (address, name), region in store.regions():
            image = region.image
            length = {"wasm_pages": image.wasm_pages, "length_bytes": image_length(image)}
            entry = {"region": name, **length, "root": _hex(region.root())}
            regions.setdefault(address, []).append(entry)
        accounts = {address: store.accounts.get(address, NO_ACCOUNT) for address in {*store.accounts, *regions}}
        root = store.state_root()
    if as_json:
        listed = [
            {"address": str(address), **_account(account), "regions": regions.get(address, [])}
            for address, account in sorted(accounts.items())
        ]
        say_document(document("state", {"state_root": _hex(root), "accounts": listed}))
        return 0
    rows: list[tuple[str | int, ...]] = []
    for address, account in sorted(accounts.items()):
        ours = regions.get(address, [])
        rows.append((str(address), account.name or NOTHING, account.nonce, account.balance, _code(account), len(ours)))
    say(render_table(("account", "name", "nonce", "balance", "code", "regions"), rows), block=True)
    say()
    region_rows = [
        (
            accounts[address].name or str(address),
            each["region"],
            _access(accounts[address], each["region"]),
            _length(each["length_bytes"]),
            each["root"][:_ROOT_SHOWN],
        )
        for address, ours in sorted(regions.items())
        for each in ours
    ]
    if region_rows:
        say(render_table(("account", "region", "reached", "length", "root"), region_rows), block=True)
        say()
    say(f"state root {_hex(root)}")
    return 0


@state_command.command("verify", short_help="Hash everything again and name what is wrong.")
@click.argument("directory", type=NamedPath(), metavar="DIR")
@json_option
def verify_command(directory: Path, as_json: bool) -> int:
    """Hash everything again, and name each page that is not what was committed. The exit status is 1 if one is not.

    Commits that are missing are named as well. Of a world without a catalogue, the files that are left are listed.
    """
    left = what_is_left(directory)
    if left:
        missing = [Damage(what) for what in ("the catalogue is missing", *left)]
        if as_json:
            found = [_damage(each) for each in missing]
            say_document(document("verify", {"ok": False, "state_root": None, "damage": found}))
        else:
            for each in missing:
                say(each.what, "red")
        return 1
    with _opened(directory, tolerant=True) as store:
        damage = list(store.verify())
        root = store.state_root()
        if as_json:
            found = [_damage(each) for each in damage]
            say_document(document("verify", {"ok": not damage, "state_root": _hex(root), "damage": found}))
        else:
            for each in damage:
                say(_where(store, each) + each.what, "red")
            say(f"{len(damage)} found" if damage else f"all is as it was committed, state root {_hex(root)}")
    return 1 if damage else 0


@state_command.command("accept", short_help="Go on with a world that has lost commits.")
@click.argument("directory", type=NamedPath(), metavar="DIR")
def accept_command(directory: Path) -> int:
    """Go on with what a world has, though it is not as its last commit left it.

    Everything that is not as it was is named: it stays as it is now. Commits that are missing stay missing, and their
    numbers are not used again. Image files of no region are renamed.
    """
    if not directory.is_file() and not (directory / "catalogue.sqlite").exists():
        raise StateError(f"there is no world in {directory}", hint="`storagemod state verify` says what is there")
    store = SqlitePageStore(directory, tolerant=True)
    try:
        damage = list(store.verify())
        if damage:
            store.accept()
        for each in damage:
            say(f"accepted: {_where(store, each)}{each.what}")
        if not damage:
            say("nothing to accept: all is as it was committed")
        say(f"newest commit {store.newest:,}, state root {_hex(store.state_root())}")
    finally:
        store.close()
    return 0


@state_command.command("backup", short_help="Copy a world, open or not, into a new directory.")
@click.argument("directory", type=NamedPath(), metavar="DIR")
@click.argument("copy", type=NamedPath(), metavar="COPY")
def backup_command(directory: Path, copy: Path) -> int:
    """Make a sound copy of a world in a new directory. A process that writes to the world may go on meanwhile.

    The copy has one committed state, that of the moment when the command began. It is verified.
    """
    with _opened(directory) as store:
        newest = backup_state(store, copy)
        note(f"copied to {copy}: all up to commit {newest:,}")
        say(f"state root {_hex(store.state_root())}")
    return 0


@state_command.command("diff", short_help="What differs between two worlds.")
@click.argument("old", type=NamedPath(), metavar="A")
@click.argument("new", type=NamedPath(), metavar="B")
@json_option
def diff_command(old: Path, new: Path, as_json: bool) -> int:
    """Show what differs between two worlds: accounts, lengths and bytes. The exit status is 1 if something does."""
    with _opened(old) as before, _opened(new) as after:
        accounts = account_differences(before, after)
        regions = [
            ((address, name), written, list(written.runs()))
            for (address, name), written in region_differences(before, after)
        ]
    if as_json:
        say_document(
            document(
                "state-diff",
                {
                    "equal": not accounts and not regions,
                    "accounts": [
                        {"address": str(address), "old": _account(was), "new": _account(now)}
                        for address, (was, now) in accounts.items()
                    ],
                    "regions": [
                        {
                            "address": str(address),
                            "region": name,
                            "wasm_pages_old": written.pages_old,
                            "wasm_pages_new": written.pages_new,
                            "length_bytes_old": written.length_old,
                            "length_bytes_new": written.length_new,
                            "changes": [_run(run) for run in runs],
                        }
                        for (address, name), written, runs in regions
                    ],
                },
            )
        )
    else:
        for address, (was, now) in accounts.items():
            before_in_words, after_in_words = _in_words(was), _in_words(now)
            for key, value in before_in_words.items():
                if value != after_in_words[key]:
                    say(f"{address} {key}: {value} -> {after_in_words[key]}")
        for (address, name), written, runs in regions:
            if written.length_old != written.length_new:
                say(f"{address} {name}: {_lengths(written)}")
            for run in runs[:_RUNS_SHOWN_MAX]:
                say(f"{address} {name}[{run.offset:#x}..{run.offset + len(run.old):#x}]: {_short(run)}")
            if len(runs) > _RUNS_SHOWN_MAX:
                say(f"{address} {name}: {len(runs) - _RUNS_SHOWN_MAX:,} more ranges differ (--json shows all)")
        if not accounts and not regions:
            say("nothing differs")
    return 1 if accounts or regions else 0


@state_command.command("dump", short_help="The bytes of a region.")
@click.argument("directory", type=NamedPath(), metavar="DIR")
@click.argument("account", metavar="ACCOUNT")
@click.option("--region", default="memory", show_default=True, help="Which region.")
@click.option("--range", "bounds", metavar="A:B", default=":", help="Bytes from A up to B; hexadecimal with 0x.")
@click.option("--hex", "form", flag_value="hex", default=True, help="Lines of 16 bytes, zeros left out (the default).")
@click.option("--raw", "form", flag_value="raw", help="The bytes themselves.")
@click.option("--i64", "form", flag_value="i64", help="Signed numbers of 8 bytes, zeros left out.")
def dump_command(directory: Path, account: str, region: str, bounds: str, form: str) -> int:
    """Print bytes of a region of an account, which is given by address or by name."""
    with _opened(directory) as store:
        address = _find(store, account)
        image = store.image(address, region)
        known = [name for (owner, name), _ in store.regions() if owner == address]
        if region not in known:
            hint = f"it has: {', '.join(known)}" if known else "it has no storage"
            raise StateError(f"{account} has no region {region!r}", hint=hint)
        start, stop = _bounds(bounds, image_length(image))
        if form == "raw":
            for at in range(start, stop, WASM_PAGE_BYTES):
                sys.stdout.buffer.write(read_image(image, at, min(at + WASM_PAGE_BYTES, stop)))
        else:
            for line in _lines(image, start, stop, form):
                say(line)
    return 0


@state_command.command("export", short_help="Write a world into one file.")
@click.argument("directory", type=NamedPath(), metavar="DIR")
@click.argument("file", type=NamedPath(), metavar="FILE")
def export_command(directory: Path, file: Path) -> int:
    """Write all of a world into one portable file, for `storagemod state import`."""
    with _opened(directory) as store:
        _say_contents(f"exported to {file}", export_state(store, file))
    return 0


@state_command.command("import", short_help="Make a world of an exported file.")
@click.argument("file", type=NamedPath(), metavar="FILE")
@click.argument("directory", type=NamedPath(), metavar="DIR")
def import_command(file: Path, directory: Path) -> int:
    """Make a world in a new directory of a file that `storagemod state export` wrote. Everything is verified."""
    _say_contents(f"imported into {directory}", import_state(file, directory))
    return 0


@contextmanager
def _opened(directory: Path, *, tolerant: bool = False) -> Iterator[SqlitePageStore]:
    store = SqlitePageStore(directory, read_only=True, tolerant=tolerant)
    try:
        yield store
    finally:
        store.close()


def _find(store: SqlitePageStore, account: str) -> Address:
    """An account by its address or its name."""
    named = [address for address, each in store.accounts.items() if each.name == account]
    if len(named) > 1:
        raise StateError(f"several accounts are called {account!r}", hint="give the address")
    if named:
        return named[0]
    try:
        return Address(account)
    except StorageModError:
        names = sorted(each.name for each in store.accounts.values() if each.name)
        raise StateError(f"there is no account {account!r}", hint=f"by name there are: {', '.join(names)}") from None


def _bounds(text: str, length: int) -> tuple[int, int]:
    first, colon, last = text.partition(":")
    try:
        start = int(first, 0) if first else 0
        stop = int(last, 0) if last else length
    except ValueError:
        colon = ""
    if not colon:
        raise click.BadParameter(f"{text!r} is no range: it is written A:B, like 0:64 or 0x1000:", param_hint="--range")
    if not 0 <= start <= stop <= length:
        raise click.BadParameter(f"{text} does not lie within the {length:,} bytes of the region", param_hint="--range")
    return start, stop


def _lines(image: Image, start: int, stop: int, form: str) -> Iterator[str]:
    """What is not zero, line by line. Pages of zeros cost nothing."""
    step = _LINE_BYTES if form == "hex" else _WORD_BYTES
    for number, data in image.pages():
        first, last = max(start, number * PAGE_BYTES), min(stop, (number + 1) * PAGE_BYTES)
        for at in range(first, last, step):
            piece = data[at - number * PAGE_BYTES : min(at + step, last) - number * PAGE_BYTES]
            if any(piece):
                shown = piece.hex(" ") if form == "hex" else str(int.from_bytes(piece, "little", signed=True))
                yield f"{at:#010x}  {shown}"


def _account(account: Account) -> dict[str, Any]:
    return {
        "name": account.name,
        "nonce": account.nonce,
        "balance": account.balance,
        "code_bytes": len(account.code),
        "policy": account.policy.value,
        "links": {link: str(target) for link, target in sorted(account.links.items())},
        "mapping": None if account.mapping is None else _mapping(account.mapping),
        "link": account.link,
    }


def _mapping(mapping: StorageMapping) -> dict[str, Any]:
    """How storage is mapped; what the option has no use for is ``None``."""
    has_frames = mapping.option != "copied"
    return {
        "option": mapping.option,
        "sync": None if has_frames else mapping.sync.value,
        "frame_bytes": mapping.frame_bytes if has_frames else None,
        "exclusive": mapping.exclusive.value if has_frames else None,
    }


def _in_words(account: Account) -> dict[str, Any]:
    return _account(account) | {"mapping": account.mapping or "none", "link": account.link or "as imported"}


def _code(account: Account) -> str:
    return f"{len(account.code):,} bytes" if account.code else NOTHING


def _access(account: Account, region: str) -> str:
    """How a contract reaches a region, and how long it may become."""
    if not account.code:
        return NOTHING
    try:
        layout = load_binary(account.code, CodeRules(Limits(storage_pages_max=1 << 16)), link=account.link).layout
    except StorageModError:  # deployed under other limits, or by another version
        return NOTHING
    found = layout.region(region)
    if found is None:
        return NOTHING
    is_mapped = account.mapping is not None and region == DEFAULT_REGION
    mapped = f" ({account.mapping})" if is_mapped else ""
    unit = "" if found.type.page_bytes == WASM_PAGE_BYTES else " bytes"
    return f"by {found.access.value}{mapped}, {found.type.pages_min} to {found.type.pages_max}{unit}"


def _lengths(written: RegionDiff) -> str:
    if written.spare_old or written.spare_new:
        return f"{written.length_old:,} -> {written.length_new:,} bytes"
    return f"{written.pages_old} -> {written.pages_new} Wasm pages"


def _length(length: int) -> str:
    pages, rest = divmod(length, WASM_PAGE_BYTES)
    return f"{length:,} bytes" if rest else f"{pages:,} Wasm page{'s' * (pages != 1)}"


def _damage(damage: Damage) -> dict[str, Any]:
    address = None if damage.address is None else str(damage.address)
    return {"what": damage.what, "address": address, "region": damage.region, "page": damage.page}


def _where(store: SqlitePageStore, damage: Damage) -> str:
    if damage.address is None:
        return ""
    name = store.accounts.get(damage.address, NO_ACCOUNT).name
    called = f" ({name})" if name else ""
    return f"{damage.address}{called} {damage.region}: "


def _run(run: Run) -> dict[str, Any]:
    return {"offset_bytes": run.offset, "old": _hex(run.old), "new": _hex(run.new)}


def _short(run: Run) -> str:
    old, new = (
        each[:_BYTES_SHOWN_MAX].hex() + ("…" if len(each) > _BYTES_SHOWN_MAX else "") for each in (run.old, run.new)
    )
    return f"{old} -> {new}"


def _say_contents(what: str, contents: Contents) -> None:
    note(f"{what}: {contents.accounts:,} accounts, {contents.regions:,} regions, {contents.pages:,} pages")
    say(f"state root {_hex(contents.root)}")


def _hex(data: bytes) -> str:
    return "0x" + data.hex()
