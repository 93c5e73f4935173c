"""A token in C that is written as contracts for ewasm are: call data, 32-byte keys and values, logs, ewasm's rules."""

from __future__ import annotations

from collections import Counter

import pytest
from attrs import define, field
from Crypto.Hash import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from storagemod import Address, Receipt, World
from storagemod.types import Outcome

from .compilers import contract

ALICE, BOB, CAROL = Address(0xA11CE), Address(0xB0B), Address(0xCA401)
SUPPLY = 2**200 + 12345

BALANCES, ALLOWANCES, SUPPLY_AT = (number.to_bytes(32, "big") for number in range(3))


def keccak256(data: bytes) -> bytes:
    return keccak.new(digest_bits=256, data=data).digest()


def word(value: int | bytes) -> bytes:
    return value.to_bytes(32, "big") if isinstance(value, int) else value.rjust(32, b"\0")


def call_data(method: str, *args: int | bytes) -> bytes:
    return keccak256(method.encode())[:4] + b"".join(map(word, args))


def balance_key(owner: Address) -> bytes:
    return keccak256(word(owner) + BALANCES)


def allowance_key(owner: Address, spender: Address) -> bytes:
    return keccak256(word(spender) + keccak256(word(owner) + ALLOWANCES))


@define
class Token:
    """A token in a world that takes no contract but those that keep ewasm's rules; its supply is Alice's."""

    world: World = field(factory=lambda: World(validation="ewasm", trace=False))
    address: Address = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.address = self.world.deploy(contract("c", "erc20"))
        slots = self.world.slots(self.address)
        slots[SUPPLY_AT] = slots[balance_key(ALICE)] = word(SUPPLY)

    def send(self, sender: Address, method: str, *args: int | bytes) -> Receipt:
        return self.world.transact(self.address, data=call_data(method, *args), sender=sender)

    def ask(self, method: str, *args: int | bytes) -> int:
        return int.from_bytes(self.world.call(self.address, data=call_data(method, *args)).raise_for_error().output)


@pytest.fixture
def token() -> Token:
    return Token()


def test_transfer_moves_what_the_sender_has_and_is_logged(token: Token) -> None:
    receipt = token.send(ALICE, "transfer(address,uint256)", BOB, 2**130)

    assert (receipt.outcome, receipt.output) == (Outcome.OK, word(1))
    assert token.ask("balanceOf(address)", ALICE) == SUPPLY - 2**130
    assert token.ask("balanceOf(address)", BOB) == 2**130
    assert token.ask("totalSupply()") == SUPPLY
    (log,) = receipt.logs
    assert log.topics == (keccak256(b"Transfer(address,address,uint256)"), word(ALICE), word(BOB))
    assert log.data == word(2**130)


def test_storage_is_where_a_solidity_contract_would_have_it(token: Token) -> None:
    token.send(ALICE, "transfer(address,uint256)", BOB, 7).raise_for_error()
    token.send(BOB, "approve(address,uint256)", CAROL, 5).raise_for_error()

    assert dict(token.world.slots(token.address)) == {
        SUPPLY_AT: word(SUPPLY),
        balance_key(ALICE): word(SUPPLY - 7),
        balance_key(BOB): word(7),
        allowance_key(BOB, CAROL): word(5),
    }


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"", b"no selector", id="no call data"),
        pytest.param(b"\x18\x16\x0d", b"no selector", id="three bytes"),
        pytest.param(call_data("mint(address,uint256)", BOB, 1), b"no such method", id="unknown method"),
        pytest.param(call_data("transfer(address,uint256)", BOB), b"wrong length of call data", id="argument missing"),
        pytest.param(call_data("transfer(address,uint256)", 2**160 + 1, 1), b"not an address", id="long address"),
        pytest.param(call_data("transfer(address,uint256)", BOB, 1), b"balance too low", id="1 too much"),
        pytest.param(call_data("transfer(address,uint256)", BOB, 2**256 - 1), b"balance too low", id="all too much"),
        pytest.param(
            call_data("transferFrom(address,address,uint256)", ALICE, BOB, 1), b"allowance too low", id="not allowed"
        ),
    ],
)
def test_what_it_refuses_is_reverted_with_a_reason(token: Token, data: bytes, reason: bytes) -> None:
    root = token.world.state_root

    receipt = token.world.call(token.address, data=data, sender=CAROL)

    assert (receipt.outcome, receipt.output) == (Outcome.REVERTED, reason)
    assert token.world.state_root == root


def test_value_is_refused_and_stays_with_its_sender(token: Token) -> None:
    token.world.fund(BOB, 10)

    receipt = token.world.transact(token.address, data=call_data("totalSupply()"), sender=BOB, value=1)

    assert (receipt.outcome, receipt.output) == (Outcome.REVERTED, b"takes no value")
    assert token.world.account(BOB).balance == 10


WHO = st.sampled_from([ALICE, BOB, CAROL])
AMOUNTS = st.sampled_from([0, 1, 2**64 - 1, 2**64, 2**128, SUPPLY, SUPPLY + 1, 2**256 - 1])
STEPS = st.one_of(
    st.tuples(st.just("transfer(address,uint256)"), WHO, WHO, AMOUNTS),
    st.tuples(st.just("approve(address,uint256)"), WHO, WHO, AMOUNTS),
    st.tuples(st.just("transferFrom(address,address,uint256)"), WHO, WHO, WHO, AMOUNTS),
)


@settings(max_examples=25)
@given(st.lists(STEPS, max_size=12))
def test_any_history_ends_as_a_plain_model_of_a_token_says(steps: list[tuple[str, Address, Address, int]]) -> None:
    token = Token()
    balances, allowances = Counter({ALICE: SUPPLY}), Counter[tuple[Address, Address]]()
    for method, sender, *args in steps:
        receipt = token.send(sender, method, *args)
        match method.partition("(")[0], *args:
            case "approve", spender, amount:
                allowances[sender, spender] = amount
                expected = True
            case "transfer", to, amount:
                expected = balances[sender] >= amount
                if expected:
                    balances[sender] -= amount
                    balances[to] += amount
            case "transferFrom", owner, to, amount:
                expected = min(allowances[owner, sender], balances[owner]) >= amount
                if expected:
                    allowances[owner, sender] -= amount
                    balances[owner] -= amount
                    balances[to] += amount
        assert receipt.ok is expected
    people = (ALICE, BOB, CAROL)
    assert [token.ask("balanceOf(address)", each) for each in people] == [balances[each] for each in people]
    pairs = [(owner, spender) for owner in people for spender in people]
    assert [token.ask("allowance(address,address)", *pair) for pair in pairs] == [allowances[pair] for pair in pairs]
