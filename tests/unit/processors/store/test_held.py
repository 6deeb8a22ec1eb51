"""Calls that are held decoded: what comes out of them is what comes out of their bytes."""

from contextlib import AbstractContextManager
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.call.state import UNCOUNTED
from processors.join import step
from processors.store import held
from processors.store.held import HeldCalls
from processors.store.partition import PartitionState
from processors.store.state_codec import Packed, decode_state, encode_state
from schemas.config.settings import JoinSettings
from schemas.facts import Fact, State
from tests.support.strategies import CALLER, callback, fact_logs, in_a_row, pushed_state

FEW = JoinSettings(max_contents=2)
"""Contents and items are soon folded away."""
STATE = step(None, callback(), 0, FEW).state or pytest.fail("a call has a state")
"""A call with its record."""
RINGING = step(None, pushed_state(CALLER, State.ALERTING, 0), 0, FEW).state or pytest.fail("a call has a state")


def at_most(awaited: int, with_record: int) -> AbstractContextManager[object]:
    """Lets so many items be held of calls of which more is awaited, and of those with their record."""
    return patch.multiple(held, ITEMS=awaited, ITEMS_WITH_RECORD=with_record)


def written(facts: list[Fact], size: int, most: int) -> list[tuple[object, ...]]:
    """Returns all results and all records of these facts, in batches of a size, with so many items held at most."""
    calls, seen = PartitionState(FEW, b"writer!!"), list[tuple[object, ...]]()
    with at_most(most, most):
        for start in range(0, len(facts), size):
            for fact in facts[start : start + size]:
                done = calls.apply(fact)
                seen.append((done.outcome, done.state, done.timelines))
            seen += calls.take_changed().items()
    return seen


@given(fact_logs(), st.integers(1, 4))
@settings(max_examples=60)
def test_held_or_read_from_its_bytes_a_call_is_the_same(facts: list[Fact], size: int) -> None:
    assert written(facts, size, 2048) == written(facts, size, 0)


@given(fact_logs())
@settings(max_examples=60)
def test_what_was_packed_before_is_what_is_packed_anew(facts: list[Fact]) -> None:
    packed: dict[str, Packed] = {}
    states = dict.fromkeys([fact.call_key for fact in facts], None)
    for fact in facts:
        key = fact.call_key
        states[key] = state = step(states[key], fact, 0, FEW).state
        assert state is not None
        value = encode_state(state, packed=packed.setdefault(key, {}))
        assert value == encode_state(state)
        assert encode_state(decode_state(value)) == value
        assert packed[key].keys() == state.items.keys()


def test_of_items_that_were_folded_away_nothing_is_packed() -> None:
    packed, state = Packed(), None
    for fact in in_a_row([pushed_state(CALLER, State.SETUP, number * 37 % 200) for number in range(9)]):
        state = step(state, fact, 0, FEW).state
        assert state is not None
        assert encode_state(state, packed=packed) == encode_state(state)
    assert state is not None
    assert state.overflow
    assert packed.keys() == state.items.keys()


def test_calls_that_were_written_longest_ago_are_let_go() -> None:
    calls = HeldCalls()
    with at_most(0, 3):
        for key in "abcad":
            calls.put(key, STATE, {})

    assert [*calls] == ["c", "a", "d"]
    assert (calls.state("b"), calls.packed("b"), calls.state("a")) == (None, {}, STATE)
    calls.drop("a")
    assert [*calls] == ["c", "d"]


def test_the_last_call_is_held_whatever_it_has() -> None:
    calls = HeldCalls()
    with at_most(0, 0):
        calls.put("a", STATE, {})
        calls.put("b", STATE, {})

    assert [*calls] == ["b"]


def test_calls_with_their_record_are_let_go_of_earlier_and_take_no_place_of_others() -> None:
    calls = HeldCalls()
    with at_most(3, 1):
        for key in "abcd":
            calls.put(key, RINGING, {})
        for key in "xyc":
            calls.put(key, STATE, {})

    assert [*calls] == ["b", "d", "c"]
    assert (calls.state("c"), calls.state("d"), calls.state("y")) == (STATE, RINGING, None)
    calls.put("c", RINGING, {})
    assert [*calls] == ["b", "d", "c"]
    assert calls.state("c") == RINGING


def test_a_conference_is_held_as_a_call_of_which_more_is_awaited() -> None:
    calls = HeldCalls()
    two = msgspec.structs.replace(
        STATE, items={**STATE.items, "other": next(iter(STATE.items.values()))}, tally=UNCOUNTED
    )
    with at_most(4, 0):
        for key in "abc":
            calls.put(key, two, {})
        calls.put("d", STATE, {})

    assert [*calls] == ["b", "c", "d"]
