"""How scenarios say in which way `ethereum.storageMap` is carried out."""

from __future__ import annotations

from pathlib import Path

import pytest

from storagemod import StorageMapping, World
from storagemod.errors import ScenarioError
from storagemod.scenario import Scenario, ScenarioFileError, ScenarioResult, parse_scenario, run_scenario
from storagemod.scenario.compare import compare_scenario, variants
from storagemod.types import ExclusivePolicy, SyncPolicy

# A contract that calls itself back, and gives what it has in its first bytes after that. What a test says of it is on
# line 3 of the file. It maps storage itself, or leaves that open.
MAPS = '''
[contracts.it]
{keys}
wat = """
(module
  (import "contract:it" "set" (func $set (param i32)))
  (import "ethereum" "storageMap" (func $map (param i32 i32 i32)))
  (memory (export "memory") 1)
  (func (export "set") (param i32)
    (call $map (i32.const 0) (i32.const 0) (i32.const 4))
    (i32.store8 (i32.const 0) (local.get 0)))
  (func (export "re_enter") (result i32)
    (call $map (i32.const 0) (i32.const 0) (i32.const 4))
    (i32.store8 (i32.const 1) (i32.const 1))
    (call $set (i32.const 7))
    (i32.load (i32.const 0))))
"""
links = {{ it = "it" }}
[[transactions]]
to = "it"
method = "re_enter"
'''

OPEN = '''
[contracts.it]
{keys}
wat = """
(module
  (import "contract:it" "set" (func $set (param i32)))
  ;; @storage
  (memory $memory (export "memory") 3)
  (func (export "set") (param i32) (call $store_u8 (i32.const 0) (local.get 0)))
  (func (export "re_enter") (result i32)
    (call $store_u8 (i32.const 1) (i32.const 1))
    (call $set (i32.const 7))
    (call $load_i32 (i32.const 0))))
"""
links = {{ it = "it" }}
[[transactions]]
to = "it"
method = "re_enter"
'''

HELD = ExclusivePolicy.TRANSACTION

IN_LINE, STALE = 0x0107, 0x0100


def scenario(text: str, keys: str = "") -> Scenario:
    return parse_scenario(text.format(keys=keys), path="file.toml", folder=Path())


def run(
    text: str,
    keys: str = "",
    *,
    link: str | None = None,
    sync: SyncPolicy | None = None,
    exclusive: ExclusivePolicy | None = None,
    world: World | None = None,
) -> ScenarioResult:
    return run_scenario(scenario(text, keys), link=link, sync=sync, exclusive=exclusive, world=world)


def value(result: ScenarioResult) -> object:
    receipt = result.transactions[0].receipt
    assert receipt is not None
    return receipt.raise_for_error().value


def error_code(result: ScenarioResult) -> object:
    receipt = result.transactions[0].receipt
    assert receipt is not None
    error = receipt.error
    while error is not None and getattr(error, "code", None) == "callee_failed":
        error = error.cause  # type: ignore[assignment] # of a call that failed
    return getattr(error, "code", None)


def mapping(text: str, keys: str = "", **asked: object) -> StorageMapping | None:
    world = World()
    run(text, keys, world=world, **asked)  # type: ignore[arg-type]
    (it,) = (account for account in world.accounts().values() if account.name == "it")
    return it.mapping


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ("", IN_LINE),
        ("mapping = 'copied'", IN_LINE),
        ("sync = 'call'", IN_LINE),
        ("sync = 'end'", STALE),
        ("mapping = 'copied'\nsync = 'none'", STALE),
        ("mapping = 'paged'\nframe_bytes = 8\nexclusive = true", IN_LINE),
    ],
)
def test_a_contract_that_maps_storage_says_how(keys: str, found: int) -> None:
    assert value(run(MAPS, keys)) == found


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        ("sync = 'revision'", "newer_revision"),
        ("mapping = 'paged'\nexclusive = 'transaction'", "frame_held"),
        ("mapping = 'aliased'\nexclusive = 'transaction'", "frame_held"),
    ],
)
def test_a_call_that_a_policy_refuses_fails_with_the_code_of_the_policy(keys: str, code: str) -> None:
    assert error_code(run(MAPS, keys)) == code


