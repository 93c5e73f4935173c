"""What a user can do wrong in a scenario or a contract: one clear message each, the right status, no traceback."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from storagemod import Limits, World
from storagemod.cli.output import continued
from storagemod.state import MemoryPageStore, export_state

from .conftest import Run

BOX = """\
(module
  (import "storage" "memory" (memory $storage 1 65536))
  (func (export "set") (param i32 i64) (result i64) (local.get 1))
  (func (export "half") (param f32 f64))
  (func (export "loop") (loop (br 0)))
  (func $recurse (export "recurse") (call $recurse))
  (func (export "grow") (param i32) (result i32) (memory.grow $storage (local.get 0)))
  (func (export "load") (param i32) (result i64) (i64.load $storage (local.get 0))))
"""
CONTRACT = '[contracts.box]\ncode = "box.wat"\n'
WAT = "[contracts.x]\nwat = '''{}'''\n{}[[transactions]]\nto = 'x'\nmethod = 'f'\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a contract in it, which is also where the command is run."""
    (tmp_path / "box.wat").write_text(BOX)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def transaction(rest: str) -> str:
    return f'{CONTRACT}[[transactions]]\nto = "box"\n{rest}\n'


def check_bad_input(run: Run, text: str | bytes, *messages: str) -> None:
    """Run a scenario that cannot be run."""
    Path("it.toml").write_bytes(text if isinstance(text, bytes) else text.encode())

    ran = run("run", "it.toml")

    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith("error: it.toml")
    assert ran.err.count("error: ") == 1
    for message in messages:
        assert message in ran.err


def check_fails(run: Run, rest: str, *messages: str) -> None:
    """Run a scenario with one transaction, which is not as expected."""
    Path("it.toml").write_text(transaction(rest))

    ran = run("run", "it.toml")

    assert (ran.status, ran.err) == (1, "")
    assert ran.out.splitlines()[-1] == "0 of 1 transactions as expected (single)"
    for message in messages:
        assert message in ran.out


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        ('method = "get"', "box: no method 'get' (did you mean 'set'?)"),
        ('method = "memory"', "no method 'memory' (its methods: grow, half, load, loop, recurse, set)"),
        ("", "transaction \"box::main()\": box: no method 'main' (its methods: "),
        ('method = "set"', "'set' takes 2 arguments (func (param i32 i64) (result i64)), not 0"),
        ('method = "set"\nargs = [1, 2, 3]', "not 3"),
        ('method = "set"\nargs = [1, 2.5]', "argument 2 of 'set' is i64: an integer is needed, not 2.5"),
        (
            'method = "set"\nargs = [4_294_967_296, 1]',
            "argument 1 of 'set' is i32, and 4294967296 does not fit 32 bits",
        ),
        ('method = "set"\nargs = [1, 1]\nvalue = 5\nsender = "box"', "box has a balance of 0 and cannot pay 5"),
    ],
)
def test_transaction_that_cannot_start_is_bad_input_at_its_line(run: Run, rest: str, message: str) -> None:
    check_bad_input(run, transaction(rest), "it.toml:3: transaction ", message)


@pytest.mark.parametrize(
    ("rest", "line", "message"),
    [
        ('args = [1, "2"]', 5, "wanted a number, found a string"),
        ("args = [1, true]", 5, "wanted a number, found a boolean"),
        (
            "args = [1, 18_446_744_073_709_551_616]",
            5,
            "is out of range: an integer from -2**63 to 2**64 - 1, or a float",
        ),
        (f"args = [1, 1{'0' * 400}]", 5, "10000000000000000000… (401 digits) is out of range"),
        (f"value = {2**256}", 5, "(78 digits) is out of range: an integer from 0 to 2**256 - 1 is wanted"),
        ("gas = 9_223_372_036_854_775_808", 5, "is out of range: an integer from 0 to 2**63 - 1 is wanted"),
        (f"gas = {'9' * 4_000}", 5, "(4,000 digits) is out of range"),
        (f"expect.storage = [{{ contract = 'box', f64 = 1{'0' * 400} }}]", 5, "(401 digits) is out of range"),
        (f"expect.error = 'a{{{'9' * 20}}}'", 5, "is not a regular expression"),
        ("expect.vaule = 1", 5, 'unknown key "vaule" (did you mean "value"?)'),
        ("expect.storage = [{ contract = 'box', i46 = 1 }]", 5, 'unknown key "i46" (did you mean "i64"?)'),
        ("metod = 'set'", 5, 'unknown key "metod" (did you mean "method"?)'),
        ("[trasactions]\n", 5, 'unknown key "trasactions" (did you mean "transactions"?)'),
        (
            "expect.storage = [{ contract = '0x99', i64 = 1 }]\nmethod = 'grow'\nargs = [0]",
            5,
            "there is no contract at",
        ),
        ("expect.storage = [{ contract = 'bax', i64 = 1 }]", 5, 'no contract is named "bax" (did you mean "box"?)'),
        ("sender = 'bxo'", 5, 'no account or contract is named "bxo" (did you mean "box"?)'),
    ],
)
def test_mistake_in_a_scenario_is_bad_input_at_its_line(run: Run, rest: str, line: int, message: str) -> None:
    check_bad_input(run, transaction(rest), f"it.toml:{line}: ", message)


