from __future__ import annotations

from pathlib import Path

from storagemod.vm import option_names
from tests.golden import check_golden

from .conftest import Run

GOLDEN = Path(__file__).parent / "golden"


def test_demo_is_the_golden_file(run: Run) -> None:
    ran = run("demo")

    assert (ran.status, ran.err) == (0, "")
    assert max(map(len, ran.out.splitlines())) <= 100
    check_golden(GOLDEN / "demo.txt", ran.out)


def test_demo_ends_alike_under_every_option(run: Run) -> None:
    lines = run("demo").out.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("story"))
    options = len(option_names())
    rows = [line.split("  ") for line in lines[start + 2 : start + 2 + 4 * options]]

    for first in range(0, 4 * options, options):
        story = [[cell.strip() for cell in row if cell.strip()] for row in rows[first : first + options]]
        assert len({row[-3] for row in story}) == 1  # the outcome
        assert len({row[-1] for row in story if row[-4] != "keyed"}) == 1  # the state root


def test_demo_under_one_option_tells_the_same_stories(run: Run, option: str) -> None:
    told, whole = run("demo", "--link", option).out, run("demo").out
    stories, table = told[told.index("1. A bank") :].split("The stories under ")

    assert (
        stories.replace("memory, spare", "memory") == whole[whole.index("1. A bank") :].split("The stories under ")[0]
    )
    assert table.startswith(f"the linking option {option}\n")
    assert table.count("paid 300 for 100") == 1


def test_demo_shows_what_the_bank_imports_and_what_is_generated_for_it(run: Run, option: str) -> None:
    introduction = run("demo", "--link", option).out.split("1. A bank")[0]
    first = "load_i32" if option == "methods" else "memory"

    assert f'  (import "storage" "{first}" (' in introduction
    assert "  (module $storage\n" in introduction


def test_commands_that_the_demo_names_next_can_be_run(run: Run, tmp_path: Path) -> None:
    (tmp_path / "FILE.wat").write_text("(module)")
    (tmp_path / "FILE.toml").write_text('[[transactions]]\nto = "0x1"\n')
    next_steps = run("demo").out.split("What next\n")[1].splitlines()

    for line in next_steps:
        command = line.split("  ")[1].removeprefix("storagemod ").replace("FILE.", f"{tmp_path}/FILE.")
        assert run(*command.split()).status == 0
    assert len(next_steps) == 5
