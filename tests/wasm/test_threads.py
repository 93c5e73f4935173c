"""What threads share: compiled modules, and what is known of them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from storagemod import Limits, World
from storagemod.wasm import compile_module, module, to_wasm

pytestmark = pytest.mark.usefixtures("often_another_thread")


def test_threads_that_compile_push_one_anothers_modules_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MODULES_KEPT", 2)
    binaries = [to_wasm(f'(module (func (export "f{each}")))', name="some", limits=Limits()) for each in range(4)]

    def compile_some(number: int) -> list[bytes]:
        return [compile_module(binaries[(number * each) % 4], Limits()).wasm for each in range(300)]

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(compile_some, range(1, 5)))
    assert found == [[binaries[(number * each) % 4] for each in range(300)] for number in range(1, 5)]


def test_a_memory_that_threads_put_back_is_new_for_each_call() -> None:
    """One thread tries how it is put back while another one needs to know."""
    for length in range(20):
        code = f"""(module (memory $own 1) (data (i32.const 0) "{"x" * (length + 1)}")
          (func (export "f") (result i32)
            (i32.store8 (i32.const 60000) (i32.add (i32.load8_u (i32.const 60000)) (i32.const 1)))
            (i32.store8 (i32.const 0) (i32.add (i32.load8_u (i32.const 0)) (i32.const 1)))
            (i32.add (i32.load8_u (i32.const 0)) (i32.load8_u (i32.const 60000)))))"""

        def run(code: str) -> set[object]:
            with World(trace=False) as world:
                address = world.deploy(code)
                return {world.transact(address, "f").value for _ in range(20)}

        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(run, [code] * 4)) == [{ord("x") + 2}] * 4
