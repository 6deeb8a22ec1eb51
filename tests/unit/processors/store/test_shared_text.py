"""The short form of states: the text that they share, and who writes and reads it."""

import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.call.state import CallState
from processors.join import step
from processors.store import shared_text
from processors.store.partition import PartitionState
from processors.store.shared_text import BEGINNING, TEXT, lengthened, shortened
from processors.store.state_codec import FORM, SHORT_FORM, decode_state, encode_state
from schemas.config.settings import JoinSettings
from schemas.dead_letter import hash_of
from schemas.facts import Fact
from tests.support.strategies import BOTH_LEGS, KEY, callback, in_a_row

STORED = bytes.fromhex(
    "049c0100010000ce240c840090c202c50100c401000017f708a56170702d31b032303138303633353234303238393436ce00f100ae2b38363133"
    "3831303630333935347c00011400a138383130323037303136140000ea0061d6ff69a3f214060012465903093c0013a02900012100110a060015"
    "46000121c0c060030959000931000358000731007cc0c0cdc3503c3c59020d660195a4322e3934a3434e593c00035103acb97974787c6d61696e"
    "7c0101037805096b0341010100a0a100060e01010f0006090100c50113a08f002ec080530231a3f2009d0166a5722d302d30710330000000d104"
    "22c0c2cf04f01420e31e8591da825ebc844ad6d100783ea73d815c2edd999630564ae0c4ff8b80c1009081a09300ce00078320c300"
)
"""A state that was stored when the form was new."""


def state_of(facts: Sequence[Fact]) -> CallState:
    state: CallState | None = None
    for fact in in_a_row(facts):
        state = step(state, fact, 0, JoinSettings()).state
    assert state is not None
    return state


RECORD = state_of([callback()])


def test_a_state_that_was_stored_is_read_for_ever() -> None:
    assert STORED[0] == SHORT_FORM
    assert decode_state(STORED) == RECORD


@given(items=st.binary(max_size=2000) | st.integers(0, len(TEXT)).map(lambda at: TEXT[at:]))
def test_what_is_shortened_is_lengthened_again(items: bytes) -> None:
    rest = shortened(items)

    assert rest is None or lengthened(rest, len(items)) == items


@pytest.mark.parametrize(
    ("state", "most"), [(state_of(BOTH_LEGS[:1]), 0.7), (RECORD, 0.8)], ids=["one event", "one record"]
)
def test_a_small_call_is_a_fifth_shorter(state: CallState, most: float) -> None:
    """Our LZ4 makes of the text what it made when the form was new."""
    short, plain = encode_state(state, short=True), encode_state(state)

    assert (short[0], plain[0]) == (SHORT_FORM, FORM)
    assert len(short) < most * len(plain)


def test_where_the_text_becomes_something_else_the_items_are_stored_by_themselves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A later LZ4 may find other repetitions in it."""
    monkeypatch.setattr(shared_text, "BEGINNING", b"other" + BEGINNING)

    assert encode_state(RECORD, short=True) == encode_state(RECORD)


@pytest.mark.parametrize(
    ("writer", "form"), [(b"a writer", SHORT_FORM), (b"", FORM)], ids=["ours", "the release before"]
)
def test_who_may_have_an_older_successor_writes_what_that_can_read(writer: bytes, form: int) -> None:
    """Either reads what the other wrote, and leaves it as it is until the call changes."""
    for stored in (encode_state(RECORD, short=True), encode_state(RECORD)):
        held = PartitionState(JoinSettings(), writer)
        held.load(KEY, [stored])
        assert held.take_changed() == {}

        held.apply(in_a_row(BOTH_LEGS, first_offset=9)[0])
        (written,) = held.take_changed().values()
        assert written is not None
        assert written[0] == form
        assert decode_state(written).contents == 2


def test_the_text_is_what_it_was_and_says_nothing_of_anybody() -> None:
    assert [hash_of(constant) for constant in (TEXT, BEGINNING)] == ["19a1e6ea7701b115", "64baf99e3561bb9f"]
    assert re.findall(rb"\d{5,}|[0-9a-f]{8}-|https?:", TEXT) == []
