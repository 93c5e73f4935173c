"""Mutated files through every command: no fault of ours, no traceback, and each fault that was found, once more."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from storagemod.errors import ValidationError, shown
from storagemod.types import Address
from storagemod.world import World
from tests.fuzz.commands import COMMANDS, WITHOUT_TRANSACTIONS, Tally, run, run_commands, run_many

SEED = int(os.environ.get("STORAGEMOD_FUZZ_SEED", "0"))
"""Where the long run begins; 0 for a new seed each time."""

FILES = int(os.environ.get("STORAGEMOD_FUZZ_EXAMPLES", "2000"))

CONTRACT = """
[contracts.f]
wat = '''(module (import "storage" "memory" (memory 1)) (func (export "half") (result f64) (f64.const 0.5))
  (func (export "main")))'''
[[transactions]]
to = "f"
"""


def check(tally: Tally) -> None:
    assert not tally.faults, "\n".join(
        [str(tally), *(f"{each.words}\n{each.what}\n{each.text}" for each in tally.faults)]
    )


def test_no_command_fails_by_a_fault_of_ours_whatever_is_in_a_file() -> None:
    tally = run_many(11, 60)
    check(tally)
    assert tally.statuses.keys() == {0, 1, 2}  # or it tries nothing worth trying


@pytest.mark.fuzz
@pytest.mark.skipif(os.environ.get("STORAGEMOD_FUZZ") != "1", reason="takes long: set STORAGEMOD_FUZZ=1 to run it")
def test_no_command_fails_by_a_fault_of_ours_in_many_files(capsys: pytest.CaptureFixture[str]) -> None:
    tally = run_many(SEED or random.SystemRandom().randrange(1, 2**31), FILES)
    with capsys.disabled():
        print(f"\n{tally}")
    check(tally)


@pytest.mark.parametrize(
    "text",
    [
        WITHOUT_TRANSACTIONS,
        *(
            f"{CONTRACT}[[invariants]]\nexpr = '{expr}'\n"
            for expr in (
                'f.memory[call(f, "half")] == 0',
                f'sum({"9" * 400}, call(f, "half")) == 0',
                f'max({"9" * 990} * {"9" * 990}, call(f, "half")) == 0',
                f"f.memory[{'9' * 900}] == 0",
            )
        ),
        CONTRACT + f"value = 0x{'f' * 5_000}\n",
        CONTRACT + f"[accounts]\nx = {{ address = 0x{'f' * 5_000} }}\n",
    ],
)
def test_values_that_users_choose_are_no_fault_of_ours(text: str) -> None:
    tally = Tally(0)
    run_commands(".toml", text, tally)
    check(tally)


def test_compare_gives_a_ratio_of_times_where_nothing_ran(tmp_path: Path) -> None:
    file = tmp_path / "it.toml"
    file.write_text(WITHOUT_TRANSACTIONS)
    status, out, _ = run(["compare", str(file)])
    assert status == 0
    assert out.splitlines()[3].endswith(" 1.0")


def test_every_kind_of_file_goes_through_a_command() -> None:
    assert {words[0] for commands in COMMANDS.values() for words in commands} >= {
        *("run", "compare", "snapshot", "explore", "suggest", "inspect", "compile", "statetest")
    }


HUGE = 10**5_000


def test_huge_integers_are_refused_by_our_own_errors() -> None:
    world = World()
    f = world.deploy('(module (func (export "f") (param i32 f64)))')
    for refused in (
        lambda: Address(HUGE),
        lambda: world.fund(f, HUGE),
        lambda: world.fund(f, -HUGE),
        lambda: world.transact(f, "f", HUGE, 0),
        lambda: world.transact(f, "f", 0, HUGE),
        lambda: world.transact(f, "f", 0, [HUGE]),
        lambda: world.transact(f, "f", 0, 0, value=HUGE),
        lambda: world.transact(f, "f", 0, 0, gas=HUGE),
    ):
        with pytest.raises(ValidationError):
            refused()


def test_a_value_is_shown_on_one_line_whatever_it_is() -> None:
    class Hostile:
        def __repr__(self) -> str:
            raise RuntimeError

    assert shown(Hostile()) == "a Hostile"
    assert shown(HUGE) == "an integer of 16,610 bits"
    assert "\n" not in shown("a\nb\x1b[31m")
    assert "\x1b" not in shown(b"\x1b".decode())
    assert len(shown("x" * 10_000)) == 101
