"""Whatever bytes there are for code: a receipt says what came of them, and nothing else happens."""

from __future__ import annotations

from hypothesis import event, given, settings
from hypothesis import strategies as st

from storagemod import GasSchedule, Limits, Receipt, StorageModError, ValidationError, ValidationMode, World
from storagemod.types import FunctionType
from storagemod.wasm import WASM_MAGIC
from tests.vm.maker import MAKER, call, create, finish, init, store
from tests.vm.test_create import GIVES_4_000_BYTES, SPAWNER, linear_init, wasm

MODULES = (
    MAKER,
    init(store(1, 1), finish(b"\0asm\1\0\0\0")),
    wasm(SPAWNER),
    wasm(GIVES_4_000_BYTES),
    linear_init("1 4", b"code"),
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A module with some bytes changed, dropped or doubled."""
    code = bytearray(draw(st.sampled_from(MODULES)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(code) - 1))
        change = draw(st.sampled_from(["set", "set", "set", "cut", "double"]))
        if change == "set":
            code[at] = draw(st.integers(0, 255))
        else:
            end = min(at + draw(st.integers(1, 40)), len(code))
            code[at:end] = b"" if change == "cut" else code[at:end] * 2
        if not code:
            break
    return bytes(code)


codes = st.one_of(
    mutated(),
    mutated(),
    st.binary(max_size=60),
    st.binary(max_size=60).map(lambda data: WASM_MAGIC + b"\1\0\0\0" + data),
)

LIMITS = Limits(deadline_seconds=5, calls_max=50)


def settled(receipt: Receipt) -> None:
    assert receipt.ok == (receipt.error is None)
    assert receipt.ok or isinstance(receipt.error, StorageModError)
    event("ok" if receipt.ok else type(receipt.error).__name__)


@given(code=codes, mode=st.sampled_from(ValidationMode))
@settings(max_examples=200, deadline=None)
def test_any_bytes_can_be_created_called_and_looked_at(code: bytes, mode: ValidationMode) -> None:
    world = World(validation=mode, limits=LIMITS, tracker="portable", schedule=GasSchedule.free())
    root = world.state_root
    receipt = world.create(code, gas=3_000_000)
    settled(receipt)
    assert receipt.ok or world.state_root == root
    holder = world.set_account(0xC0DE, code=code)
    try:
        settled(world.transact(holder, data=b"\7x", gas=3_000_000))
    except ValidationError:  # it cannot start: a contract without `main`, or one that takes arguments
        assert world.contract(holder).entry_points.get("main") != FunctionType()
    driver = world.set_account(0xD1, code=MAKER, balance=10)
    settled(world.transact(driver, data=create(code, 1) + call(holder) + create(init(finish(code))), gas=9_000_000))
    assert world.account(holder).code == code or world.account(holder).code == b""
    world.storage(driver)
    for address in world.accounts():
        if "slots" not in _memories(world, address):
            assert all(len(key) == 32 for key in world.slots(address))
    try:
        world.deploy(code)
    except StorageModError as error:
        event(f"deployed: {type(error).__name__}")


def _memories(world: World, address: object) -> set[str]:
    try:
        contract = world.contract(address)  # type: ignore[arg-type]
    except StorageModError:
        return set()
    return set() if contract.is_keyed else {region.name for region in contract.layout.regions}
