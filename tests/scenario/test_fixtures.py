"""The contracts that come with the package: they compile under every option, and splicing changes nothing else."""

from pathlib import Path

import pytest
import wasmtime

from storagemod.errors import StorageModError, ValidationError
from storagemod.scenario import fixtures
from storagemod.scenario.fixtures import (
    fixture,
    fixture_names,
    needs_prelude,
    option_names,
    prelude,
    scenario_names,
    scenario_path,
    splice,
)

BANK = {"deposit": "i32 i64 ->", "withdraw": "i32 ->", "balance": "i32 -> i64", "total": "-> i64"}
TOKEN = {"mint": "i32 i64 ->", "transfer": "i32 i32 i64 -> i64", "balance_of": "i32 -> i64", "supply": "-> i64"}
POOL = {"join": "i32 i64 ->", "leave": "i32 ->", "price": "-> i64"}
LEDGER = {"deposit": "i32 i64 ->", "withdraw": "i32 ->", "transfer": "i32 i32 i64 ->", "balance": "i32 -> i64"}
DESK = {"deposit": "i32 i64 ->", "withdraw": "i32 ->", "balance": "i32 -> i64"}
COIN = {"mint": "i32 i64 ->", "transfer": "i32 i32 i64 ->", "balance": "i32 -> i64"}
STRONGBOX = {"deposit": "i32 ->", "withdraw": "i32 ->", "balance": "i32 -> i64"}
METHODS = {
    "bank/attacker": {"attack": "i32 i32 ->", "receive": "i64 ->", "loot": "-> i64"},
    "bank/bank": BANK,
    "bank/bank_fixed": BANK,
    "counter/counter": {"get": "-> i64", "increment": "-> i64", "add": "i64 -> i64"},
    "exchange/exchange": {
        "on_received": "i32 i64 ->",
        "sell": "i32 i64 ->",
        "credits_of": "i32 -> i64",
        "reserve": "-> i64",
    },
    "pingpong/ping": {"ping": "i32 -> i32", "visits": "-> i64"},
    "pingpong/pong": {"pong": "i32 -> i32", "visits": "-> i64"},
    "puppet/puppet": {"main": "->"},
    "reentry/pool": POOL,
    "reentry/pool_fixed": POOL,
    "reentry/coin": COIN,
    "reentry/coin_fixed": COIN,
    "reentry/desk": DESK,
    "reentry/desk_fixed": DESK,
    "reentry/ledger": LEDGER,
    "reentry/ledger_fixed": LEDGER,
    "reentry/lender": {"pledge": "i32 i64 ->", "borrow": "i32 i64 ->"},
    "reentry/strongbox": STRONGBOX,
    "reentry/strongbox_fixed": STRONGBOX,
    "reentry/till": {"take": "i64 ->", "pay": "i64 ->", "inside": "-> i64"},
    "token/token": TOKEN,
    "token/token_regions": TOKEN,
}

PRELUDE_FUNCTIONS = {
    "load_i32": "i32 -> i32",
    "load_i64": "i32 -> i64",
    "load_u8": "i32 -> i32",
    "store_i32": "i32 i32 ->",
    "store_i64": "i32 i64 ->",
    "store_u8": "i32 i32 ->",
    "copy_in": "i32 i32 i32 ->",
    "copy_out": "i32 i32 i32 ->",
    "storage_size": "-> i32",
    "storage_grow": "i32 -> i32",
    "spare_load": "i32 -> i64",
    "spare_store": "i32 i64 ->",
    "spare_size": "-> i32",
    "spare_grow": "i32 -> i32",
}

STORAGE_IMPORTS = {
    "single": {"memory"},
    "regions": {"memory", "spare"},
    "methods": {
        *("load_i32", "load_i64", "load_i32_8_u", "store_i32", "store_i64", "store_i32_8"),
        *("copy_in", "copy_out", "size", "grow"),
    },
    "keyed": {"storageLoad", "storageStore"},
    "copied": {"storageMap"},
    "paged": {"storageMap"},
    "aliased": {"storageMap"},
    "window": {"window", "storageMap"},
}
NAMESPACES = dict.fromkeys(("keyed", "copied", "paged", "aliased"), "ethereum")


@pytest.fixture(scope="module")
def engine() -> wasmtime.Engine:
    config = wasmtime.Config()
    config.wasm_multi_memory = True
    return wasmtime.Engine(config)


