"""Traps and lack of gas name the function: by its identifier, or else by its export."""

from __future__ import annotations

import pytest

from storagemod import OutOfGasError, TrapError, World
from storagemod.scenario.fixtures import prelude, splice
from storagemod.vm import option_names

CODE = """(module
  ;;@storage
  (memory $memory (export "memory") 3)
  (func $named (export "first") unreachable)
  (func (export "second") (export "alias") unreachable)
  (func (export "third") (call $deeper))
  (func $deeper unreachable)
  (func (export "endless") (loop (br 0)))
  (func (export "evil\\nname\\1b[31m") unreachable))"""


def failure(world: World, address: object, method: str) -> TrapError:
    receipt = world.call(address, method)  # type: ignore[arg-type]
    assert isinstance(receipt.error, TrapError)
    return receipt.error


@pytest.mark.parametrize("option", option_names())
def test_trap_names_the_function_under_every_option(world: World, option: str) -> None:
    code = splice(CODE, prelude(option))
    address = world.deploy(code, name="it")

    for method, name in {"first": "named", "second": "second", "alias": "second", "third": "deeper"}.items():
        error = failure(world, address, method)
        assert str(error) == f"it at call depth 1: `unreachable` was executed in {name}"
        assert error.function == name
    receipt = world.call(address, "endless", gas=1_000)
    assert isinstance(receipt.error, OutOfGasError)
    assert receipt.error.message == "out of gas in endless"


def test_name_that_an_export_chooses_stays_in_its_line(world: World) -> None:
    address = world.deploy(splice(CODE, prelude("single")), name="it")

    assert failure(world, address, "evil\nname\x1b[31m").message.endswith(r"in 'evil\nname\x1b[31m'")


def test_function_that_has_no_name_has_a_number(world: World) -> None:
    address = world.deploy('(module (func (export "f") (call 1)) (func unreachable))')

    assert failure(world, address, "f").function == "function 1"


def test_code_keeps_its_bytes(world: World) -> None:
    address = world.deploy('(module (func (export "f") unreachable))')

    assert b"name" not in world.account(address).code