@pytest.mark.parametrize(
    ("keys", "asked", "expected"),
    [
        ("", {}, StorageMapping()),
        ("", {"link": "copied"}, StorageMapping("copied")),
        ("", {"link": "paged"}, StorageMapping("paged")),
        ("", {"sync": SyncPolicy.END}, StorageMapping("copied", "end")),
        ("", {"link": "paged", "sync": SyncPolicy.END}, StorageMapping("paged")),
        ("sync = 'none'", {"link": "copied", "sync": SyncPolicy.END}, StorageMapping("copied", "none")),
        ("sync = 'none'", {"link": "paged"}, StorageMapping("paged")),
        ("frame_bytes = 64", {"link": "paged"}, StorageMapping("paged", frame_bytes=64)),
        ("frame_bytes = 64\nexclusive = false", {"link": "copied"}, StorageMapping("copied")),
        ("mapping = 'paged'", {"sync": SyncPolicy.END}, StorageMapping("paged")),
        ("mapping = 'paged'\nexclusive = true", {"link": "paged"}, StorageMapping("paged", exclusive="call")),
        ("exclusive = 'transaction'", {"link": "paged"}, StorageMapping("paged", exclusive="transaction")),
        ("", {"link": "paged", "exclusive": HELD}, StorageMapping("paged", exclusive="transaction")),
        ("", {"link": "aliased", "exclusive": HELD}, StorageMapping("aliased", exclusive="transaction")),
        ("", {"link": "copied", "exclusive": HELD}, StorageMapping("copied")),
        ("exclusive = false", {"link": "paged", "exclusive": HELD}, StorageMapping("paged")),
        ("mapping = 'paged'", {"exclusive": HELD}, StorageMapping("paged", exclusive="transaction")),
        ("", {"sync": SyncPolicy.REVISION, "exclusive": HELD}, StorageMapping("copied", "revision")),
    ],
)
@pytest.mark.parametrize("text", [MAPS, OPEN])
def test_what_the_file_says_goes_before_what_the_run_is_asked_for(
    text: str, keys: str, asked: dict[str, object], expected: StorageMapping
) -> None:
    if text is OPEN and "link" not in asked and "mapping" not in keys:
        assert mapping(text, keys, **asked) is None  # under `single`, which has none
    else:
        assert mapping(text, keys, **asked) == expected


@pytest.mark.parametrize(("link", "sync", "found"), [
    ("single", None, IN_LINE),
    ("copied", SyncPolicy.CALL, IN_LINE),
    ("copied", SyncPolicy.END, STALE),
    ("copied", SyncPolicy.NONE, STALE),
    ("paged", None, IN_LINE),
])  # fmt: skip
def test_a_policy_for_the_whole_run_is_kept(link: str, sync: SyncPolicy | None, found: int) -> None:
    assert value(run(OPEN, link=link, sync=sync)) == found
    if link != "single":
        assert value(run(MAPS, link=link, sync=sync)) == found


def test_a_result_has_the_policy_if_there_was_a_contract_that_it_is_for() -> None:
    assert run(OPEN, link="copied", sync=SyncPolicy.END).sync is SyncPolicy.END
    assert run(OPEN, link="copied").sync is None
    assert run(OPEN, link="single", sync=SyncPolicy.END).sync is None
    assert run(OPEN, "sync = 'call'", link="copied", sync=SyncPolicy.END).sync is None


def test_an_open_contract_that_names_a_mapping_has_its_prelude() -> None:
    assert mapping(OPEN, "mapping = 'paged'\nframe_bytes = 4096") == StorageMapping("paged")
    assert value(run(OPEN, "mapping = 'copied'\nsync = 'end'")) == STALE


def test_a_contract_that_names_a_mapping_is_compared_under_that_only() -> None:
    comparison = compare_scenario(scenario(OPEN, "mapping = 'paged'"), variants())
    assert [str(each.variant) for each in comparison.compared] == ["paged", "paged, transaction"]
    assert len(comparison.refused) == len(variants()) - 2
    assert all("`mapping` says 'paged'" in reason for reason in comparison.refused.values())


@pytest.mark.parametrize("text", [MAPS, OPEN])
@pytest.mark.parametrize("link", ["single", "keyed", "copied"])
def test_a_contract_that_names_a_mapping_leaves_no_option_open(text: str, link: str) -> None:
    with pytest.raises(ScenarioError) as raised:
        run(text, "\nmapping = 'paged'", link=link)
    assert str(raised.value) == (
        f"file.toml:4: contract \"it\": the linking option '{link}' is asked for, but `mapping` says 'paged' "
        "(to leave the option open, leave out `mapping`)"
    )


