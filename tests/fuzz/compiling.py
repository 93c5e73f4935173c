"""A search for modules that take longer to compile, or more memory, than the estimate says.

``python -m tests.fuzz.compiling SECONDS SEED`` searches, and prints each module that is worse than all before.
Compilations run in processes of their own, with bounded memory. What they take is put beside what ordinary code takes
in the same run, so that the speed of the machine does not matter.
"""

from __future__ import annotations

import json
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import wasmtime
from attrs import evolve, field, frozen

from storagemod.wasm.binary import read_declarations
from storagemod.wasm.engine import shared_engine
from storagemod.wasm.lowering import lower
from tests.fuzz.shapes import PIECES, SECTIONS, Segment, Shape, module

MEMORY_BYTES_MAX = 4 << 30
"""Address space that one compilation may have."""

SECONDS_MAX = 60

CODE_BYTES_MAX = 1 << 20
"""As ``Limits.code_bytes_max``."""

REFERENCE = Shape((Segment("call", 4_000), Segment("i32_i32_i32_6a", 4_000), Segment("branch_if", 500)))


@frozen
class Measured:
    """What one compilation took."""

    shape: Shape
    length: int
    cost: int
    seconds: float
    memory_bytes: int

    @property
    def seconds_a_unit(self) -> float:
        """Processor time."""
        return self.seconds / self.cost

    @property
    def bytes_a_unit(self) -> float:
        """Memory beyond what the process had before."""
        return self.memory_bytes / self.cost


class Compiler:
    """A process that compiles modules in children of its own, and says what each took. Use it as a context manager."""

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "tests.fuzz.compiling"]
        self._process = subprocess.Popen(
            command, cwd=Path(__file__).parents[2], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        with self._process:
            pass

    def measure(self, shape: Shape) -> Measured:
        """Compile the module of a shape.

        Raises:
            AssertionError: The process died, of too much memory or time.
        """
        wasm = module(shape)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        declarations = read_declarations(wasm)
        lowered = lower(wasm, declarations, memory_pages_max=1 << 10).wasm  # that is what is compiled
        self._process.stdin.write(len(lowered).to_bytes(4, "big") + lowered)
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        cost = declarations.compile_cost
        assert "died" not in answer, f"the compiler {answer['died']}, at {cost:,} units: {shape}"
        return Measured(shape, len(wasm), cost, answer["seconds"], answer["memory_bytes"])


def serve() -> None:
    """Compile modules from the standard input, each in a child."""
    while size := sys.stdin.buffer.read(4):
        wasm = sys.stdin.buffer.read(int.from_bytes(size, "big"))
        here, there = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(here)
            os.write(there, json.dumps(_compile(wasm)).encode())
            os._exit(0)
        os.close(there)
        with os.fdopen(here) as pipe:
            answer = pipe.read()
        _, status = os.waitpid(child, 0)
        print(answer or json.dumps({"died": f"ended with status {status}"}), flush=True)


def _compile(wasm: bytes) -> dict[str, float]:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    for kind, most in (
        (resource.RLIMIT_AS, MEMORY_BYTES_MAX),
        (resource.RLIMIT_CPU, SECONDS_MAX),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (most, most))
    engine = shared_engine()
    wasmtime.Module(engine, b"\0asm\1\0\0\0")
    memory, begin = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    wasmtime.Module(engine, wasm)
    seconds = time.process_time() - begin
    return {
        "seconds": seconds,
        "memory_bytes": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) * 1024,
    }


def grown(shape: Shape, cost: int) -> Shape:
    """Make a shape about as large as it can be without costing more, and no longer than code may be."""
    low, factor = 0.0, 1.0
    for _ in range(8):
        share = _share(scaled(shape, factor), cost)
        if share <= 1:
            low = factor
            if share > 0.9:
                break
        factor *= min(16.0, max(0.1, (0.95 / share) ** 0.7))
    return scaled(shape, low)


def _share(shape: Shape, cost: int) -> float:
    """Return how much of what there may be is used, by cost or by length."""
    wasm = module(shape)
    length = len(wasm) / CODE_BYTES_MAX
    return length if length > 1 else max(length, read_declarations(wasm).compile_cost / cost)


def worthwhile(shape: Shape, cost: int) -> bool:
    """Whether a shape can be grown so far, and is valid then: wasmtime has limits of its own."""
    wasm = module(shape)
    if read_declarations(wasm).compile_cost < cost / 4:
        return False  # the longest module of the kind is cheap
    try:
        wasmtime.Module.validate(shared_engine(), wasm)
    except wasmtime.WasmtimeError:
        return False
    return True


def scaled(shape: Shape, factor: float) -> Shape:
    """Multiply what a shape has many of."""

    def longer(segment: Segment) -> Segment:
        return evolve(segment, count=int(segment.count * factor), inner=tuple(longer(inner) for inner in segment.inner))

    return evolve(
        shape,
        segments=tuple(longer(segment) for segment in shape.segments),
        sections={name: int(count * factor) for name, count in shape.sections.items()},
    )


# Random shapes, and changes to them