def methods(module: wasmtime.Module) -> dict[str, str]:
    """The exported functions of a module, each with its type in short: ``i32 i64 -> i64``."""
    return {
        export.name: " ".join(map(str, [*export.type.params, "->", *export.type.results]))
        for export in module.exports
        if isinstance(export.type, wasmtime.FuncType)
    }


def storage_imports(module: wasmtime.Module) -> dict[str | None, wasmtime.ImportType]:
    return {each.name: each for each in module.imports if each.module in {"storage", *NAMESPACES.values()}}


class TestFixtures:
    @pytest.mark.parametrize("option", option_names())
    @pytest.mark.parametrize("name", fixture_names())
    def test_compiles_under_every_option_and_offers_the_same_methods(
        self, engine: wasmtime.Engine, name: str, option: str
    ) -> None:
        module = wasmtime.Module(engine, fixture(name, option))
        assert methods(module) == METHODS[name]
        assert "memory" in [export.name for export in module.exports]

    @pytest.mark.parametrize("option", option_names())
    def test_imports_the_storage_that_its_option_offers_and_nothing_else(
        self, engine: wasmtime.Engine, option: str
    ) -> None:
        module = wasmtime.Module(engine, fixture("counter/counter", option))
        both = {"storage", "ethereum"}
        assert {each.module for each in module.imports} == (
            both if option == "window" else {NAMESPACES.get(option, "storage")}
        )
        assert set(storage_imports(module)) == STORAGE_IMPORTS[option]

    def test_regions_have_the_limits_that_they_are_documented_with(self, engine: wasmtime.Engine) -> None:
        spliced = storage_imports(wasmtime.Module(engine, fixture("counter/counter", "regions")))
        native = storage_imports(wasmtime.Module(engine, fixture("token/token_regions")))
        limits = {
            name: (each.type.limits.min, each.type.limits.max)
            for name, each in (spliced | native).items()
            if isinstance(each.type, wasmtime.MemoryType)
        }
        assert limits == {"memory": (1, None), "spare": (0, 16), "balances": (1, 16), "supply": (1, 1)}

    @pytest.mark.parametrize("option", option_names())
    def test_every_line_keeps_its_number(self, option: str) -> None:
        plain = fixtures._wat_folder().joinpath("bank", "bank.wat").read_text(encoding="utf-8").splitlines()
        spliced = fixture("bank/bank", option).splitlines()
        assert len(spliced) == len(plain)
        assert [(old, new) for old, new in zip(plain, spliced, strict=True) if old != new] == [
            ("  ;; @storage", spliced[plain.index("  ;; @storage")])
        ]

    def test_one_without_a_storage_line_is_the_same_under_every_option(self) -> None:
        assert not needs_prelude(fixture("token/token_regions"))
        assert len({fixture("token/token_regions", option) for option in option_names()}) == 1

    def test_preludes_are_no_fixtures(self) -> None:
        assert set(fixture_names()) == set(METHODS)
        assert option_names() == ("aliased", "copied", "keyed", "methods", "paged", "regions", "single", "window")

    @pytest.mark.parametrize("name", ["bank/bnak", "bank/bank.wat", "bank"])
    def test_an_unknown_one_is_refused_with_a_suggestion(self, name: str) -> None:
        with pytest.raises(ValidationError, match=r"no fixture '.*did you mean .*bank/bank"):
            fixture(name)

    @pytest.mark.parametrize("name", ["", "../../etc/passwd", "storage/single"])
    def test_nothing_outside_the_folder_or_among_the_preludes_is_read(self, name: str) -> None:
        with pytest.raises(ValidationError, match="no fixture"):
            fixture(name)

    @pytest.mark.parametrize("name", ["counter/counter", "token/token_regions"])
    def test_an_unknown_option_is_refused_with_a_suggestion(self, name: str) -> None:
        with pytest.raises(ValidationError, match=r"no linking option 'singel'.*did you mean single"):
            fixture(name, "singel")
        with pytest.raises(ValidationError, match=r"there are aliased, copied, keyed, methods, .*, single, window"):
            fixture(name, "zzz")


