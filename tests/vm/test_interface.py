"""Every method has the published signature, and contracts that import it with another one are refused."""

from __future__ import annotations

import pytest

from storagemod import Contract
from storagemod.errors import LinkError, ValidationError
from storagemod.types import FunctionType
from storagemod.vm import DEBUG_FUNCTIONS, FUNCTIONS
from storagemod.vm.options import served_names
from tests.vm.interface import ALIASES, DEBUG_METHODS, METHODS, Method, import_of

EVERY = {**METHODS, **{alias: METHODS[name] for alias, name in ALIASES.items()}}


def contract_importing(*imports: str, memory: str = '(memory (export "memory") 1)') -> str:
    return f'(module {" ".join(imports)} {memory} (func (export "main")))'


def wrong_types(method: Method) -> dict[str, FunctionType]:
    params, results = method.type.params, method.type.results
    return {
        "one parameter more": FunctionType((*params, "i32"), results),
        "one parameter less": FunctionType(params[:-1], results) if params else FunctionType(("i64",), results),
        "a wider parameter": FunctionType(("i64" if params[:1] == ("i32",) else "f32", *params[1:]), results),
        "another result": FunctionType(params, () if results else ("i32",)),
        "a result of another type": FunctionType(params, ("f64",)),
    }


def test_the_table_has_the_methods_of_the_interface_their_older_names_and_no_others() -> None:
    assert FUNCTIONS.keys() | served_names("ethereum") == EVERY.keys() | {"storageMap", "storageUnmap", "storageSize"}
    assert DEBUG_FUNCTIONS.keys() | served_names("debug") == DEBUG_METHODS.keys()


@pytest.mark.parametrize("name", EVERY)
def test_a_method_can_be_imported_with_its_published_signature(name: str) -> None:
    contract = Contract.load(contract_importing(import_of(name, EVERY[name].type)))
    assert contract.imports[0].type == EVERY[name].type


@pytest.mark.parametrize("wrong", wrong_types(Method("")))
@pytest.mark.parametrize("name", EVERY)
def test_a_method_cannot_be_imported_with_another_signature(name: str, wrong: str) -> None:
    wanted = wrong_types(EVERY[name])[wrong]
    with pytest.raises(LinkError) as refused:
        Contract.load(contract_importing(import_of(name, wanted)))
    assert f'import "ethereum" "{name}" does not match: wanted {wanted}, offered {EVERY[name].type}' in str(
        refused.value
    )


@pytest.mark.parametrize("name", EVERY)
def test_a_method_that_reads_or_writes_memory_needs_one_to_be_exported(name: str) -> None:
    code = contract_importing(import_of(name, EVERY[name].type), memory="(memory 1)")
    if not EVERY[name].ranges:
        assert Contract.load(code).code
        return
    with pytest.raises(ValidationError) as refused:
        Contract.load(code)
    assert f"ethereum.{name}" in str(refused.value)
    assert 'a memory has to be exported as "memory"' in str(refused.value)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("getAdress", "did you mean 'getAddress'?"),
        ("storageLod", "did you mean 'storageLoad'?"),
        ("callDatacopy", "did you mean 'callDataCopy'?"),
        ("foobar", "offered: call, callCode, callDataCopy"),
    ],
)
def test_an_unknown_method_is_refused_with_what_was_meant(name: str, hint: str) -> None:
    with pytest.raises(LinkError) as refused:
        Contract.load(contract_importing(import_of(name, FunctionType())))
    assert f'"ethereum" offers no "{name}"' in str(refused.value)
    assert hint in str(refused.value)


def test_a_method_cannot_be_imported_as_a_memory() -> None:
    with pytest.raises(LinkError, match="does not match"):
        Contract.load('(module (import "ethereum" "call" (memory 1)) (func (export "main")))')
