"""Estimate what it costs to compile a module, in time and in memory, before anything compiles it.

Nothing interrupts the compiler. So the estimate counts what is in the binary, and is the same on every machine: whether
code is a contract must not depend on the machine. A unit is about a microsecond of compiling, or 250 bytes of the
compiler's memory, for the worst code of each shape that was measured (design/0003-wasm-package.md has the figures).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from storagemod.errors import ValidationError
from storagemod.wasm.instructions import Instruction, Stop

TYPE_COST, FUNCTION_COST, SIGNATURE_VALUE_COST = 150, 300, 24
"""Each type and each function gets code of its own for calls from and to the host, which is as long as its values."""

ELEMENT_BYTE_COST = 17
MODULE_BYTES_A_UNIT = 10
TABLE_ELEMENTS_A_UNIT = 10
IMAGE_BYTES_A_UNIT = 8
"""First contents of memories and tables are laid out as images, which the compiled module keeps."""

IMAGE_BYTES_MAX = 16 << 20
"""A memory whose data spans more than this has no image: wasmtime lays out single pages."""

SPARSE_PAGE_COST = 320
_PAGE_BYTES = 4096

_CODE_BYTES_A_UNIT = 4
_UNUSED_LOCALS_A_UNIT = 6
_LONG_FUNCTION = 150_000
"""Values that are live in straight code make its time grow with the square of its length: a unit is so many bytes²."""

_BRANCH_TANGLE, _LOOP_TANGLE, _INDIRECT_TANGLE, _BULK_TANGLE, _GROW_TANGLE = 8, 3, 8, 6, 19
_BULK_CHECKS, _TABLE_CHECKS = 2, 4
_TANGLE = 1_000
"""The time of a function grows with the square of its branches, too: a unit is so many of these weights²."""

_WRITTEN_DEPTH_A_UNIT = 2
"""A local that is set inside a block has two values at its end: a comparison for each block around."""

_BLOCK_POINTS, _BRANCH_POINTS, _LOOP_POINTS = 1, 2, 12
_MERGES_A_UNIT = 66
"""What is live is kept for each block of the function, in lists as long as the values that blocks take over before."""

_STOP_COST = 4
"""For each instruction that is looked at here: this takes its time as well."""

_BLOCK_COST, _BRANCH_COST, _LOOP_COST, _CALL_COST, _INDIRECT_COST = 2, 40, 100, 10, 110
_CALL_VALUE_COST, _INDIRECT_VALUE_COST = 10, 32


_SPLIT = "; split long functions, and pass fewer values"
_REMEDIES = {"its data segments": "; move data closer together"}


def check_cost(cost: int, cost_max: int, part: str) -> None:
    """Check that code is not too much work to compile.

    Args:
        cost: What it costs, or what is known to be the least of that.
        cost_max: What it may cost.
        part: The part of the module that costs most, in words.

    Raises:
        ValidationError: It costs too much.
    """
    if cost > cost_max:
        raise ValidationError(
            f"compiling it would cost {cost:,} units or more, and {cost_max:,} are allowed (compile_cost_max)",
            hint=f"most of them are for {part}" + _REMEDIES.get(part, _SPLIT if "function" in part else ""),
        )


class Shape(NamedTuple):
    """Numbers of values that a function or a block takes and gives."""

    params: int
    results: int


class _Block:
    """Block that has begun and has not ended.

    Attributes:
        floor: Height of the stack beneath its values.
        shape: What it takes and gives.
        arity: Values that a branch to it hands over.
        joined: Whether a branch leads to its label, or it has two ways to its end.
        written: Locals that are set inside.
    """

    __slots__ = ("arity", "floor", "joined", "shape", "written")

    def __init__(self, floor: int, shape: Shape, *, is_loop: bool = False, joined: bool = False) -> None:
        self.floor = floor
        self.shape = shape
        self.arity = shape.params if is_loop else shape.results
        self.joined = joined
        self.written: set[bytes] = set()


class FunctionCost:
    """Cost of one function, added up instruction by instruction.

    Args:
        shape: What the function takes and gives.
        local_count: Its locals, parameters included.
        shapes: The types of the module.
        function_types: The type of each function of the module, as an index into ``shapes``.
        length: Length of its body in bytes.
    """

    def __init__(
        self, shape: Shape, local_count: int, shapes: Sequence[Shape], function_types: Sequence[int], length: int
    ) -> None:
        self._shape = shape
        self._local_count = local_count
        self._shapes = shapes
        self._function_types = function_types
        self._height = 0
        self._blocks = [_Block(0, Shape(0, shape.results))]
        self._work = (  # what is known from the beginning; single instructions are added
            FUNCTION_COST
            + SIGNATURE_VALUE_COST * sum(shape)
            + length // _CODE_BYTES_A_UNIT
            + length**2 // _LONG_FUNCTION
            + local_count // _UNUSED_LOCALS_A_UNIT
        )
        self._live = 0  # values that may be live where control branches, added up
        self._tangle = 0
        self._points = 0  # blocks of the compiler: loops have checks in them, and are several
        self._merged = 0  # values that blocks take over

    def add(self, stop: Stop) -> None:
        """Add an instruction that has to do with control, and the plain ones before it."""
        instruction, indices, change, work, written, *_ = stop
        block = self._blocks[-1]
        if written:
            block.written |= written
        self._work += work + _STOP_COST
        self._height = max(self._height + change, block.floor)  # code that nothing reaches can take what is not there
        control = _CONTROL.get(instruction)
        if control is not None:
            control(self, block, indices)

    @property
    def least(self) -> int:
        """What it costs at least, as far as it was walked."""
        return self._work + self._live

    @property
    def total(self) -> int:
        """What it costs, after all of its instructions."""
        return self.least + self._tangle**2 // _TANGLE + self._points * self._merged // _MERGES_A_UNIT

    # What instructions do

    def _begin(self, block: _Block, shape: Shape, *, is_loop: bool = False, joined: bool = False) -> None:
        self._work += _BLOCK_COST + shape.params
        floor = max(self._height - shape.params, block.floor)
        self._blocks.append(_Block(floor, shape, is_loop=is_loop, joined=joined))

    def _begin_block(self, block: _Block, indices: tuple[int, ...]) -> None:
        self._points += _BLOCK_POINTS
        self._begin(block, self._block_shape(indices))

    def _begin_loop(self, block: _Block, indices: tuple[int, ...]) -> None:
        self._work += _LOOP_COST
        self._fork(_LOOP_TANGLE, _LOOP_POINTS)
        self._begin(block, self._block_shape(indices), is_loop=True, joined=True)

    def _begin_if(self, block: _Block, indices: tuple[int, ...]) -> None:
        self._height -= 1
        self._work += _BRANCH_COST
        self._fork(_BRANCH_TANGLE)
        self._begin(block, self._block_shape(indices), joined=True)

    def _else(self, block: _Block, _indices: tuple[int, ...]) -> None:
        self._work += sum(block.shape)
        self._height = block.floor + block.shape.params

    def _end(self, block: _Block, _indices: tuple[int, ...]) -> None:
        self._blocks.pop()
        self._work += block.shape.results
        self._height = block.floor + block.shape.results
        self._merged += block.arity
        if block.joined:
            self._live += len(block.written) * len(self._blocks) // _WRITTEN_DEPTH_A_UNIT
        if self._blocks:
            outer = self._blocks[-1]
            less, more = sorted((outer.written, block.written), key=len)
            more |= less  # the shorter into the longer, so that blocks in one another take no more than linear time
            outer.written = more

    def _branch(self, block: _Block, indices: tuple[int, ...]) -> None:
        self._leave(indices[0])
        self._height = block.floor

    def _branch_if(self, _block: _Block, indices: tuple[int, ...]) -> None:
        self._height -= 1
        self._work += _BRANCH_COST
        self._fork(_BRANCH_TANGLE)
        self._leave(indices[0])

    def _branch_table(self, block: _Block, indices: tuple[int, ...]) -> None:
        self._work += _BRANCH_COST
        self._fork(_BRANCH_TANGLE)
        for label in indices:
            self._leave(label)
        self._height = block.floor

    def _return(self, block: _Block, _indices: tuple[int, ...]) -> None:
        self._work += self._shape.results
        self._height = block.floor

    def _call(self, _block: _Block, indices: tuple[int, ...]) -> None:
        shape = self._shapes[self._function_types[indices[0]]]
        self._work += _CALL_COST + _CALL_VALUE_COST * sum(shape)
        self._height += shape.results - shape.params
        self._look()

    def _call_indirect(self, _block: _Block, indices: tuple[int, ...]) -> None:
        shape = self._shapes[indices[0]]
        self._work += _INDIRECT_COST + _INDIRECT_VALUE_COST * sum(shape)
        self._fork(_INDIRECT_TANGLE)
        self._height += shape.results - shape.params - 1
        self._look()

    def _return_call(self, block: _Block, indices: tuple[int, ...]) -> None:
        self._call(block, indices)
        self._height = block.floor

    def _return_call_indirect(self, block: _Block, indices: tuple[int, ...]) -> None:
        self._call_indirect(block, indices)
        self._height = block.floor

    def _bulk(self, _block: _Block, _indices: tuple[int, ...]) -> None:
        self._fork(_BULK_TANGLE, checks=_BULK_CHECKS)

    def _get_element(self, _block: _Block, _indices: tuple[int, ...]) -> None:
        self._fork(_LOOP_TANGLE)

    def _change_table(self, _block: _Block, _indices: tuple[int, ...]) -> None:
        self._fork(_BULK_TANGLE, checks=_TABLE_CHECKS)

    def _grow(self, _block: _Block, _indices: tuple[int, ...]) -> None:
        self._fork(_GROW_TANGLE, checks=_BULK_CHECKS)

    def _look(self) -> None:
        """Count the empty loop that lowering puts behind an instruction."""
        self._work += _BLOCK_COST + _LOOP_COST
        self._fork(_LOOP_TANGLE, _LOOP_POINTS)

    def _fork(self, tangle: int, points: int = _BRANCH_POINTS, checks: int = 1) -> None:
        """Count a place where control branches, in one or several checks, across which locals and operands may live."""
        self._tangle += tangle
        self._points += points
        self._live += checks * (self._height + self._local_count)

    def _leave(self, label: int) -> None:
        """Count a branch to a label, which hands over values and the locals of that moment."""
        target = self._blocks[-1 - label]
        target.joined = True
        self._work += 5 + target.arity
        self._live += self._local_count

    def _block_shape(self, indices: tuple[int, ...]) -> Shape:
        if len(indices) == 1:
            return self._shapes[indices[0]]
        return Shape(0, indices[1])


_CONTROL: dict[Instruction, Callable[[FunctionCost, _Block, tuple[int, ...]], None]] = {
    Instruction.BLOCK: FunctionCost._begin_block,
    Instruction.LOOP: FunctionCost._begin_loop,
    Instruction.IF: FunctionCost._begin_if,
    Instruction.ELSE: FunctionCost._else,
    Instruction.END: FunctionCost._end,
    Instruction.BR: FunctionCost._branch,
    Instruction.BR_IF: FunctionCost._branch_if,
    Instruction.BR_TABLE: FunctionCost._branch_table,
    Instruction.RETURN: FunctionCost._return,
    Instruction.CALL: FunctionCost._call,
    Instruction.CALL_INDIRECT: FunctionCost._call_indirect,
    Instruction.RETURN_CALL: FunctionCost._return_call,
    Instruction.RETURN_CALL_INDIRECT: FunctionCost._return_call_indirect,
    Instruction.TABLE_GET: FunctionCost._get_element,
    Instruction.MEMORY_GROW: FunctionCost._grow,
    Instruction.MEMORY_INIT: FunctionCost._bulk,
    Instruction.MEMORY_COPY: FunctionCost._bulk,
    Instruction.MEMORY_FILL: FunctionCost._bulk,
    Instruction.TABLE_INIT: FunctionCost._change_table,
    Instruction.TABLE_COPY: FunctionCost._change_table,
    Instruction.TABLE_GROW: FunctionCost._grow,
    Instruction.TABLE_FILL: FunctionCost._change_table,
}


class ImageCost:
    """Cost of the first contents of one memory, added up data segment by data segment.

    Args:
        length: Length of the memory when it is made, in bytes. Data beyond it makes instantiation fail.
    """

    def __init__(self, length: int) -> None:
        self._length = length
        self._begin, self._end = length, 0
        self._pages = 0

    def add(self, offset: int | None, length: int) -> None:
        """Add an active data segment; one whose offset is not known may lie anywhere."""
        if length and offset is None:
            self._begin, self._end = 0, self._length
            self._pages += length // _PAGE_BYTES + 2
        elif length and offset is not None and offset + length <= self._length:
            self._begin, self._end = min(self._begin, offset), max(self._end, offset + length)
            self._pages += length // _PAGE_BYTES + 2

    @property
    def bytes(self) -> int:
        """Length of the image that the compiled module keeps."""
        span = max(0, self._end - self._begin)
        return span + _PAGE_BYTES if 0 < span <= IMAGE_BYTES_MAX else self._pages * _PAGE_BYTES

    @property
    def total(self) -> int:
        """Cost of laying it out."""
        if self._end - self._begin > IMAGE_BYTES_MAX:
            return self._pages * SPARSE_PAGE_COST
        return self.bytes // IMAGE_BYTES_A_UNIT