class TestScenarios:
    def test_are_the_toml_files_beside_the_contracts(self) -> None:
        assert {"bank/robbed", "exchange/change"} <= set(scenario_names())
        for name in scenario_names():
            assert scenario_path(name).read_text(encoding="utf-8").startswith("# ")

    def test_say_how_they_are_run(self) -> None:
        for name in scenario_names():
            assert f"# Run it with: storagemod run {name}" in scenario_path(name).read_text(encoding="utf-8")

    def test_unknown_name_is_an_error_with_the_nearest_ones(self) -> None:
        with pytest.raises(ValidationError, match=r"there is no scenario 'bank/rob' \(did you mean bank/robbed"):
            scenario_path("bank/rob")


class TestPreludes:
    @pytest.mark.parametrize("option", option_names())
    def test_offer_the_same_interface(self, engine: wasmtime.Engine, option: str) -> None:
        exports = " ".join(f'(export "{name}" (func ${name}))' for name in PRELUDE_FUNCTIONS)
        source = f'(module\n;; @storage\n(memory $memory (export "memory") 1) {exports})'
        module = wasmtime.Module(engine, splice(source, prelude(option)))
        assert methods(module) == PRELUDE_FUNCTIONS


class TestSplice:
    @pytest.mark.parametrize(
        ("text", "line"),
        [
            ("(a)\n\n  (b)\n", "(a) (b)"),
            (";; one\n(a) ;; two\n(b)", "(a) (b)"),
            ("(a);; at the end of the text", "(a)"),
            ("(a(; a (; nested ;) comment ;)b)", "(a b)"),
            ('(a ";; no comment" (b "(; nor this ;)"))', '(a ";; no comment" (b "(; nor this ;)"))'),
            (r'(a "a quote \" and ;; more" "\\") ;; comment', r'(a "a quote \" and ;; more" "\\")'),
            ('(a "two  spaces")', '(a "two  spaces")'),
            (';; "not a string\n(a)', "(a)"),
            ('(; "not a string ;)(a)', "(a)"),
            ("", ""),
        ],
    )
    def test_joins_the_prelude_to_one_line_without_comments(self, text: str, line: str) -> None:
        assert splice("(module\n  ;; @storage\n)", text) == f"(module\n{line}\n)"

    @pytest.mark.parametrize("text", ['(a "open)', "(a (; open)", "(a (; (; ;) open)", r'"\"'])
    def test_refuses_a_prelude_that_is_cut_off(self, text: str) -> None:
        with pytest.raises(ValidationError, match="is not closed"):
            splice(";; @storage", text)

    @pytest.mark.parametrize(("source", "count"), [("(module)", 0), (";; @storage\n;; @storage", 2)])
    def test_wants_exactly_one_place(self, source: str, count: int) -> None:
        with pytest.raises(ValidationError, match=f"not {count}"):
            splice(source, "(a)")

    @pytest.mark.parametrize("source", [";; the line @storage", ";; @storage is missing", "(a) ;; @storage"])
    def test_only_a_line_of_its_own_is_a_place(self, source: str) -> None:
        assert not needs_prelude(source)
        assert needs_prelude(f"{source}\n\t;; @storage  \n")
        assert needs_prelude(f"{source}\n;;@storage\n")


class TestFolder:
    @pytest.fixture
    def package(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """An empty installation of the package."""
        monkeypatch.setattr(fixtures, "__file__", str(tmp_path / "package" / "scenario" / "fixtures.py"))
        monkeypatch.setattr(fixtures, "_wat_folder", fixtures._wat_folder.__wrapped__)
        return tmp_path / "package"

    def test_what_is_in_the_package_goes_before_what_is_beside_it(self, package: Path) -> None:
        for folder, name in [(package / "_wat", "inside"), (package.parent / "wat", "beside")]:
            (folder / "storage").mkdir(parents=True)
            (folder / "storage" / f"{name}.wat").touch()
        assert option_names() == ("inside",)

    def test_what_is_beside_a_checkout_is_found(self, package: Path) -> None:
        (package.parent / "wat" / "storage").mkdir(parents=True)
        (package.parent / "wat" / "storage" / "beside.wat").touch()
        assert option_names() == ("beside",)

    def test_a_folder_of_another_project_is_not_taken_for_ours(self, package: Path) -> None:
        (package.parent / "wat").mkdir()
        with pytest.raises(StorageModError, match="missing from this installation"):
            fixture_names()