@pytest.mark.parametrize("link", ["single", "regions", "methods", "keyed"])
def test_a_contract_that_maps_storage_itself_runs_under_no_other_option(link: str) -> None:
    with pytest.raises(ScenarioError, match=rf'contract "it": .*{link}.* in its own way: aliased, copied, paged'):
        run(MAPS, link=link)


@pytest.mark.parametrize("key", ["mapping = 'copied'", "sync = 'end'", "frame_bytes = 8", "exclusive = true"])
@pytest.mark.parametrize("source", ['(import "storage" "memory" (memory 1))', ""])
def test_keys_about_mapping_are_refused_where_nothing_is_mapped(key: str, source: str) -> None:
    text = f"[contracts.it]\nwat = '(module {source} (func (export \"f\")))'\n{key}\n[[transactions]]\nto = 'it'\n"
    with pytest.raises(ScenarioError) as raised:
        run_scenario(parse_scenario(text, path="file.toml", folder=Path()))
    assert str(raised.value) == (
        f'file.toml:3: contract "it": `{key.split(maxsplit=1)[0]}` is given, '
        "but the contract does not import ethereum.storageMap"
    )


@pytest.mark.parametrize(
    ("keys", "problems"),
    [
        (
            "mapping = 'page'",
            ['file.toml:3: "page" is no linking option that maps storage (did you mean "paged"?)'],
        ),
        ("mapping = 'keyed'", ['file.toml:3: "keyed" is no linking option that maps storage: copied, paged, aliased']),
        ("mapping = true", ["file.toml:3: wanted a linking option, found a boolean"]),
        ("sync = 'ende'", ['file.toml:3: "ende" is no sync policy (did you mean "end"?)']),
        ("sync = 'always'", ['file.toml:3: "always" is no sync policy: call, end, none, revision']),
        ("sync = 0", ["file.toml:3: wanted a sync policy, found an integer"]),
        ("frame_bytes = 12", ["file.toml:3: a frame is a power of two of bytes from 8 to 65,536, not 12"]),
        ("frame_bytes = true", ["file.toml:3: wanted an integer, found a boolean"]),
        ("exclusive = 'yes'", ['file.toml:3: "yes" is no exclusive policy: none, call, transaction']),
        ("exclusive = 'cal'", ['file.toml:3: "cal" is no exclusive policy (did you mean "call"?)']),
        ("exclusive = 1", ["file.toml:3: wanted an exclusive policy, found an integer"]),
        ("frame_size = 8", ['file.toml:3: unknown key "frame_size" (did you mean "frame_bytes"?)']),
        (
            "mapping = 'paged'\nsync = 'end'",
            ["file.toml:4: `sync` is for contracts that are copied, and `mapping` says paged"],
        ),
        (
            "mapping = 'copied'\nframe_bytes = 8\nexclusive = false",
            [
                "file.toml:4: `frame_bytes` is for contracts that are paged or aliased, and `mapping` says copied",
                "file.toml:5: `exclusive` is for contracts that are paged or aliased, and `mapping` says copied",
            ],
        ),
    ],
)
def test_keys_that_say_nothing_are_told_each_with_its_line(keys: str, problems: list[str]) -> None:
    with pytest.raises(ScenarioError) as raised:
        scenario(MAPS, keys)
    error = raised.value
    found = list(map(str, error.problems)) if isinstance(error, ScenarioFileError) else [str(error)]
    assert found == problems


def test_a_contract_that_stands_stays_as_it_is_and_is_not_taken_for_one_that_is_mapped_otherwise() -> None:
    world = World()
    assert run(OPEN, link="paged", world=world).ok
    root = world.state_root
    with pytest.raises(ScenarioError) as raised:
        run(OPEN, link="copied", world=world)
    assert "in the world its storage is mapped otherwise: paged, frames of 4,096 bytes, and copied, sync call" in (
        str(raised.value)
    )
    assert world.state_root == root
    assert run(OPEN, link="paged", world=world).ok


@pytest.mark.parametrize(
    ("keys", "sync"), [("sync = 'none'", None), ("", SyncPolicy.NONE), ("mapping = 'paged'", None)]
)
def test_a_contract_that_stands_and_is_mapped_otherwise_than_asked_for_is_an_error(
    keys: str, sync: SyncPolicy | None
) -> None:
    world = World()
    run(MAPS, "sync = 'end'", world=world)
    assert value(run(MAPS, world=world)) == IN_LINE  # it stands, and has 7 by now
    with pytest.raises(ScenarioError, match="mapped otherwise: copied, sync end, and "):
        run(MAPS, keys, sync=sync, world=world)
