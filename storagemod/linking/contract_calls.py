"""Typed calls from contract to contract: ``(import "contract:NAME" "method" (func ...))``."""

from __future__ import annotations

from typing import Protocol

from attrs import frozen

from storagemod.errors import LinkError
from storagemod.types import FunctionType, Value
from storagemod.wasm import HostFunction, Import

PREFIX = "contract:"

_CATCH = "?"


@frozen
class ContractImport:
    """A function that a contract imports from another.

    Attributes:
        link: The name that deployment binds to an address.
        method: The export that is called.
        type: The type that the callee's export must have.
        catches: Whether a failed callee leaves the caller running: the import's name ends in ``?``, and its first
            result is the outcome.
    """

    link: str
    method: str
    type: FunctionType
    catches: bool


class LinkedCallContext(Protocol):
    """What such an import needs of the running call."""

    def call_linked(self, callee: ContractImport, args: tuple[Value, ...]) -> tuple[Value, ...]:
        """Call the contract that the link is bound to, and give the import's results."""


def contract_import(item: Import) -> ContractImport:
    """Read an import from a ``contract:`` namespace.

    Raises:
        LinkError: It cannot be a typed call.
    """
    link, method, catches = item.module.removeprefix(PREFIX), item.name.removesuffix(_CATCH), item.name.endswith(_CATCH)
    if not link or not method:
        raise LinkError(
            f"{item}: a contract import names a contract and a method", hint='as in "contract:token" "mint"'
        )
    if not isinstance(item.type, FunctionType):
        raise LinkError(f"{item}: only functions of numbers can be imported from a contract")
    function_type = item.type
    if catches:
        if function_type.results[:1] != ("i32",):
            raise LinkError(
                f"{item}: a name that ends in {_CATCH!r} adds one i32 result before the callee's own: "
                f"wanted {function_type}, offered {_with_outcome(function_type)}"
            )
        function_type = FunctionType(function_type.params, function_type.results[1:])
    return ContractImport(link, method, function_type, catches)


def _with_outcome(function_type: FunctionType) -> FunctionType:
    return FunctionType(function_type.params, ("i32", *function_type.results))


def linked_function(item: Import, callee: ContractImport) -> HostFunction:
    """The host function that stands behind a contract import."""
    assert isinstance(item.type, FunctionType)  # noqa: S101 - contract_import() refuses others
    single = len(item.type.results) == 1

    def call(context: LinkedCallContext, *args: Value) -> Value | tuple[Value, ...]:
        results = context.call_linked(callee, args)
        return results[0] if single else results

    return HostFunction(item.module, item.name, item.type, call)
