"""No module takes much longer to compile, or more memory, than the estimate says, whatever its shape.

Each takes processor time, which is put beside what ordinary code takes in the same run.
"""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Iterator

import pytest
import wasmtime

from storagemod.wasm.binary import read_declarations
from storagemod.wasm.engine import shared_engine
from tests.fuzz.compiling import REFERENCE, Compiler, Measured, Search, grown
from tests.fuzz.shapes import PIECES, SECTIONS, Segment, Shape, module
from tests.fuzz.test_fuzz import FUZZ_SECONDS, if_asked

TIME_RATIO_MAX = 6
"""Times what a unit of the reference takes. Less than half of that was measured; the rest is for noise."""

BYTES_A_UNIT_MAX = 400

SEED = int(os.environ.get("STORAGEMOD_FUZZ_SEED", "0"))


@pytest.fixture(scope="module")
def compiler() -> Iterator[Compiler]:
    with Compiler() as started:
        yield started


def check(compiler: Compiler, found: Measured) -> None:
    """Check that a module takes what the estimate says, once more if it seems not to."""
    assert found.bytes_a_unit < BYTES_A_UNIT_MAX, found
    reference = compiler.measure(REFERENCE).seconds_a_unit
    if found.seconds_a_unit > TIME_RATIO_MAX * reference:
        reference = max(reference, compiler.measure(REFERENCE).seconds_a_unit)
        again = compiler.measure(found.shape)
        assert again.seconds_a_unit < TIME_RATIO_MAX * reference, again


@pytest.mark.parametrize("nested", [False, True])
def test_every_piece_makes_valid_modules_that_cost_more_the_longer_they_are(nested: bool) -> None:
    for piece in PIECES:
        costs = []
        for count in (3, 30):
            wasm = module(Shape((Segment(piece, count, nested, (Segment("wide_if", 2),)),), width=4, locals_live=20))
            wasmtime.Module.validate(shared_engine(), wasm)
            costs.append(read_declarations(wasm).compile_cost)
        assert costs[0] < costs[1], piece


@pytest.mark.parametrize("section", SECTIONS)
def test_every_section_can_be_long(section: str) -> None:
    wasmtime.Module.validate(shared_engine(), module(Shape(sections={section: 50})))


SUSPECTS = [
    Shape((Segment("wide_call", 100),), width=100),
    Shape((Segment("wide_else", 100),), width=10),
    Shape((Segment("wide_loop", 100),), width=50),
    Shape((Segment("if", 100, nested=True),)),
    Shape((Segment("if_set", 100, nested=True),), locals_live=300),
    Shape((Segment("if_read", 100),), locals_live=300),
    Shape((Segment("loop_back", 100),), locals_live=50),
    Shape((Segment("call_indirect", 100),)),
    Shape((Segment("memory_grow", 100),)),
    Shape((Segment("table_copy", 100),), locals_live=100),
    Shape((Segment("f64_f64_f64_a0", 1_000),)),
    Shape(locals_unused=10_000, copies=5, sections={"functions": 100}),
    Shape(width=20, sections={"far_data": 100, "wide_types": 100}),
]


@pytest.mark.parametrize("shape", SUSPECTS)
def test_the_worst_shapes_that_are_known_take_what_the_estimate_says(compiler: Compiler, shape: Shape) -> None:
    check(compiler, compiler.measure(grown(shape, 100_000)))


def test_no_shape_takes_more_than_the_estimate_says(compiler: Compiler) -> None:
    search = Search(compiler, 50_000, random.Random(1))  # noqa: S311
    for found in itertools.islice(search.run(60), 6):
        check(compiler, found)


@pytest.mark.fuzz
@if_asked
@pytest.mark.parametrize("cost", [300_000, 3_000_000])
def test_none_of_many_shapes_takes_more_than_the_estimate_says(compiler: Compiler, cost: int) -> None:
    for found in Search(compiler, cost, random.Random(SEED or None)).run(FUZZ_SECONDS):  # noqa: S311
        check(compiler, found)
