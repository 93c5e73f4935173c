"""A contract: validated code, the layout of its storage, and what it imports of the host and of other contracts."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import attrs
from attrs import field, frozen

from storagemod.errors import LinkError, StorageModError, ValidationError, shown
from storagemod.languages import compile_source, is_source
from storagemod.limits import Limits
from storagemod.process_memory import read_bytes
from storagemod.trace import RecordedCode
from storagemod.types import (
    MAP_OPTIONS,
    METHODS_OPTIONS,
    WASM_PAGE_BYTES,
    Address,
    FunctionType,
    MemoryType,
    ValidationMode,
    Value,
    parse_enum,
)
from storagemod.vm import ethereum
from storagemod.vm import layout as layouts
from storagemod.vm.keyed import Keyed
from storagemod.vm.layout import Layout, Region
from storagemod.vm.methods import COPIES, GROW, Methods, accessor_of, accessor_types, with_memory
from storagemod.vm.options import OPTIONS, check_option_name, is_storage, option_for, options_for, served_names
from storagemod.vm.shared_memories import Single
from storagemod.vm.storage_map import StorageMapOption
from storagemod.vm.window import window_type
from storagemod.wasm import (
    RAW_VALUE_BYTES,
    TABLE_ELEMENT_BYTES,
    WASM_MAGIC,
    Declarations,
    HostFunction,
    Import,
    Module,
    Watched,
    compile_module,
    raw_values,
    read_source,
    to_wasm,
    with_line,
)

if TYPE_CHECKING:
    from storagemod.vm.frame import Frame

MEMORY_EXPORT = "memory"
"""The export through which host functions read and write a contract's memory."""

MAIN = "main"
"""The entry point of a call with call data."""

PREFIX = "contract:"
"""What the namespaces of imports from other contracts begin with."""

_CATCH = "?"

_USES_KEPT = 64
"""Contracts that are remembered for one module: under several rules and names."""


@frozen(cache_hash=True)
class CodeRules:
    """What code has to be, to be a contract of a world.

    Attributes:
        limits: What bounds it.
        mode: ``relaxed`` or ``ewasm``.
        debug: Whether it may import from ``debug``.
        recorded: Whether it is compiled to record what it does.
    """

    limits: Limits = field(factory=Limits)
    mode: ValidationMode = ValidationMode.RELAXED
    debug: bool = False
    recorded: bool = False