@pytest.mark.parametrize(
    ("wat", "rest", "line", "message"),
    [
        ("", "", 2, 'contract "x": there is no module in it, it is empty'),
        ("hello", "", 2, "x:1:1: expected `(`"),
        ("(module (func (export 'f'", "", 2, "x:1:"),
        ("(module (func $f) (start $f))", "", 2, "a contract has no start function"),
        ('(module (import "env" "f" (func)))', "", 2, "nothing is offered under 'env' (offered: \"storage\", "),
        ('(module (import "storage" "memory" (memory 3 2)))', "", 2, "minimum must not be greater than maximum"),
        ('(module (import "storage" "memory" (memory 2000)))', "", 2, "1,024"),
        (
            '(module (import "storage" "load_i64" (func)))',
            "",
            2,
            "wanted (func), offered (func (param i32) (result i64))",
        ),
        ('(module (import "contract:y" "g" (func)))', "", 1, 'imports from "contract:y", which is linked to nothing'),
        ('(module (import "contract:y" "g" (func)))', "links = { y = 'x' }\n", 3, "offered no function of that name"),
        (
            '(module (import "contract:y" "f" (func)) (func (export "f") (param i32)))',
            "links = { y = 'x' }\n",
            3,
            "wanted (func), offered (func (param i32))",
        ),
        ("(module)", "links = { z = 'x' }\n", 3, 'the link "z" is given, but nothing is imported from'),
        ("(module)", "links = { y = 'z' }\n", 3, 'no account or contract is named "z" (there is x)'),
        ('(module (func (export "i") unreachable))', "init = 'i'\n", 3, "`unreachable` was executed"),
    ],
)
def test_contract_that_cannot_be_deployed_is_bad_input_at_the_line_of_the_key(
    run: Run, wat: str, rest: str, line: int, message: str
) -> None:
    check_bad_input(run, WAT.format(wat, rest), f"it.toml:{line}: ", message)


def test_contracts_that_are_linked_in_a_cycle_are_no_mistake(run: Run) -> None:
    halves = [
        f"""[contracts.{name}]
wat = '(module (import "contract:other" "f?" (func (result i32))) (func (export "f")))'
links = {{ other = "{other}" }}
"""
        for name, other in (("a", "b"), ("b", "c"), ("c", "a"))
    ]
    Path("it.toml").write_text("".join(halves) + "[[transactions]]\nto = 'a'\nmethod = 'f'\n")

    assert run("run", "it.toml").status == 0


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("none.wat", "none.wat cannot be read: No such file or directory"),
        ("box.wat/x.wat", "box.wat/x.wat cannot be read: box.wat is a file, expected a directory"),
        ("dangling.wat", "dangling.wat cannot be read: No such file or directory"),
        ("loop.wat", "loop.wat cannot be read: Too many levels of symbolic links"),
        (f"{'n' * 300}.wat", "cannot be read: File name too long"),
        ("folder", "folder is a directory (name a file)"),
        ("", "`code` is the path of a contract, and it is empty"),
        ("empty.wat", "empty.wat: there is no module in it, it is empty"),
        ("binary.wat", "binary.wat:1:1: neither a Wasm binary nor WAT text in UTF-8"),
        ("truncated.wasm", "truncated.wasm"),
    ],
)
def test_contract_file_that_is_none_is_bad_input_at_the_line_of_its_name(
    run: Run, folder: Path, code: str, message: str
) -> None:
    (folder / "folder").mkdir()
    (folder / "dangling.wat").symlink_to("nowhere")
    (folder / "loop.wat").symlink_to("loop.wat")
    (folder / "empty.wat").touch()
    (folder / "binary.wat").write_bytes(bytes(range(255, 0, -1)))
    (folder / "truncated.wasm").write_bytes(b"\0asm\1\0\0\0\1")

    check_bad_input(run, transaction("").replace("box.wat", code), "it.toml:2: ", message)


