"""``storagemod demo``: what a storage module is for, told with four short stories."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Sequence

import click

from storagemod.cli.compare import COLUMNS_NARROW, comparison_table, say_differences, without_refused_direct
from storagemod.cli.options import link_choice
from storagemod.cli.output import say, say_tree
from storagemod.cli.stories import STORIES, Ending, Story, trace_of
from storagemod.report import render_table
from storagemod.scenario import load_scenario
from storagemod.scenario.compare import compare_scenario, variants
from storagemod.scenario.fixtures import fixture, scenario_path
from storagemod.types import CallMode
from storagemod.vm import OPTIONS, Contract, storage_module_wat

WIDTH = 100
LINES_SHOWN = 4  # of the storage module, which is long under `methods`

_WHAT_IT_IS = (
    "A contract here keeps its storage in a Wasm module of its own, the storage module. It is generated from what the "
    "contract imports, instantiated once in a transaction, and linked to every call of that contract, however deep. "
    "The bank of the first story imports"
)
_WHAT_FOLLOWS = (
    "So there is one copy of the bytes, and nothing to synchronise: a contract that is called back while it is still "
    "running sees what its earlier calls wrote, and they see what it writes. Four stories show what that means."
)
_HOW_TO_READ = (
    "In the trees each line is a call, `[gas] contract::method(arguments)`, or what a call wrote to its own storage, "
    "`memory[offset] (what it is) found -> left`, in the order in which it happened. `re-entry 2` says that two calls "
    "of that contract were running already, and `←` how a call ended. A line with `!` warns of what re-entry did."
)
_WHAT_THE_TABLE_SAYS = (
    "The state root is a digest of all accounts and storage: where it is the same, nothing that lasts differs. Under "
    "`keyed` the same bytes are kept as a table, which has roots of its own; and what is one load or store elsewhere "
    "is calls of the host there, which the gas shows. `copied` and `paged` look up where in memory storage is; among "
    "the others the gas is the same, because these contracts reach storage through small functions of one length."
)
_COMPARED = "bank/robbed"
_WHAT_IS_COMPARED = (
    "The bank with a fault as a scenario file, whose transactions say what is to come of them. Under `copied` each "
    "call has copies of storage, and a policy says when they are brought in line with it: at each call, at a call's "
    "end (`end`), or then with everything, changed or not (`none`). Under `revision` a call fails that would write "
    "over what another one wrote meanwhile. Under `transaction` a call fails that maps a frame which a call above it "
    "holds. Where calls are `direct`, wasm calls wasm, and no host stands between them to see hazards."
)
_WHAT_DIFFERS = (
    "With copies that are brought in line too late, calls acted on bytes that were not true any more, and wrote them "
    "over those that were: the hazards, which every option that keeps one storage is free of. `revision` loses no "
    "update, and still shows stale reads. `transaction` is a lock by frame, on the attacker's storage as on the "
    "bank's: no call comes back to a frame that a call above it holds. In brackets are writes after a call during "
    "which a contract was re-entered: the bank's own fault, wherever a call came back."
)
_WHAT_NEXT = """\
What next
  storagemod run bank/robbed -vvvv   the first story again, as a scenario file
  storagemod compare FILE.toml       any scenario, side by side
  storagemod inspect bank/bank       a contract's imports and its storage module
  storagemod compile FILE.wat        whether a contract of yours is one
  storagemod run FILE.toml           whether it does what you expect"""


@click.command("demo", short_help="See contracts call each other back: what each call saw and wrote.")
@click.option("--link", type=link_choice, help="Tell all under this linking option only (default: compare them all).")
def demo_command(link: str | None) -> int:
    """See contracts call one another back, and what each call saw and wrote.

    Tells of a bank that is robbed by a customer who calls back, of the same bank mended, of one that is closed while it
    works, and of a token and an exchange that need to call each other back. Takes about a second.
    """
    shown = OPTIONS[0].name if link is None else link
    compared = [option for option in OPTIONS if link in (None, option.name)]
    _introduce(Contract.load(fixture("bank/bank", shown), name="bank"))
    rows: list[tuple[str | int, ...]] = []
    for number, story in enumerate(STORIES, 1):
        endings = {option.name: story.run(option.name) for option in compared}
        _show(number, story, endings[shown])
        for position, (name, ending) in enumerate(endings.items()):
            title = story.title if position == 0 else ""  # once for all options
            rows.append((title, name, ending.result, ending.receipt.gas_used, ending.state_root.hex()[:8]))
    say(f"The stories under {'every linking option' if link is None else f'the linking option {link}'}", "bold")
    say()
    for option in compared:
        _tell(f"{option.name}: {option.summary}.", end="")
    say()
    say(render_table(("story", "linking", "outcome", "gas", "state root"), rows), block=True)
    say()
    if link is None:
        _tell(_WHAT_THE_TABLE_SAYS)
        _compare()
    say(_WHAT_NEXT, block=True)
    return 0


def _introduce(bank: Contract) -> None:
    say("storagemod: storage as a Wasm module, shared by re-entrant calls", "bold")
    say()
    _tell(_WHAT_IT_IS)
    _code([str(item) for item in bank.storage_imports])
    _tell("and gets, with nothing declared twice, the storage module")
    _code(storage_module_wat(bank.layout).splitlines())
    _tell(_WHAT_FOLLOWS)
    _tell(_HOW_TO_READ)


def _show(number: int, story: Story, ending: Ending) -> None:
    say(f"{number}. {story.title}", "bold")
    say()
    _tell(story.told)
    say_tree(trace_of(ending.receipt), verbosity=4, indent="  ", names=story.names)
    say()
    _tell(ending.told)


def _compare() -> None:
    """The first story once more, under every option and policy, with what it costs and what goes wrong."""
    say("The first story, side by side", "bold")
    say()
    _tell(_WHAT_IS_COMPARED)
    comparison = compare_scenario(load_scenario(scenario_path(_COMPARED), label=_COMPARED), variants(calls=[*CallMode]))
    comparison = without_refused_direct(comparison)
    headers, rows = comparison_table(comparison, timed=False)
    say(render_table(headers[:COLUMNS_NARROW], [row[:COLUMNS_NARROW] for row in rows]), block=True)
    say_differences(comparison, columns=WIDTH)
    say()
    _tell(_WHAT_DIFFERS)


def _code(lines: Sequence[str]) -> None:
    more = len(lines) - LINES_SHOWN
    for line in lines[:LINES_SHOWN]:
        say(f"  {line}", "cyan")
    if more > 0:
        say(f"  … and {more} more lines")
    say()


def _tell(text: str, end: str = "\n") -> None:
    """Print a paragraph, no wider than the terminal; into a file it is the same for everyone."""
    columns = shutil.get_terminal_size((WIDTH, 0)).columns if sys.stdout.isatty() else WIDTH
    say(
        textwrap.fill(text, min(WIDTH, columns), break_on_hyphens=False, break_long_words=False) + "\n",
        end=end,
        block=True,
    )
