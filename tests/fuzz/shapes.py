"""Modules that are much work to compile for their length, of many shapes, as long as wanted.

A module has one long function, or several copies of it, which is a row of segments. A segment repeats a piece of code,
one after the other or each inside the one before, with segments inside the innermost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from attrs import field, frozen

from tests.wasm.modules import leb, section

I32, I64, F32, F64, V128 = b"\x7f", b"\x7e", b"\x7d", b"\x7c", b"\x7b"
_NUMBERS = (I32, I64, F32, F64, V128)

_PLAIN, _WIDE, _SOURCE, _SINK = range(4)
"""Types, and functions of these types: nothing to nothing, values to values, nothing to values, values to nothing."""

_VALUES = [b"\x23" + leb(kind) for kind in range(5)]
_I32, _I64, _F32, _F64, _V128 = _VALUES
_DROP, _END = b"\x1a", b"\x0b"


@frozen
class Piece:
    """Code that leaves the stack as it was, or what is in it and around it.

    Attributes:
        code: Begins it, given the number of the repetition.
        close: Ends it. A piece with an end can be nested.
        wide: Whether it takes values off the stack and puts as many back.
    """

    code: Callable[[int], bytes]
    close: bytes = b""
    wide: bool = False


@frozen
class Segment:
    """A piece, how often, whether each is in the one before, and what is in the innermost or after all."""

    piece: str
    count: int
    nested: bool = False
    inner: tuple[Segment, ...] = ()


@frozen
class Shape:
    """A module to be.

    Attributes:
        segments: The code of its function.
        width: Values that wide pieces take and give.
        locals_live: Locals of the function that are set at its begin and read at its end, one of five types each.
        locals_unused: Further locals.
        copies: How many copies of the function there are.
        sections: Entries of other sections, by name.
    """

    segments: tuple[Segment, ...] = ()
    width: int = 1
    locals_live: int = 5
    locals_unused: int = 0
    copies: int = 1
    sections: dict[str, int] = field(factory=dict)


def _fixed(code: bytes, close: bytes = b"", *, wide: bool = False) -> Piece:
    return Piece(lambda _number: code, close, wide)


def _local(number: int, kind: int) -> bytes:
    """Return the number of a live local of a type, with at least five of them: another one each time."""
    return leb(kind + 5 * (number % LOCALS.get(0, 1)))


LOCALS: dict[int, int] = {}


def _operators() -> dict[str, Piece]:
    """Make a piece of each operator: a local is set to what it gives, so that none can be left out."""
    signatures = [
        ("i32 i32 i32", (0x6A, 0x74, 0x77, 0x6D, 0x70)),
        ("i64 i64 i64", (0x7C, 0x89, 0x7F, 0x82, 0x7E)),
        ("i32 i32", (0x67, 0x69, 0xC0)),
        ("f32 f32 f32", (0x92, 0x96)),
        ("f64 f64 f64", (0xA0, 0xA3, 0xA4, 0xA6)),
        ("f64 f64", (0x9B, 0x9E, 0x9F)),
        ("f64 i32", (0xAA, 0xAB)),
        ("f64 i64", (0xB0, 0xB1)),
        ("i64 f64", (0xB9, 0xBA)),
        ("f32 i64", (0xAE, 0xAF)),
    ]
    vectors = [
        ("v128 v128 v128", (14, 70, 110, 113, 115, 213, 222, 228, 229, 231, 232, 235, 240, 244, 246, 247, 269, 271)),
        ("v128 v128", (98, 103, 106, 122, 148, 124, 200, 227, 239, 248, 249, 252, 255, 260)),
        ("v128 v128 v128 v128", (82, 261, 263, 265, 275)),
        ("v128 i32 v128", (107, 139, 172, 204)),
        ("v128 i32", (83, 99, 100, 196)),
    ]
    names = {"i32": 0, "i64": 1, "f32": 2, "f64": 3, "v128": 4}
    pieces = {}
    for prefix, table in ((b"", signatures), (b"\xfd", vectors)):
        for signature, codes in table:
            *operands, result = [names[each] for each in signature.split()]
            for code in codes:
                pieces[f"{signature.replace(' ', '_')}_{code:02x}"] = _operator(
                    operands, prefix + (leb(code) if prefix else bytes([code])), result
                )
    return pieces


def _operator(operands: list[int], code: bytes, result: int) -> Piece:
    def repeat(number: int) -> bytes:
        read = b"".join(b"\x20" + _local(number + each, kind) for each, kind in enumerate(operands))
        return read + code + b"\x21" + _local(number, result)

    return Piece(repeat)


def _set(value: bytes, kind: int = 0) -> Callable[[int], bytes]:
    return lambda number: value + b"\x21" + _local(number, kind)


PIECES: dict[str, Piece] = {
    **_operators(),
    # Plain instructions
    "constant": _fixed(b"\x41\0" + _DROP),
    "vector_constant": _fixed(b"\xfd\x0c" + bytes(range(16)) + _DROP),
    "set": Piece(lambda number: _I32 + b"\x21" + _local(number, 0)),
    "move": Piece(lambda number: b"\x20" + _local(number, 0) + b"\x21" + _local(number + 1, 0)),
    "select": Piece(lambda number: (b"\x20" + _local(number, 0)) * 2 + _I32 + b"\x1b\x21" + _local(number, 0)),
    "load": Piece(lambda number: b"\x20" + _local(number, 0) + b"\x28\2\0\x21" + _local(number, 0)),
    "load_64": Piece(lambda number: b"\x20" + _local(number, 1) + b"\x29\x43\1\0\x21" + _local(number, 1)),
    "load_far": Piece(
        lambda number: b"\x20" + _local(number, 1) + b"\x29\x43\1" + leb(1 << 40) + b"\x21" + _local(number, 1)
    ),
    "store": Piece(lambda number: (b"\x20" + _local(number, 0)) * 2 + b"\x36\2\0"),
    "vector_store": Piece(lambda number: b"\x20" + _local(number, 0) + b"\x20" + _local(number, 4) + b"\xfd\x0b\4\0"),
    "global": _fixed(_I32 + b"\x24\0"),
    "memory_size": Piece(_set(b"\x3f\0")),
    "memory_grow": Piece(_set(_I32 + b"\x40\0")),
    "memory_fill": _fixed(_I32 * 3 + b"\xfc\x0b\0"),
    "memory_copy": _fixed(_I32 * 3 + b"\xfc\x0a\0\0"),
    "memory_copy_64": _fixed(_I64 * 3 + b"\xfc\x0a\1\1"),
    "memory_init": _fixed(_I32 * 3 + b"\xfc\x08\0\0"),
    "data_drop": _fixed(b"\xfc\x09\0"),
    "table_get": _fixed(_I32 + b"\x25\0" + _DROP),
    "table_set": _fixed(_I32 + b"\xd0\x70\x26\0"),
    "table_size": Piece(_set(b"\xfc\x10\0")),
    "table_grow": _fixed(b"\xd0\x70" + _I32 + b"\xfc\x0f\0" + _DROP),
    "table_fill": _fixed(_I32 + b"\xd0\x70" + _I32 + b"\xfc\x11\0"),
    "table_copy": _fixed(_I32 * 3 + b"\xfc\x0e\0\0"),
    "table_init": _fixed(_I32 * 3 + b"\xfc\x0c\0\0"),
    "ref_func": _fixed(b"\xd2\0" + _DROP),
    # Control
    "block": _fixed(b"\2\x40", _END),
    "if": _fixed(_I32 + b"\4\x40", _END),
    "if_else": _fixed(_I32 + b"\4\x40\5", _END),
    "if_set": Piece(lambda number: _I32 + b"\4\x40" + _I32 + b"\x21" + _local(number, 0), _END),
    "if_read": Piece(lambda number: _I32 + b"\4\x40\x20" + _local(number, 0) + b"\x24\0", _END),
    "if_result": Piece(
        lambda number: (
            (b"\x20" + _local(number, 0))
            + b"\4\x7f\x20"
            + _local(number, 0)
            + b"\5\x20"
            + _local(number + 1, 0)
            + b"\x0b\x21"
            + _local(number, 0)
        )
    ),
    "if_branch": _fixed(_I32 + b"\4\x40\x0c\0", _END),
    "if_return": _fixed(b"\2\x40" + _I32 + b"\4\x40\x0f\x0b", _END),
    "if_trap": _fixed(_I32 + b"\4\x40\0\x0b"),
    "loop": _fixed(b"\3\x40", _END),
    "loop_back": _fixed(b"\3\x40" + _I32 + b"\x0d\0", _END),
    "loop_set": Piece(lambda number: b"\3\x40" + _I32 + b"\x21" + _local(number, 0) + _I32 + b"\x0d\0", _END),
    "loop_read": Piece(lambda number: b"\3\x40\x20" + _local(number, 0) + b"\x24\0" + _I32 + b"\x0d\0", _END),
    "branch_if": _fixed(b"\2\x40" + _I32 + b"\x0d\0", _END),
    "branches_out": _fixed(_I32 + b"\x0d\0"),
    "table_of_branches": _fixed(b"\2\x40\2\x40" + _I32 + b"\x0e\4\0\1\0\1\0\x0b", _END),
    "long_table_of_branches": _fixed(b"\2\x40\2\x40" + _I32 + b"\x0e" + leb(200) + b"\0\1" * 100 + b"\0\x0b", _END),
    "call": _fixed(b"\x10" + leb(_PLAIN)),
    "call_and_loop": _fixed(b"\x10" + leb(_PLAIN) + b"\3\x40\x0b"),
    "call_indirect": _fixed(_I32 + b"\x11" + leb(_PLAIN) + b"\0"),
    # Wide values
    "wide_call": _fixed(b"\x10" + leb(_WIDE), wide=True),
    "wide_call_and_loop": _fixed(b"\x10" + leb(_WIDE) + b"\3\x40\x0b", wide=True),
    "wide_call_indirect": _fixed(_I32 + b"\x11" + leb(_WIDE) + b"\0", wide=True),
    "wide_through": _fixed(b"\x10" + leb(_SINK) + b"\x10" + leb(_SOURCE), wide=True),
    "wide_block": _fixed(b"\2" + leb(_WIDE), _END, wide=True),
    "wide_branch": _fixed(b"\2" + leb(_WIDE) + _I32 + b"\x0d\0", _END, wide=True),
    "wide_table": _fixed(b"\2" + leb(_WIDE) + b"\2" + leb(_WIDE) + _I32 + b"\x0e\4\0\1\0\1\0\x0b", _END, wide=True),
    "wide_if": _fixed(_I32 + b"\4" + leb(_WIDE), _END, wide=True),
    "wide_else": _fixed(_I32 + b"\4" + leb(_WIDE) + b"\5", _END, wide=True),
    "wide_loop": _fixed(b"\3" + leb(_WIDE), _END, wide=True),
    "wide_loop_back": _fixed(b"\3" + leb(_WIDE) + _I32 + b"\x0d\0", _END, wide=True),
    "under_if": _fixed(_I32 + b"\4\x40\x0b", wide=True),
    "under_loop": _fixed(b"\3\x40\x0b", wide=True),
    "under_call": _fixed(b"\x10" + leb(_PLAIN), wide=True),
}
SECTIONS = (
    "types",
    "wide_types",
    "imports",
    "exports",
    "globals",
    "tables",
    "elements",
    "data",
    "far_data",
    "functions",
)
"""What there can be many of beside code."""


def module(shape: Shape) -> bytes:
    """Write the module of a shape."""
    LOCALS[0] = max(1, shape.locals_live // 5)
    many = shape.sections
    wide = _vector([I32] * shape.width)
    types = [b"\x60\0\0", b"\x60" + wide * 2, b"\x60\0" + wide, b"\x60" + wide + b"\0"]
    types += [b"\x60\0\0"] * many.get("types", 0)
    types += [b"\x60" + _distinct(shape.width, number) + wide for number in range(many.get("wide_types", 0))]
    extra = many.get("functions", 0)
    functions = [_PLAIN, _WIDE, _SOURCE, _SINK] + [_PLAIN] * (shape.copies + extra)
    values = _I32 * shape.width
    bodies = [
        _body(b""),
        _body(b"".join(b"\x20" + leb(number) for number in range(shape.width))),
        _body(values),
        _body(b""),
        *[_function(shape)] * shape.copies,
        *[_body(b"")] * extra,
    ]
    numbers = [
        I32 + b"\1\x41\0\x0b", I64 + b"\1\x42\0\x0b", F32 + b"\1\x43" + bytes(4) + b"\x0b",
        F64 + b"\1\x44" + bytes(8) + b"\x0b", V128 + b"\1\xfd\x0c" + bytes(16) + b"\x0b",
    ]  # fmt: skip
    data = [b"\0\x41\0\x0b\1x"] * (1 + many.get("data", 0))
    data += [b"\0\x41" + _signed(number * 4096 % (1 << 26)) + b"\x0b\1x" for number in range(many.get("far_data", 0))]
    return b"\0asm\1\0\0\0" + b"".join(
        section(kind, content)
        for kind, content in (
            (1, _vector(types)),
            (3, _vector(leb(each) for each in functions)),
            (4, _vector([b"\x70\0\x10"] * (1 + many.get("tables", 0)))),
            (5, _vector([b"\1" + leb(1024) + leb(1024), b"\5\1\2"])),
            (6, _vector(numbers + numbers[:1] * many.get("globals", 0))),
            (7, _vector([b"\4main\0\4", *(_name(f"e{number}") + b"\0\0" for number in range(many.get("exports", 0)))])),
            (9, _vector([b"\0\x41\0\x0b\2\0\1", *[b"\0\x41\0\x0b\1\0"] * many.get("elements", 0)])),
            (12, leb(len(data))),
            (10, _vector(bodies)),
            (11, _vector(data)),
        )
    )


def _distinct(width: int, number: int) -> bytes:
    """Return so many types of values, and eight more that are different for each number."""
    return _vector([I32] * width + [_NUMBERS[number >> (2 * place) & 3] for place in range(8)])


def _vector(entries: Iterable[bytes]) -> bytes:
    entries = list(entries)
    return leb(len(entries)) + b"".join(entries)


def _name(text: str) -> bytes:
    return leb(len(text)) + text.encode()


def _signed(value: int) -> bytes:
    return leb(value, len(leb(value << 1)))


def _body(code: bytes, groups: Iterable[tuple[int, bytes]] = ()) -> bytes:
    body = _vector(leb(count) + kind for count, kind in groups) + code + _END
    return leb(len(body)) + body


def _function(shape: Shape) -> bytes:
    kinds = [number % 5 for number in range(max(5, shape.locals_live))]
    begin = b"".join(_VALUES[kind] + b"\x21" + leb(number) for number, kind in enumerate(kinds))
    end = b"".join(b"\x20" + leb(number) + b"\x24" + leb(kind) for number, kind in enumerate(kinds))
    groups = [(1, _NUMBERS[kind]) for kind in kinds] + [(shape.locals_unused, I32)] * (shape.locals_unused > 0)
    return _body(begin + _segments(shape.segments, shape.width) + end, groups)


def _segments(segments: tuple[Segment, ...], width: int) -> bytes:
    return b"".join(_segment(each, width) for each in segments)


def _segment(segment: Segment, width: int) -> bytes:
    piece = PIECES[segment.piece]
    inner = _segments(segment.inner, width)
    codes = [piece.code(number) for number in range(segment.count)]
    if segment.nested and piece.close:
        code = b"".join(codes) + inner + piece.close * segment.count
    else:
        code = b"".join(code + piece.close for code in codes) + inner
    return _I32 * width + code + _DROP * width if piece.wide else code