@frozen
class ContractImport:
    """A function that a contract imports from another.

    Attributes:
        link: The name that deployment binds to an address.
        method: The export that is called.
        type: The type that the callee's export must have.
        catches: Whether the caller goes on after a failed call: the import's name ends in ``?``, and its first result
            is the outcome.
    """

    link: str
    method: str
    type: FunctionType
    catches: bool
    results_bytes: int = field(init=False, repr=False)
    """Length of the callee's results where wasm has them."""
    _args_bytes: int = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        """Work out lengths."""
        object.__setattr__(self, "results_bytes", RAW_VALUE_BYTES * len(self.type.results))
        object.__setattr__(self, "_args_bytes", RAW_VALUE_BYTES * len(self.type.params))

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name of the import."""
        return PREFIX + self.link, self.method + _CATCH * self.catches

    def raw_args(self, values: int) -> tuple[object, ...]:
        """Return the arguments at an address as raw events have them."""
        return (self.type.params, read_bytes(values, self._args_bytes)) if self._args_bytes else ()


class EntryPoint:
    """A function that calls can enter, with the layout of its numbers where wasm has them: 16 bytes each.

    Attributes:
        name: Its export.
        type: Its type.
        wanted: A type that a caller wanted last, and that is equal to it.
        count: How many values there must be room for: arguments, and results in their place.
        results_bytes: Length of the results.
    """

    __slots__ = ("_params", "_results", "count", "name", "results_bytes", "type", "wanted")

    def __init__(self, name: str, function_type: FunctionType) -> None:
        self.name = name
        self.type = self.wanted = function_type
        self.count = max(len(function_type.params), len(function_type.results))
        self._params = raw_values(function_type.params)
        self._results = raw_values(function_type.results)
        self.results_bytes = self._results.size

    def pack(self, args: tuple[Value, ...]) -> bytes:
        """Return arguments as wasm takes them. Integers are signed; numbers for f32 parameters are rounded."""
        if "f32" in self.type.params:
            pairs = zip(self.type.params, args, strict=True)
            args = tuple(ctypes.c_float(arg).value if kind == "f32" else arg for kind, arg in pairs)
        return self._params.pack(*args)

    def raw_results(self, values: int) -> tuple[object, ...]:
        """Return the results at an address as raw events have them."""
        return self.type.results, read_bytes(values, self.results_bytes)

    def unpack(self, raw: bytes) -> tuple[Value, ...]:
        """Return results as numbers, integers signed."""
        return self._results.unpack(raw)


@frozen(eq=False)
class Contract:
    """Code that passed as a contract. It is bound to no address and no world.

    Attributes:
        name: What to call it in messages.
        code: The Wasm binary, as its account has it.
        module: The compiled module: of this binary, or of one in which instructions replace calls (``link``).
        layout: The regions of storage that its imports ask for.
        options: The names of the linking options that it uses, or can run under where several map storage.
        link: The linking option that it was loaded for, in place of ``methods``, which its imports ask for.
        entry_points: The types of the exported functions that can be called, by name.
        entries: The same functions, ready to be entered.
        contract_imports: What it imports from other contracts.
        functions: What the host offers to it, by namespace and name.
        storage_imports: Its imports of storage memories and functions, without those that ``link`` replaces.
        memory_region: The region of storage that it exports as its memory, or ``None`` where that is its own.
        bulk_storage: Whether it may access storage by instructions that the host carries out, such as ``memory.copy``.
        bulk_memory: Whether it may access any memory by such instructions.
        grows_storage: Whether it has a way to grow storage itself.
        grows_memory: Whether it can make a working memory longer.
        lasting_pages: Wasm pages that its tables of functions take, if it changes them: they cannot be put back.
        working_pages: Wasm pages that a call of it has from the start: its working memories, and its tables.
        has_own_parts: Whether an instance has memories, tables or active segments of its own.
        mediated_by: What needs the host at each border of its calls; empty if they can be direct.
        recorded: What it records, if it does.
        unseen: Why it does not, where it was to.
    """

    name: str
    code: bytes = field(repr=False)
    module: Module = field(repr=False)
    layout: Layout
    options: frozenset[str]
    link: str | None
    entry_points: Mapping[str, FunctionType] = field(repr=False)
    entries: Mapping[str, EntryPoint] = field(repr=False)
    contract_imports: tuple[ContractImport, ...] = field(repr=False)
    functions: Mapping[tuple[str, str], HostFunction] = field(repr=False)
    storage_imports: tuple[Import, ...] = field(repr=False)
    memory_region: str | None
    bulk_storage: bool
    bulk_memory: bool
    grows_storage: bool
    grows_memory: bool
    lasting_pages: int
    working_pages: int
    has_own_parts: bool
    mediated_by: str
    recorded: RecordedCode | None = None
    unseen: str = ""

    @property
    def imports(self) -> tuple[Import, ...]:
        """All of its imports, in order. The last one is the memory that ``link`` adds."""
        return self.module.imports

    @classmethod
    def load(
        cls,
        source: str | bytes | Path,
        *,
        name: str | None = None,
        limits: Limits | None = None,
        mode: ValidationMode | str = ValidationMode.RELAXED,
        debug: bool = False,
        link: str | None = None,
    ) -> Contract:
        """Compile and validate a contract: WAT text, a Wasm binary, or the path of a file of either.

        A path can be of a file in C, Zig, AssemblyScript or Rust as well (:mod:`storagemod.languages`). Text without a
        parenthesis is taken for a path.

        Args:
            source: The contract.
            name: What to call it in messages; by default the name of the file.
            limits: What bounds it.
            mode: What it has to be: ``relaxed`` or ``ewasm``.
            debug: Whether it may import from ``debug``.
            link: The linking option that it is to run under. A contract that imports the functions of ``methods`` can
                run under ``single`` and ``regions`` as well; the imports of others settle it.

        Raises:
            ValidationError: It is no module, breaks a rule for contracts, or cannot run under ``link``.
            LinkError: It imports something that is not offered, or not as it wants it.
        """
        rules = CodeRules(limits or Limits(), parse_enum(ValidationMode, mode, "validation mode"), debug)
        text, name, label = _read(source, name, rules.limits)
        wasm = to_wasm(text, name=label, limits=rules.limits)
        try:
            return load_binary(wasm, rules, name, label, link)
        except ValidationError as error:
            located = with_line(error, text, wasm, label)
            if located is error:
                raise
            raise located from error.cause

    @property
    def is_keyed(self) -> bool:
        """Whether its region ``slots`` is the table of keyed storage, and not a memory that it called so itself."""
        return Keyed.name in self.options

    @property
    def maps_storage(self) -> bool:
        """Whether it maps storage into its own memory; its deployment chooses the linking option."""
        return not self.options.isdisjoint(MAP_OPTIONS)

    def entry_point(self, method: str) -> FunctionType:
        """Return the type of an entry point.

        Raises:
            ValidationError: There is none of that name that can be called.
        """
        found = self.entry_points.get(method)
        if found is None:
            exported = self.module.exports.get(method)
            if exported is not None:
                raise ValidationError(f"the export {method!r} is not a function of numbers: {exported}")
            close = get_close_matches(method, self.entry_points, n=1)
            known = ", ".join(sorted(self.entry_points)) or "none"
            hint = f"did you mean {close[0]!r}?" if close else f"its methods: {known}"
            raise ValidationError(f"no method {method!r}", hint=hint)
        return found


def read_binary(source: str | bytes | Path, name: str | None, limits: Limits) -> tuple[bytes, str, str]:
    """Return a contract as a Wasm binary, its name, and what to call it in messages.

    Raises:
        ValidationError: It cannot be read, is too long, does not compile, or is neither WAT nor a Wasm binary.
        StorageModError: Its compiler is not installed.
    """
    text, name, label = _read(source, name, limits)
    return to_wasm(text, name=label, limits=limits), name, label


def _read(source: str | bytes | Path, name: str | None, limits: Limits) -> tuple[str | bytes, str, str]:
    """Return the text or binary of a contract, its name, and what to call it in messages."""
    if isinstance(source, str) and source.strip() and "(" not in source:
        source = Path(source)  # WAT without a parenthesis holds no module
    if isinstance(source, Path):
        name = name or source.stem
        label = str(source)
        text = read_source(source, limits)
        source = compile_source(source).code if is_source(source) else text
    elif isinstance(source, str | bytes):
        name = name or "contract"
        label = name
    else:  # a caller without a type checker
        raise ValidationError(f"a contract is WAT text, wasm bytes or a pathlib.Path, not {shown(source)}")
    return source, name, label


def load_binary(
    wasm: bytes, rules: CodeRules, name: str = "contract", label: str | None = None, link: str | None = None
) -> Contract:
    """Validate a binary as a contract. The same bytes and rules have one compiled module, whatever the names.

    Args:
        wasm: The binary.
        rules: What it has to be.
        name: What the contract is called.
        label: What errors call it; its name by default.
        link: As for :meth:`Contract.load`.

    Raises:
        ValidationError: It is no module, breaks a rule for contracts, or cannot run under ``link``.
        LinkError: It imports something that is not offered, or not as it wants it.
    """
    try:
        return _load_named(wasm, rules, name, link)
    except StorageModError as error:
        error.at(label or name)
        raise


def _load_named(wasm: bytes, rules: CodeRules, name: str, link: str | None) -> Contract:
    """Return a contract that is remembered with its module: one place decides what is kept, and how long."""
    _check_preamble(wasm)  # first: wasmtime would take text as well, and that is no code
    module = compile_module(wasm, rules.limits)
    uses = module.uses
    contract: Contract | None = uses.get((rules, link, name))
    if contract is None:
        unnamed = uses.get((rules, link))
        if unnamed is None:
            if link is None:
                unnamed = _load(module, rules)
            else:
                unnamed = _load_linked(_load_named(wasm, rules, name, None), rules, link)
            if rules.recorded:
                unnamed = _recorded(unnamed, rules.limits)
            uses[rules, link] = unnamed
        if len(uses) > _USES_KEPT:
            uses.clear()
        contract = uses[rules, link, name] = attrs.evolve(unnamed, name=name)
    return contract


def _load_linked(contract: Contract, rules: CodeRules, link: str) -> Contract:
    """Return a contract as it runs under a linking option.

    Raises:
        ValidationError: It cannot run under that one, or uses a function of storage as a value.
    """
    check_option_name(link)
    if Methods.name in contract.options and link in METHODS_OPTIONS and link != Methods.name:
        region = contract.layout.region(layouts.DEFAULT_REGION)
        assert region is not None  # noqa: S101 - the option methods has it
        linked = _load(compile_module(with_memory(contract.module, region), rules.limits), rules, link)
        return attrs.evolve(linked, code=contract.code)
    check_option(contract, link)
    return contract


def _recorded(contract: Contract, limits: Limits) -> Contract:
    """Return a contract that records what it does, if it can."""
    if contract.recorded is not None:
        return contract  # loaded through one that was linked otherwise
    module, declarations = contract.module, contract.module.declarations
    memories = [item for item in module.imports if isinstance(item.type, MemoryType)]
    functions = [item for item in module.imports if isinstance(item.type, FunctionType)]
    accessors = {} if contract.link is not None else {index: accessor_of(item) for index, item in enumerate(functions)}
    known = tuple((index, accessor) for index, accessor in accessors.items() if accessor is not None)
    for index, accessor in known:
        if index in declarations.imported_references:
            return attrs.evolve(
                contract, unseen=f"{accessor.name!r} of storage is used as a value, and calls of that are not seen"
            )
    exported = declarations.memory_exports.get(MEMORY_EXPORT, -1)
    own = dict(declarations.own_memories).get(exported)
    mapped = exported if contract.maps_storage and own is not None and not own.is_64 else None
    windows = {index for index, item in enumerate(memories) if item.name == layouts.WINDOW}
    watched = Watched(frozenset(range(len(memories))), mapped, known)
    recording = compile_module(module.wasm, limits, watched)
    assert recording.instrumented is not None  # noqa: S101 - something is watched
    regions = {-1: layouts.DEFAULT_REGION, **{index: item.name for index, item in enumerate(memories)}}
    into = windows if mapped is None else windows | {mapped}
    code = RecordedCode(recording.instrumented, regions, layouts.DEFAULT_REGION, frozenset(into))
    return attrs.evolve(contract, module=recording, recorded=code)


def check_option(contract: Contract, option: str) -> None:
    """Check that a contract uses a linking option, or has no storage to link.

    Raises:
        ValidationError: It uses other options.
    """
    if contract.options and option not in contract.options:
        calls = Methods.name in contract.options
        raise ValidationError(
            f"the linking option {option!r} is asked for, but the contract imports its storage in its own way: "
            f"{', '.join(sorted(contract.options))}",
            contract=contract.name,
            hint=f"it calls functions, so it can be linked as {', '.join(METHODS_OPTIONS)}"
            if calls
            else "WAT leaves the option open by a line `;; @storage`, compiled code by calling functions of `storage`",
        )


def _linked(items: Iterable[Import], link: str | None) -> tuple[Import, ...]:
    """Return imports of storage without functions of ``methods``, if ``link`` replaces these."""
    return tuple(item for item in items if link is None or option_for(item).name != Methods.name)


def _load(module: Module, rules: CodeRules, link: str | None = None) -> Contract:
    limits = rules.limits
    if link is None:  # else it was checked without the memory that was added
        _check_shape(module, limits)
    if rules.mode is ValidationMode.EWASM:
        _check_interface(module, debug=rules.debug)
    _check_debugging(module, debug=rules.debug)
    storage, contracts, functions = [], [], []
    linked_types: dict[tuple[str, str], Import] = {}
    for item in module.imports:
        if item.module == layouts.NAMESPACE:
            _check_name(item)
            storage.append(item)
        elif is_storage(item):
            storage.append(item)
        elif item.module in _HOST_FUNCTIONS:
            functions.append(_host_function(item, module))
        elif item.module.startswith(PREFIX):
            callee = contract_import(item)
            known = linked_types.setdefault((item.module, item.name), item)
            if known.type != item.type:
                raise LinkError(
                    f'expected one type for all imports of "{item.module}" "{item.name}", got {known.type} and '
                    f"{item.type}",
                    hint="declare the imports alike",
                )
            contracts.append(callee)
            functions.append(_linked_function(item, callee))
        else:
            raise _unknown_namespace(item)
    linked = _linked(storage, link)
    layout = _layout(linked, limits)
    for option in OPTIONS:
        served = option.host_functions([item for item in storage if option_for(item) is option], layout)
        copying = [f"{each.module}.{each.name}" for each in served if each.name not in _WITHOUT_MEMORY]
        if copying and not (layout.window is not None and isinstance(option, StorageMapOption)):
            _require_memory(module, " or ".join(copying))
        functions += served
    entry_points = {export: kind for export, kind in module.exports.items() if isinstance(kind, FunctionType)}
    memories = [item for item in module.imports if isinstance(item.type, MemoryType)]
    declarations = module.declarations
    exported = declarations.memory_exports.get(MEMORY_EXPORT)
    memory_region = memories[exported].name if exported is not None and exported < len(memories) else None
    if memory_region == layouts.WINDOW:
        raise ValidationError(
            f'expected a memory of the contract\'s own as export "{MEMORY_EXPORT}", got its window',
            hint="host functions read and write that memory, and most of a window may be unmapped",
        )
    table_pages = _table_pages(declarations, limits)
    options = _option_names(linked, layout)
    if link is not None:
        options = options - {Single.name} | {link}  # the memory that was added has the name that `single` claims
    return Contract(
        name="contract",
        code=module.wasm,
        module=module,
        layout=layout,
        options=options,
        link=link,
        entry_points=MappingProxyType(entry_points),
        entries=MappingProxyType({export: EntryPoint(export, kind) for export, kind in entry_points.items()}),
        contract_imports=tuple(contracts),
        functions=MappingProxyType({(each.module, each.name): each for each in functions}),
        storage_imports=linked,
        memory_region=memory_region,
        bulk_storage=any(index < len(memories) for index in declarations.bulk_memories),
        bulk_memory=declarations.bulk_instructions,
        grows_storage=any(index < len(memories) for index in declarations.grows_memory)
        or any((item.module, item.name) == (layouts.NAMESPACE, GROW) for item in linked),
        grows_memory=any(index >= len(memories) for index in declarations.grows_memory),
        lasting_pages=table_pages if declarations.mutates_tables else 0,
        working_pages=table_pages + sum(memory.pages_min for memory in declarations.memories),
        has_own_parts=bool(declarations.memories or declarations.own_tables or declarations.active_segments),
        mediated_by="its window" if layout.window is not None else _mediating(functions),
    )


_SEPARATE = frozenset(
    (
        *("call", "callCode", "callDelegate", "callStatic", "create", "selfDestruct"),
        *("storageMap", "storageUnmap", "storageSize"),
        "getGasLeft",
    )
)
"""Host functions that need the machine at each border of a call: they call, map storage, or tell what gas is left."""


def _mediating(functions: Iterable[HostFunction]) -> str:
    """Return the host functions among these for which calls have to be mediated, in words."""
    names = {each.name for each in functions if each.module == ethereum.NAMESPACE}
    return ", ".join(sorted(names & _SEPARATE))


def _option_names(storage: Iterable[Import], layout: Layout) -> frozenset[str]:
    """Return the options that a contract uses or can run under. Code that imports a window maps storage there."""
    names = {option.name for item in storage for option in options_for(item)}
    return frozenset(names if layout.window is None else names - {*MAP_OPTIONS})


def _table_pages(declarations: Declarations, limits: Limits) -> int:
    """Return how many Wasm pages the tables of functions take, each as long as it can become."""
    each, tables = limits.table_elements_max, declarations.own_tables
    elements = each * len(tables) if declarations.grows_tables else sum(tables)
    return -(-elements * TABLE_ELEMENT_BYTES // WASM_PAGE_BYTES)


def _check_shape(module: Module, limits: Limits) -> None:
    if module.declarations.has_start:
        raise ValidationError(
            "a contract has no start function: it would run before the call's entry point",
            hint="export it under a name and call that",
        )
    for what, count, limit, limit_name in (
        ("imports", len(module.imports), limits.imports_max, "imports_max"),
        ("exports", len(module.exports), limits.exports_max, "exports_max"),
        ("memories", len(module.declarations.memories), limits.memories_max, "memories_max"),
        ("elements of tables", sum(module.declarations.own_tables), limits.table_elements_max, "table_elements_max"),
    ):
        if count > limit:
            raise ValidationError(f"{count:,} {what}, and {limit:,} are allowed ({limit_name})")
    for memory in module.declarations.memories:
        if memory.page_bytes != WASM_PAGE_BYTES:
            raise ValidationError(
                f"expected pages of {WASM_PAGE_BYTES:,} bytes for a contract's own memory, got {memory}",
                hint="only memories that are imported from storage may have another page size",
            )
        if memory.pages_min > limits.memory_pages_max:
            raise ValidationError(
                f"a memory of {memory.pages_min:,} Wasm pages, and {limits.memory_pages_max:,} are allowed "
                "(memory_pages_max)"
            )


def _check_debugging(module: Module, *, debug: bool) -> None:
    for item in module.imports:
        if item.module == ethereum.DEBUG_NAMESPACE and not debug:
            raise LinkError(f"{item}: debugging is off, and nothing is offered", hint="World(debug=True) offers it")


_HOST_FUNCTIONS = {ethereum.NAMESPACE: ethereum.FUNCTIONS, ethereum.DEBUG_NAMESPACE: ethereum.DEBUG_FUNCTIONS}


def _host_function(item: Import, module: Module) -> HostFunction:
    functions = _HOST_FUNCTIONS[item.module]
    known = functions.get(item.name)
    if known is None:
        offered = sorted({*functions, *served_names(item.module)})
        close = get_close_matches(item.name, offered, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"offered: {', '.join(offered)}"
        raise LinkError(f'"{item.module}" offers no "{item.name}"', hint=hint)
    if item.type != known.host.type:
        raise LinkError(
            f'import "{item.module}" "{item.name}" does not match: wanted {item.type}, offered {known.host.type}'
        )
    if known.needs_memory:
        _require_memory(module, f"{item.module}.{item.name}")
    return known.host


def _require_memory(module: Module, who: str) -> None:
    exported = module.exports.get(MEMORY_EXPORT)
    if not isinstance(exported, MemoryType):
        raise ValidationError(
            f'{who} reads or writes the contract\'s memory, so a memory has to be exported as "{MEMORY_EXPORT}"',
            hint=f'(memory (export "{MEMORY_EXPORT}") 1)',
        )


def _unknown_namespace(item: Import) -> LinkError:
    close = get_close_matches(item.module, (layouts.NAMESPACE, ethereum.NAMESPACE), n=1)
    hint = f"did you mean {close[0]!r}?" if close else 'offered: "storage", "ethereum" and "contract:NAME"'
    return LinkError(f"{item}: nothing is offered under {item.module!r}", hint=hint)


def _layout(items: Sequence[Import], limits: Limits) -> Layout:
    """The layout that the storage imports ask for together."""
    regions: list[Region] = []
    for option in OPTIONS:
        claimed = [item for item in items if option_for(item) is option]
        if claimed:
            regions += option.regions(claimed, limits)
    names = [region.name for region in regions]
    for name in names:
        if names.count(name) > 1:
            raise LinkError(
                f'the region "{name}" is wanted as a memory and through functions: '
                "the memory behind the functions is private to the storage module",
                hint=f'import the memory or the functions, or give the memory another name than "{name}"',
            )
    if len(regions) > limits.regions_max:
        raise ValidationError(f"{len(regions)} regions of storage, and {limits.regions_max} are allowed (regions_max)")
    return Layout(tuple(sorted(regions, key=lambda region: region.name)), window_type(items, limits))


_FUNCTION_NAMES = tuple(accessor_types(is_64=False))

_WITHOUT_MEMORY = {"storageSize", *_FUNCTION_NAMES} - {*COPIES}
"""Functions of storage that use no memory of the contract."""


def _check_name(item: Import) -> None:
    """Refuse, with what is meant, an import under ``storage`` that no option can serve."""
    if isinstance(item.type, MemoryType):
        if item.name in _FUNCTION_NAMES:
            raise LinkError(f"{item}: {item.name!r} is the name of a function, not of a region of storage")
        return
    if item.name not in _FUNCTION_NAMES:
        close = get_close_matches(item.name, _FUNCTION_NAMES, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"offered: memories, and {', '.join(_FUNCTION_NAMES)}"
        raise LinkError(f'"{layouts.NAMESPACE}" offers no {item.type} {item.name!r}', hint=hint)


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


def _linked_function(item: Import, callee: ContractImport) -> HostFunction:
    """Return the host function behind a contract import."""
    assert isinstance(item.type, FunctionType)  # noqa: S101 - contract_import() refuses others

    def call(frame: Frame, values: int) -> None:
        frame.call_linked(callee, values)

    return HostFunction(item.module, item.name, item.type, call, takes_raw=True)


# Links to other contracts


def check_links(
    contract: Contract, links: Mapping[str, Address], contract_at: Callable[[Address], Contract | None]
) -> None:
    """Check that every contract import is bound, and fits the contract at its address if there is one already.

    Raises:
        LinkError: An import is not bound, or the contract there offers no such method or one of another type.
        ValidationError: A link is given that the contract does not import.
    """
    wanted = {callee.link for callee in contract.contract_imports}
    for link in links:
        if link not in wanted:
            close = get_close_matches(link, wanted, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"it imports from: {', '.join(sorted(wanted)) or 'none'}"
            raise ValidationError(
                f'the link {link!r} is given, but nothing is imported from "{PREFIX}{link}"', hint=hint
            )
    for callee in contract.contract_imports:
        if callee.link not in links:
            raise LinkError(
                f'"{PREFIX}{callee.link}" is imported, but not linked to an address',
                hint=f"deploy(..., links={{{callee.link!r}: address}})",
            )
        target = contract_at(links[callee.link])
        if target is not None:
            check_callee(callee, target)


def check_unlinked(contract: Contract) -> None:
    """See that a contract which a contract or a transaction creates imports from no other: nothing could bind that.

    Raises:
        LinkError: It does.
    """
    for callee in contract.contract_imports:
        raise LinkError(
            f'"{PREFIX}{callee.link}" is imported, and a contract that is created cannot be linked to an address',
            hint="deploy(..., links=...) can",
        )


def check_callee(callee: ContractImport, target: Contract) -> None:
    """Check one contract import against the contract that it is bound to.

    Raises:
        LinkError: There is no such method, or one of another type.
    """
    offered = target.entry_points.get(callee.method)
    if offered == callee.type:
        return
    hint = None
    if offered is None:
        close = get_close_matches(callee.method, target.entry_points, n=1)
        hint = f"did you mean {close[0]!r}?" if close else None
    raise LinkError(
        f'import "{PREFIX}{callee.link}" "{callee.method}" does not match {target.name}: wanted {callee.type}, '
        f"offered {offered or 'no function of that name'}",
        hint=hint,
    )


# The Ewasm Contract Interface

_VERSION = (1).to_bytes(4, "little")

_MAIN, _MEMORY = "main", "memory"
_MAIN_TYPE = FunctionType()


def _check_preamble(wasm: bytes) -> None:
    """See that code begins as a binary module of version 1 does.

    Raises:
        ValidationError: It does not.
    """
    found = wasm[: len(WASM_MAGIC)]
    if found != WASM_MAGIC:
        raise ValidationError(
            f"not a valid module: it begins with {_hex(found)}, and wanted is the preamble {_hex(WASM_MAGIC)}"
        )
    version = wasm[len(WASM_MAGIC) : len(WASM_MAGIC) + len(_VERSION)]
    if version != _VERSION:
        raise ValidationError(
            f"not a valid module: the version of its binary format is {_hex(version)}, and wanted is {_hex(_VERSION)}"
        )


def _check_interface(module: Module, *, debug: bool) -> None:
    """See that a module exports what a contract has to and no more, and imports from nowhere else.

    The signatures of what it imports are not looked at here: those of all contracts are. Nor are start functions: no
    contract may have one.

    Args:
        module: What is to be a contract.
        debug: Whether it may import from ``debug``.

    Raises:
        ValidationError: It exports something else.
        LinkError: It imports from a namespace that there is not.
    """
    namespaces = (ethereum.NAMESPACE, ethereum.DEBUG_NAMESPACE) if debug else (ethereum.NAMESPACE,)
    for item in module.imports:
        if item.module not in namespaces:
            known = " and ".join(f'"{namespace}"' for namespace in namespaces)
            raise LinkError(f"{item}: an ewasm contract imports from {known} only")
    for name in (_MAIN, _MEMORY):
        if name not in module.exports:
            raise ValidationError(f'an ewasm contract exports "{name}", and this one does not')
    found = module.exports[_MAIN]
    if found != _MAIN_TYPE:
        raise ValidationError(f'the export "{_MAIN}" of an ewasm contract is {_MAIN_TYPE}, not {found}')
    if not isinstance(module.exports[_MEMORY], MemoryType):
        raise ValidationError(f'the export "{_MEMORY}" of an ewasm contract is a memory, not {module.exports[_MEMORY]}')
    others = sorted(module.exports.keys() - {_MAIN, _MEMORY})
    if others:
        named = ", ".join(f'"{name}"' for name in others[:5])
        more = f" and {len(others) - 5:,} more" if len(others) > 5 else ""  # noqa: PLR2004
        raise ValidationError(
            f'an ewasm contract exports "{_MAIN}" and "{_MEMORY}" only; this one exports {named}{more}'
        )


def _hex(data: bytes) -> str:
    return data.hex(" ") or "nothing"
