"""``storagemod inspect``: what a contract asks for, and what it will get."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import click

from storagemod.cli.inspect_tables import inspect_tables
from storagemod.cli.options import NamedPath, exclusive_option, is_missing, json_option, link_option
from storagemod.cli.output import say, say_document
from storagemod.errors import ValidationError
from storagemod.report import document, render_table
from storagemod.report.table import NOTHING
from storagemod.scenario import load_contract
from storagemod.scenario.deploy import leaves_open
from storagemod.scenario.fixtures import did_you_mean, fixture_names, fixture_path
from storagemod.types import MAP_OPTIONS, METHODS_OPTIONS, WASM_PAGE_BYTES, MemoryType
from storagemod.vm import (
    DEFAULT_REGION,
    NAMESPACE,
    PREFIX,
    Access,
    Contract,
    Layout,
    ServedByHost,
    check_option,
    contract_import,
    instruction_for,
    is_storage,
    option_for,
    storage_module_wat,
)
from storagemod.wasm import Import

_REACHED = {
    Access.MEMORY: "the contract imports the memory",
    Access.METHODS: "functions; the memory is private",
    Access.HOST: "the host; the memory is private",
}


@click.command("inspect", short_help="Show a contract's storage layout, imports and storage module.")
@click.argument("contract", type=NamedPath())
@link_option
@click.option(
    "--tables",
    "with_tables",
    is_flag=True,
    help="CONTRACT is a scenario: run it, and show the page table and the frame table at each call, under the linking "
    "options that have them: paged (the default here), aliased and window.",
)
@exclusive_option
@json_option
def inspect_command(contract: Path, link: str | None, with_tables: bool, exclusive: str | None, as_json: bool) -> int:
    """Show a contract's storage layout, its entry points, what its imports are linked to, and its storage module.

    CONTRACT is a file of WAT or Wasm, or a contract that comes with storagemod: bank/attacker, bank/bank,
    bank/bank_fixed, counter/counter, exchange/exchange, pingpong/ping, pingpong/pong, puppet/puppet, reentry/coin,
    reentry/coin_fixed, reentry/desk, reentry/desk_fixed, reentry/ledger, reentry/ledger_fixed, reentry/lender,
    reentry/pool, reentry/pool_fixed, reentry/strongbox, reentry/strongbox_fixed, reentry/till, token/token or
    token/token_regions.
    """
    if with_tables:
        return inspect_tables(contract, link, exclusive, as_json=as_json)
    if exclusive is not None:
        raise click.UsageError("--exclusive is about calls, which run with --tables")
    name = str(contract)
    source = _find(contract)
    loaded = load_contract(source, label=name, option=link)
    if link is not None:
        check_option(loaded, link)
    is_open = leaves_open(source)
    if as_json:
        say_document(document("inspect", _to_json(contract, loaded, is_open=is_open)))
    else:
        _print(contract, loaded, is_open=is_open)
    return 0


def _find(path: Path) -> Path:
    """The file of that path, or else of the contract of that name which comes with the package.

    Raises:
        ValidationError: There is neither.
    """
    name = str(path)
    try:
        leaves_open(path)
    except ValidationError as error:
        if not is_missing(error):
            raise
        if name not in fixture_names():
            error.hint = did_you_mean(name, fixture_names())
            raise error.at(name) from None
        return fixture_path(name)
    return path


def _linking(contract: Contract, *, is_open: bool) -> str:
    """Under which options it can run, in words."""
    if not contract.options:
        return "none: it has no storage"
    parts = sorted(contract.options - set(MAP_OPTIONS))
    if METHODS_OPTIONS[0] in contract.options and not is_open:
        first, *others = METHODS_OPTIONS
        parts[parts.index(first)] += f" (or {' or '.join(others)}, by --link or as it is deployed)"
    if contract.maps_storage:
        *others, last = MAP_OPTIONS
        parts.append(f"{', '.join(others)} or {last}, as it is deployed")
    return ", ".join(parts) + ("; its source leaves the option open (--link)" if is_open else "")


def _print(path: Path, contract: Contract, *, is_open: bool) -> None:
    say(f"{path.stem}", "bold")
    say(f"  file     {path}")
    say(f"  code     {len(contract.code):,} bytes, sha256 {hashlib.sha256(contract.code).hexdigest()}")
    say(f"  linking  {_linking(contract, is_open=is_open)}")
    mediated = contract.mediated_by
    say(f"  calls    {f'mediated, because of {mediated}' if mediated else 'direct where nobody listens'}")
    _section("Storage layout, lengths in Wasm pages of 64 KiB")
    regions = [
        (
            region.name,
            _length(region.type.pages_min, region.type),
            NOTHING if region.type.pages_max is None else _length(region.type.pages_max, region.type),
            "64-bit" if region.type.is_64 else "32-bit",
            _REACHED[region.access],
        )
        for region in contract.layout.regions
    ]
    _table(("region", "at first", "at most", "addresses", "reached by"), regions)
    _section("Entry points")
    entries = [(name, str(contract.entry_points[name])) for name in sorted(contract.entry_points)]
    _table(("name", "type"), entries)
    _section("Imports")
    imports = [(f"{item.module} {item.name}", str(item.type), _linked_to(item, contract)) for item in contract.imports]
    _table(("import", "type", "linked to"), imports)
    if contract.layout.window is not None:
        _section(f"Window, a memory into which storage is mapped, of {contract.layout.window.pages_min} Wasm pages")
    if contract.layout.regions or contract.layout.window is not None:
        _section("Storage module, as generated for this layout")
        say("\n".join(f"  {line}" for line in storage_module_wat(contract.layout).splitlines()), block=True)


def _length(pages: int, memory: MemoryType) -> int | str:
    return pages if memory.page_bytes == WASM_PAGE_BYTES else f"{pages:,} bytes"


def _section(title: str) -> None:
    say()
    say(title, "bold")


def _table(headers: tuple[str, ...], rows: Sequence[Sequence[str | int]]) -> None:
    text = render_table(headers, rows) if rows else "none"
    say("\n".join(f"  {line}" for line in text.split("\n")), block=True)


def _linked_to(item: Import, contract: Contract) -> str:
    """What stands behind an import, in words."""
    if item.module == NAMESPACE and not is_storage(item):
        return "the host"
    if item.module.startswith(PREFIX):
        callee = contract_import(item)
        caught = "; failures are caught" if callee.catches else ""
        return f'"{callee.method}" of the contract bound to "{callee.link}"{caught}'
    instruction = None if contract.link is None else instruction_for(item)
    if instruction is not None:
        return f'the instruction {instruction} on memory "{DEFAULT_REGION}", in place of calls'
    option = option_for(item)
    if option.host_functions([item], contract.layout):
        region = option.region_name if isinstance(option, ServedByHost) else DEFAULT_REGION
        return f'the host, on memory "{region}" of the storage module'
    return f'"{item.name}" of the storage module'


def _to_json(path: Path, contract: Contract, *, is_open: bool) -> dict[str, object]:
    return {
        "path": str(path),
        "code_bytes": len(contract.code),
        "code_sha256": hashlib.sha256(contract.code).hexdigest(),
        "options": sorted(contract.options),
        "link": contract.link,
        "leaves_open": is_open,
        "mediated_by": contract.mediated_by or None,
        "layout": [
            {
                "region": region.name,
                "pages_min": region.type.pages_min,
                "pages_max": region.type.pages_max,
                "page_bytes": region.type.page_bytes,
                "is_64": region.type.is_64,
                "access": str(region.access),
            }
            for region in contract.layout.regions
        ],
        "entry_points": {name: str(contract.entry_points[name]) for name in sorted(contract.entry_points)},
        "imports": [
            {
                "module": item.module,
                "name": item.name,
                "type": str(item.type),
                "linked_to": _linked_to(item, contract),
            }
            for item in contract.imports
        ],
        "window_pages": None if contract.layout.window is None else contract.layout.window.pages_min,
        "storage_module": storage_module_wat(contract.layout) if contract.layout != Layout() else None,
    }