@pytest.mark.parametrize(
    ("rest", "messages"),
    [
        ('method = "loop"\ngas = 10_000', ["(failed, gas 10,000)", "a failure: box at call depth 1: out of gas"]),
        ('method = "recurse"\ngas = 1_000_000_000', ["the call stack is exhausted", "(is a recursion without end?)"]),
        ('method = "load"\nargs = [65_529]', ["out of bounds memory access"]),
        ('method = "load"\nargs = [-8]', ["out of bounds memory access"]),
        ('method = "grow"\nargs = [65_535]\nexpect.value = 1', ["- wanted  1", "+ found   -1"]),
        ('method = "set"\nargs = [1, 2]\ngas = 0', ["out of gas"]),
        ('method = "set"\nargs = [1, 2]\nexpect.storage = [{ contract = "box", pages = 2 }]', ["- wanted  2 pages"]),
    ],
)
def test_transaction_that_fails_is_not_as_expected(run: Run, rest: str, messages: list[str]) -> None:
    check_fails(run, rest, "it.toml:", *messages)


def test_endless_loop_with_gas_to_last_ends_at_the_deadline(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storagemod.scenario.run.Limits", partial(Limits, deadline_seconds=0.1))

    check_fails(run, 'method = "loop"\ngas = 9_000_000_000_000_000_000', "stopped at the deadline (deadline_seconds)")


def test_storage_grows_to_its_limit_and_no_further(run: Run) -> None:
    grow = '[[transactions]]\nto = "box"\nmethod = "grow"\nargs = [{}]\nexpect.value = {}\n'
    Path("it.toml").write_text(
        CONTRACT
        + grow.format(65_535, -1)
        + grow.format(1_024, -1)
        + grow.format(1_023, 1)
        + grow.format(1, -1)
        + 'expect.storage = [{ contract = "box", pages = 1_024 }]\n'
    )

    ran = run("run", "it.toml")

    assert (ran.status, ran.err) == (0, "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it.toml: there is no transaction: add a table [[transactions]]"),
        ("\n\n# nothing but a comment\n", "it.toml: there is no transaction"),
        ("[[transactions\n", "it.toml:1: not TOML: "),
        ('a = "not closed\n', "it.toml:1: not TOML: "),
        ("[scenario]\n[scenario]\n", "it.toml:2: not TOML: "),
        (b"\x00\x01\x02", "it.toml:1: not TOML: "),
        (b"[scenario]\nname = '\xe9'\n", "it.toml:2: not text in UTF-8"),
        ("(module)", "it.toml:1: not TOML: "),
        ("x = " + "[" * 5_000 + "]" * 5_000, "it.toml:1: arrays or tables are nested deeper than 32"),
        ('[[transaction]]\nto = "box"\n', 'it.toml:1: unknown key "transaction" (did you mean "transactions"?)'),
    ],
)
def test_file_that_is_no_scenario_is_bad_input_with_one_message(run: Run, text: str | bytes, message: str) -> None:
    check_bad_input(run, text, f"error: {message}")


def test_file_with_very_many_problems_tells_the_first_ones_and_how_many_there_are(run: Run) -> None:
    check_bad_input(run, "".join(f"k{number} = 1\n" for number in range(2_000)), "2,000 problems", "… and 1,980 more")