WIDTHS = (1, 2, 5, 10, 50, 200, 900)
LOCALS = (5, 10, 50, 100, 300, 1_000)
COUNTS = (1, 3, 10, 30, 100)


def random_segment(choose: random.Random, depth: int = 0) -> Segment:
    """Make a segment, with others inside now and then."""
    inner = tuple(random_segment(choose, depth + 1) for _ in range(choose.choice((0, 0, 1, 2)) * (depth < 2)))
    return Segment(choose.choice(list(PIECES)), choose.choice(COUNTS), choose.random() < 0.5, inner)


def random_shape(choose: random.Random) -> Shape:
    """Make a shape."""
    sections = {choose.choice(SECTIONS): choose.choice(COUNTS) for _ in range(choose.choice((0, 0, 0, 1, 2)))}
    return Shape(
        tuple(random_segment(choose) for _ in range(choose.choice((1, 1, 2, 3)))),
        choose.choice(WIDTHS),
        choose.choice(LOCALS),
        choose.choice((0, 0, 0, 100, 10_000)),
        choose.choice((1, 1, 1, 3, 30)),
        sections,
    )


def changed(shape: Shape, choose: random.Random) -> Shape:
    """Change one thing of a shape."""
    change: Callable[[], Shape] = choose.choice(
        (
            lambda: evolve(shape, width=choose.choice(WIDTHS)),
            lambda: evolve(shape, locals_live=choose.choice(LOCALS)),
            lambda: evolve(shape, copies=choose.choice((1, 2, 10, 100))),
            lambda: evolve(shape, segments=(*shape.segments, random_segment(choose))),
            lambda: evolve(shape, segments=shape.segments[choose.randrange(2) :] or shape.segments),
            lambda: evolve(shape, segments=tuple(_changed_segment(each, choose) for each in shape.segments)),
            lambda: evolve(shape, segments=tuple(_changed_segment(each, choose) for each in shape.segments)),
            lambda: evolve(shape, segments=tuple(_changed_segment(each, choose) for each in shape.segments)),
        )
    )
    return change()


def _changed_segment(segment: Segment, choose: random.Random) -> Segment:
    change: Callable[[], Segment] = choose.choice(
        (
            lambda: segment,
            lambda: evolve(segment, count=1 + int(segment.count * choose.choice((0.1, 0.5, 2, 10)))),
            lambda: evolve(segment, nested=not segment.nested),
            lambda: evolve(segment, piece=choose.choice(list(PIECES))),
            lambda: evolve(segment, inner=(*segment.inner, random_segment(choose, 1))),
            lambda: evolve(segment, inner=segment.inner[:-1]),
            lambda: evolve(segment, inner=tuple(_changed_segment(each, choose) for each in segment.inner)),
        )
    )
    return change()


@frozen
class Search:
    """A search that goes on from what was worst so far, and begins anew in between.

    Attributes:
        compiler: Compiles.
        cost: What every module is grown to cost.
        choose: Makes the choices.
        best: The worst modules so far, by time and by memory a unit.
    """

    compiler: Compiler
    cost: int
    choose: random.Random
    best: list[Measured] = field(factory=list)

    def run(self, seconds: float) -> Iterator[Measured]:
        """Yield what each module took."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            new = not self.best or self.choose.random() < 0.3
            shape = random_shape(self.choose) if new else changed(self.choose.choice(self.best).shape, self.choose)
            shape = grown(shape, self.cost)
            if not worthwhile(shape, self.cost):
                continue
            measured = self.compiler.measure(shape)
            yield measured
            pool = [*self.best, measured]
            slowest = sorted(pool, key=lambda each: each.seconds_a_unit)[-4:]
            largest = sorted(pool, key=lambda each: each.bytes_a_unit)[-4:]
            self.best[:] = {id(each): each for each in slowest + largest}.values()


def main(seconds: float, seed: int, cost: int = 1_000_000) -> None:
    """Search, and print what is worse than all before."""
    with Compiler() as compiler:
        slowest = largest = 0.0
        number = -1
        for number, found in enumerate(Search(compiler, cost, random.Random(seed)).run(seconds)):  # noqa: S311
            reference = compiler.measure(REFERENCE)
            ratio = found.seconds_a_unit / reference.seconds_a_unit
            if ratio > slowest or found.bytes_a_unit > largest:
                slowest, largest = max(slowest, ratio), max(largest, found.bytes_a_unit)
                print(
                    f"{number}: {found.seconds * 1e6 / found.cost:.2f} µs a unit, {ratio:.2f} times the reference's "
                    f"{reference.seconds_a_unit * 1e6:.2f}; {found.bytes_a_unit:.0f} bytes a unit; "
                    f"{found.length:,} bytes, {found.cost:,} units: {found.shape}",
                    flush=True,
                )
        print(f"{number + 1} modules: {slowest:.2f} times the reference, {largest:.0f} bytes a unit")


if __name__ == "__main__":
    numbers: list[Any] = [int(each) for each in sys.argv[1:]]
    if numbers:
        main(*numbers)
    else:
        serve()
