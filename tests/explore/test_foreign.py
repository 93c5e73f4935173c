"""Contracts of others: ewasm binaries in four languages, with `main` and `memory` as their only exports.

Nothing is known of them but that, and perhaps some call data that were seen. Each vault pays before it writes; its
mended twin has the two marked lines swapped.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from storagemod.errors import ScenarioError
from storagemod.explore import Exploration, explore
from storagemod.explore.script import calls_in, depth_of
from storagemod.scenario import load_contract, parse_scenario, run_scenario
from storagemod.types import FunctionType
from tests.languages import compilers

FOLDER = Path(__file__).parent / "foreign"
VAULTS = ("vault.c", "vault.rs", "vault.ts", "vault.wat")

PEOPLE = """
[accounts]
alice = { address = "0xa11ce00000000000000000000000000000000001", balance = 1000 }
bob = { address = "0xb0b0000000000000000000000000000000000002", balance = 1000 }
mallory = { address = "0x6a110000000000000000000000000000000000bd", balance = 300 }
[explore]
untrusted = ["mallory"]
"""
HONEST = """
[[transactions]]
to = "vault"
data = "0xd0e30db0"
sender = "alice"
value = 800
[[transactions]]
to = "vault"
data = "0xd0e30db0"
sender = "bob"
value = 500
[[transactions]]
to = "vault"
data = "0x2e1a7d4d0000000000000000000000000000000000000000000000000000000000000064"
sender = "bob"
"""
OWED = "balance(vault) >= vault.slots[address(alice)] + vault.slots[address(bob)] + vault.slots[address(mallory)]"
ASKED = 'balance(vault) >= call(vault, "0x70a08231", address(alice)) + call(vault, "0x70a08231", address(bob))'


def compiler(name: str) -> None:
    if not name.endswith(".wat"):
        compilers.require(Path(name).suffix)


def vault(name: str, folder: Path, *, fixed: bool) -> Path:
    compiler(name)
    text = (FOLDER / name).read_text(encoding="utf-8")
    if fixed:
        lines = text.splitlines(keepends=True)
        pay, write = (
            next(at for at, line in enumerate(lines) if re.search(rf"(//|/\*|;;) {word}\b", line))
            for word in ("pay", "write")
        )
        assert write == pay + 1
        lines[pay], lines[write] = lines[write], lines[pay]
        text = "".join(lines)
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def explored(path: Path, *invariants: str, before: str = HONEST, balance: int = 0, **settings: int) -> Exploration:
    text = f'{PEOPLE}\n[contracts.vault]\ncode = "{path.name}"\nbalance = {balance}\n{before}'
    text += "".join(f"[[invariants]]\nexpr = '''{each}'''\n" for each in invariants)
    return explore(parse_scenario(text, path="s.toml", folder=path.parent), **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", VAULTS)
def test_nothing_is_exported_but_main_and_memory(name: str, tmp_path: Path) -> None:
    contract = load_contract(vault(name, tmp_path, fixed=False), label=name)

    assert dict(contract.entry_points) == {"main": FunctionType()}
    assert not contract.contract_imports


@pytest.mark.parametrize("name", VAULTS)
def test_theft_is_found_where_honest_calls_were_seen(name: str, tmp_path: Path) -> None:
    found = explored(vault(name, tmp_path, fixed=False), OWED, ASKED)

    assert set(found.verdicts.values()) == {"broken"}
    for violation in found.violations:
        assert violation.needs_callback
        assert calls_in(violation.script) == 3  # a deposit, a withdrawal, and one more within
        assert depth_of(violation.script) == 1


@pytest.mark.parametrize("name", VAULTS)
def test_theft_is_found_where_nothing_is_known_but_the_code(name: str, tmp_path: Path) -> None:
    found = explored(vault(name, tmp_path, fixed=False), "balance(vault) >= 1300", before="", balance=1300)

    (violation,) = found.violations
    assert violation.needs_callback
    assert {call.data[:4].hex() for call in violation.script} == {"d0e30db0", "2e1a7d4d"}


@pytest.mark.parametrize("name", VAULTS)
def test_mended_twin_holds(name: str, tmp_path: Path) -> None:
    found = explored(vault(name, tmp_path, fixed=True), OWED, ASKED, tries=400)

    assert set(found.verdicts.values()) == {"holds"}, found.caveats
    assert sum(each.changed for each in found.found.coverage.entry_points.values()) > 20


def test_entry_point_main_is_one_row_however_many_methods_data_choose(tmp_path: Path) -> None:
    found = explored(vault("vault.wat", tmp_path, fixed=True), OWED, tries=100)

    ((key, each),) = found.found.coverage.entry_points.items()
    assert key[1] == "main"
    assert each.changed > 0
    assert each.taken >= 20
    assert 50 < each.succeeded + each.failed <= 100


# Keyed storage in invariants


def checked(tmp_path: Path, expr: str, more: str = "") -> list[str]:
    path = vault("vault.wat", tmp_path, fixed=True)
    text = f"{PEOPLE}\n[contracts.vault]\ncode = \"{path.name}\"\n{more}{HONEST}[[invariants]]\nexpr = '''{expr}'''\n"
    scenario = parse_scenario(text, path="s.toml", folder=path.parent)
    result = run_scenario(scenario)
    return [f"{each.what}: {each.found}" for done in result.transactions for each in done.differences]


@pytest.mark.parametrize(
    "expr",
    [
        "vault.slots[0] == balance(vault)",
        "vault.slots[address(alice)] == 800",
        'call(vault, "0x18160ddd") == vault.slots[0]',
        'call(vault, "0x70a08231", address(bob)) == vault.slots[address(bob)]',
        "vault.slots[2**256 - 1] == 0",
        "sum(vault.slots[i] for i in range(1, 4)) == 0",
        "implies(vault.slots[address(bob)] > 0, before(vault.slots[0]) > 0)",
        "address(alice) == 0xa11ce00000000000000000000000000000000001",
        "keccak(0) == 0x290decd9548b62a8d60345a988386fc84ba6bc95484008f6362f93160ef3e563",
        "keccak(1, 2) != keccak(2, 1)",
    ],
)
def test_keyed_storage_and_main_can_be_spoken_of(expr: str, tmp_path: Path) -> None:
    assert checked(tmp_path, expr) == []


@pytest.mark.parametrize(
    ("expr", "told"),
    [
        ("vault.slots[-1] == 0", "expected an integer from 0 to 2**256 - 1, got -0x1"),
        ("vault.slots[2**256] == 0", "expected an integer from 0 to 2**256 - 1"),
        ("address(7) == 0", "is no account"),
        ("address(nobody) == 0", 'no account or contract is named "nobody"'),
        ("keccak() == 0", "keccak takes numbers"),
        ('call(vault, "0x7") == 0', "call data are hexadecimal, got"),
        ('call(vault, "0x70a08231", 2**256) == 0', "expected an integer from 0 to 2**256 - 1"),
        ("vault.slots[address(alice)] == vault.slots", "not a part of this language"),
    ],
)
def test_mistakes_are_told(expr: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=re.escape(told)):
        checked(tmp_path, expr)


@pytest.mark.parametrize(
    "expr", ["vault.slots[0] >= 900", 'call(vault, "0x12345678") == 0', 'call(vault, "0xd0e30db0") == 0']
)
def test_what_does_not_hold_or_has_no_answer_is_a_violation(expr: str, tmp_path: Path) -> None:
    assert any(expr in each for each in checked(tmp_path, expr))


@pytest.mark.parametrize("fixed", [False, True])
def test_value_is_that_of_the_moment_at_call_boundaries(fixed: bool, tmp_path: Path) -> None:
    """As the mended vault pays, it has written what is left; the other one has not."""
    mine = "vault.slots[address(mallory)]"
    rule = f"implies(balance(vault) < before(balance(vault)), {mine} < before({mine}))"
    found = explored(vault("vault.wat", tmp_path, fixed=fixed), rule, boundaries=True, tries=300)

    moments = [None if each.breach.boundary is None else each.breach.boundary[0] for each in found.violations]
    assert moments == ([] if fixed else ["start"])