def test_byte_order_mark_and_windows_line_ends_are_read_over_and_do_not_move_lines(run: Run, folder: Path) -> None:
    counter = '(module\r\n  ;; @storage\r\n  (memory $memory (export "memory") 1)\r\n  (func (export "f")))\r\n'
    (folder / "dos.wat").write_bytes(b"\xef\xbb\xbf" + counter.encode())
    (folder / "plain.wat").write_bytes(b'\xef\xbb\xbf(module (func (export "f")))')
    (folder / "bad.wat").write_bytes(b"\xef\xbb\xbf(module\r\n  (func bad))\r\n")
    scenario = "[contracts.x]\r\ncode = 'dos.wat'\r\n[[transactions]]\r\nto = 'x'\r\nmethod = 'f'\r\n"
    (folder / "good.toml").write_bytes(b"\xef\xbb\xbf" + scenario.encode())

    assert run("run", "good.toml").status == 0
    assert run("compile", "plain.wat", "dos.wat", "--link", "methods").status == 0
    assert run("compile", "bad.wat").err.startswith("error: bad.wat:2:9: ")
    check_bad_input(
        run, b"\xef\xbb\xbf" + (scenario + "expect.valeu = 1\r\n").encode(), 'it.toml:6: unknown key "valeu"'
    )


def test_names_that_a_file_chose_cannot_speak_to_the_terminal(run: Run, folder: Path) -> None:
    name = r'"\u001b[31mred\u009b\u202e\b"'
    (folder / "bad.wat").write_text('(module (import "\\1b[2J" "f" (func)))')
    (folder / "region.wat").write_text('(module (import "storage" "\\1b[2Jtext" (memory 1)))')
    Path("it.toml").write_text(
        f'[scenario]\nname = {name}\n[contracts.{name}]\ncode = "box.wat"\n'
        f'[[transactions]]\nto = {name}\nmethod = "grow"\nargs = [1]\n'
    )

    shown = [
        run("run", "it.toml", "-vvvv"),
        run("compile", "bad.wat"),
        run("inspect", "region.wat"),
        run("run", "\x1b[31m.toml"),
    ]

    assert [ran.status for ran in shown] == [0, 2, 0, 2]
    for ran in shown:
        assert r"\x1b[" in ran.out + ran.err
        assert (ran.out + ran.err).replace("\n", "").isprintable()


def test_unsigned_numbers_may_be_expected_as_they_may_be_given(run: Run) -> None:
    call = '[[transactions]]\nto = "box"\nmethod = "set"\nargs = [4_294_967_295, 18_446_744_073_709_551_615]\n'
    Path("it.toml").write_text(
        CONTRACT
        + call
        + "expect.value = 18_446_744_073_709_551_615\n"
        + call
        + "expect.value = -1\n"
        + call
        + "expect.value = 4_294_967_295\n"
    )

    ran = run("run", "it.toml")

    assert ran.status == 1
    assert ran.out.splitlines()[-1] == "2 of 3 transactions as expected (single)"


def test_lines_behind_the_first_keep_their_columns() -> None:
    """A compiler points at the line above, whether that begins with a number or a space."""
    assert continued("a.rs does not compile\nerror\n --> a.rs\n  |\n1 | fn x( {\n  |     ^").split("\n")[1:] == [
        "  error",
        "   --> a.rs",
        "    |",
        "  1 | fn x( {",
        "    |     ^",
    ]
    assert continued("a.wat:1:1: expected `(`\n    1 | x\n      | ^") == "a.wat:1:1: expected `(`\n    1 | x\n      | ^"


@pytest.mark.parametrize(
    "words",
    [
        ("explore", "reentry/withdraw", "--failures", "PLACE"),
        ("explore", "reentry/withdraw", "--write", "PLACE"),
        ("run", "bank/robbed", "--world", "PLACE"),
        ("snapshot", "bank/robbed", "--file", "PLACE"),
        ("compile", "box.wat", "-o", "PLACE"),
        ("state", "backup", "world", "PLACE"),
        ("state", "export", "world", "PLACE"),
        ("state", "import", "export", "PLACE"),
    ],
)
def test_a_place_within_a_file_is_refused_by_the_name_of_the_file(run: Run, words: tuple[str, ...]) -> None:
    Path("file").write_text("mine")
    World("world").close()
    export_state(MemoryPageStore(), Path("export"))
    places = ["file/inside"] if words[0] != "explore" else ["file/inside", "file"]
    for place in places:
        ran = run(*(place if word == "PLACE" else word for word in words))
        assert ran.status == 2, ran.err
        assert "file is a file, expected a directory" in ran.err
        assert Path("file").read_text() == "mine"


def test_a_reader_of_worlds_refuses_a_file(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    for words in (("list", file), ("verify", file), ("accept", file), ("diff", file, file)):
        ran = run("state", *words)
        assert (ran.status, ran.err) == (2, f"error: {file} is a file, and a world is a directory\n")
