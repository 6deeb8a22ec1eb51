"""The stored form of a call's state: exact, small, readable by releases with other fields, and safe against damage."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import cramjam
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.call.state import CallState
from processors.join import step
from processors.store import state_codec
from processors.store.partition import PartitionState
from processors.store.state_codec import (
    FACT_FIELDS,
    FORM,
    LEG_FIELDS,
    LIMIT_BYTES,
    SHORT_FORM,
    StateTooLarge,
    StoredFact,
    StoredState,
    decode_state,
    encode_state,
    items_bytes,
    peek_state,
    stored_form,
)
from schemas.config.settings import JoinSettings
from schemas.errors import Undecodable
from schemas.facts import Fact, Leg
from tests.support.strategies import BOTH_LEGS, KEY, callback, decision, in_a_row, raw_arrivals

SETTINGS = JoinSettings()
INSTANTS = st.datetimes(
    datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.sampled_from([UTC, timezone(timedelta(hours=8))])  # noqa: DTZ001  # hypothesis adds the zone
)  # fmt: skip
AMOUNTS = st.none() | st.decimals(allow_nan=False, allow_infinity=False, places=None)


def joined(facts: list[Fact]) -> CallState:
    state: CallState | None = None
    for fact in facts:
        state = step(state, fact, 0, SETTINGS).state
    assert state is not None
    return state


def with_fact(state: CallState, change: Callable[[Fact], Fact]) -> CallState:
    """Change every fact of a state, whatever the joiner would make of it."""
    replace = msgspec.structs.replace
    return replace(
        state,
        items={
            key: replace(item, contents=tuple(replace(content, fact=change(content.fact)) for content in item.contents))
            for key, item in state.items.items()
        },
    )


def first_fact(state: CallState) -> Fact:
    return next(iter(state.items.values())).every[0].fact


def test_every_field_of_a_fact_and_of_a_leg_is_stored() -> None:
    """A new field is appended to these."""
    assert set(FACT_FIELDS) == set(Fact.__struct_fields__)
    assert set(LEG_FIELDS) == set(Leg.__struct_fields__)


@given(facts=raw_arrivals(), cost=AMOUNTS, instant=INSTANTS, other=INSTANTS, short=st.booleans())
def test_decimals_and_instants_survive_exactly(
    facts: list[Fact], cost: Decimal | None, instant: datetime, other: datetime, *, short: bool
) -> None:
    state = with_fact(
        joined(facts),
        lambda fact: msgspec.structs.replace(
            fact,
            cost=cost,
            answer_at=instant,
            event_at=other,
            legs=tuple(msgspec.structs.replace(leg, end_at=other) for leg in fact.legs),
        ),
    )
    read = decode_state(encode_state(state, short=short))

    assert read == state
    assert encode_state(read) == encode_state(state)
    for item in read.items.values():
        for content in item.contents:
            assert str(content.fact.cost) == str(cost)
            assert content.fact.answer_at is not None
            assert (content.fact.answer_at, content.fact.answer_at.utcoffset()) == (instant, timedelta(0))


@pytest.mark.parametrize(
    "names",
    [
        pytest.param({"fact_id": "call-1"}, id="no hexadecimal text"),
        pytest.param({"fact_id": "1D0C5AF6-0F4A-5B6A-9F31-0B1F0B0F6A11"}, id="in capitals"),
        pytest.param({"fact_id": "1d0c-5af60f4a-5b6a-9f31-0b1f0b0f6a11"}, id="a dash at another place"),
        pytest.param({"fact_id": "1d0c5af6-0f4a-5b6a-9f31-0b1f-b0f6-11"}, id="too many dashes"),
        pytest.param({"content_digest": "ab" * 15}, id="a shorter digest"),
        pytest.param({"content_digest": "", "raw_sha256": "cd" * 16}, id="one in the place of another"),
        pytest.param({"raw_sha256": "cd" * 32}, id="with a hash of the body"),
        pytest.param({"fact_id": "", "content_digest": ""}, id="none"),
    ],
)
def test_ids_and_hashes_are_the_same_texts_afterwards(names: dict[str, str]) -> None:
    state = with_fact(joined([callback()]), lambda fact: msgspec.structs.replace(fact, **names))
    read = decode_state(encode_state(state))

    assert first_fact(read) == first_fact(state)


def rewritten(stored: bytes, change: Callable[[list[Any]], None], state: Callable[[list[Any]], None]) -> bytes:
    """Another release's bytes: `change` gets each stored content, `state` the array of the whole."""
    whole = msgspec.msgpack.decode(stored[1:])
    items = msgspec.msgpack.decode(bytes(cramjam.lz4.decompress_block(whole[9])))
    for item in items[0]:
        for content in item[0]:
            change(content)
    whole[9] = bytes(cramjam.lz4.compress_block(msgspec.msgpack.encode(items)))
    state(whole)
    return stored[:1] + msgspec.msgpack.encode(whole)


def test_a_state_of_a_later_release_with_more_fields_is_read() -> None:
    state = joined(in_a_row([*BOTH_LEGS, callback()]))

    def appended(content: list[Any]) -> None:
        content[0].append("a field of tomorrow")
        content.append({"and": "another"})
        for leg in content[0][FACT_FIELDS.index("legs")]:
            leg.append(7)

    assert decode_state(rewritten(encode_state(state), appended, lambda whole: whole.append([1]))) == state


def test_a_state_of_an_earlier_release_with_fewer_fields_is_read() -> None:
    state = joined(in_a_row([*BOTH_LEGS, callback()]))

    def shortened(content: list[Any]) -> None:
        del content[0][-4:]
        for leg in content[0][FACT_FIELDS.index("legs")]:
            del leg[-1]

    assert FACT_FIELDS[-4:] == ("contents", "keeps", "slot_at", "slot_certain")
    assert decode_state(rewritten(encode_state(state), shortened, lambda _: None)) == state


def test_a_field_that_is_appended_to_facts_has_its_default_in_states_of_today() -> None:
    class FactOfTomorrow(Fact, frozen=True, kw_only=True):
        region: str = "unknown"

    tomorrow = stored_form(FactOfTomorrow, (*FACT_FIELDS, "region"))
    today = StoredFact(**{name: getattr(callback(), name) for name in FACT_FIELDS if name != "legs"})
    read = msgspec.msgpack.decode(msgspec.msgpack.encode(today), type=tomorrow)

    assert (read.region, read.cost) == ("unknown", callback().cost)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(read), type=StoredFact) == today


def test_decisions_are_stored_beside_the_contents_that_they_are_about() -> None:
    one, other = callback(), callback(vendor_duration_s=61)
    state = joined(in_a_row([one, other, decision(one, other)]))

    assert decode_state(encode_state(state)) == state


def test_nine_facts_take_less_than_a_kilobyte_and_a_record_alone_less_than_400_bytes() -> None:
    assert len(encode_state(joined(in_a_row([*BOTH_LEGS, callback()])))) < 1000
    assert len(encode_state(joined(in_a_row([callback()])))) < 400


def test_a_call_that_would_be_slow_to_write_is_an_oversize_dead_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repetitive facts could else grow without end: megabytes that are written again with every fact."""
    facts = in_a_row([callback(custom_ref=f"{number}" + "x" * 900_000) for number in range(20)])
    with pytest.raises(StateTooLarge, match=f"the limit is {LIMIT_BYTES}"):
        encode_state(joined(facts))

    monkeypatch.setattr(state_codec, "LIMIT_BYTES", 2_000)
    held = PartitionState(SETTINGS)
    held.apply(in_a_row([callback()])[0])
    (before,) = held.take_changed().values()
    for fact in in_a_row(BOTH_LEGS, first_offset=9):
        held.apply(fact)
    assert held.take_changed() == {}
    assert {key: code for key, (code, _) in held.unwritten.items()} == {KEY: "oversize"}
    held.take_back([KEY])
    assert held.apply(in_a_row([callback()])[0]).outcome == "replayed"
    assert before is not None
    assert peek_state(before).counts() == (1, 0)


WHOLE = encode_state(joined(in_a_row([*BOTH_LEGS, callback()])))
SHORT = encode_state(joined(in_a_row([callback()])), short=True)
SHORT_ITEMS = items_bytes(SHORT)
SHORT_SIZE = SHORT_ITEMS.to_bytes(4, "little")
DAMAGED: dict[str, bytes] = {
    "cut in the head": WHOLE[:5],
    "cut in the items": WHOLE[:-9],
    "more than one state": WHOLE + b"\xc0",
    "of a later form": bytes((SHORT_FORM + 1,)) + WHOLE[1:],
    "short, of the other form": bytes((FORM,)) + SHORT[1:],
    "not short, of the short form": bytes((SHORT_FORM,)) + WHOLE[1:],
    "short, cut in the items": SHORT[:-9],
    "short, of another size": SHORT.replace(SHORT_SIZE, (SHORT_ITEMS + 1).to_bytes(4, "little"), 1),
    "short, of a lesser size": SHORT.replace(SHORT_SIZE, (SHORT_ITEMS - 1).to_bytes(4, "little"), 1),
    "short, of a size that no state has": SHORT.replace(SHORT_SIZE, (1 << 31).to_bytes(4, "little"), 1),
    "a size that no state has": bytes((FORM,))
    + msgspec.msgpack.encode([1, 0, 1, 0, 5, 9, [], False, 0, (1 << 31).to_bytes(4, "little") + b"\x00" * 20]),
    "items that are no items": bytes((FORM,))
    + msgspec.msgpack.encode([1, 0, 1, 0, 5, 9, [], False, 0, bytes(cramjam.lz4.compress_block(b"\xc0" * 20))]),
    "an item without contents": bytes((FORM,))
    + msgspec.msgpack.encode(
        [1, 0, 1, 0, 5, 9, [], False, 0, bytes(cramjam.lz4.compress_block(msgspec.msgpack.encode([[[[], 0, []]]])))]
    ),
}


@pytest.mark.parametrize("damaged", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_state_is_undecodable(damaged: bytes) -> None:
    with pytest.raises(Undecodable) as caught:
        decode_state(damaged)

    assert caught.value.code == "schema"


@given(data=st.binary(max_size=40))
def test_the_head_of_bytes_that_are_no_state_is_undecodable(data: bytes) -> None:
    for form in (b"", b"\x02", b"\x03", b"\x04"):
        with pytest.raises(Undecodable):
            peek_state(form + b"\xc1" + data)


def test_a_state_is_read_by_a_release_without_slots() -> None:
    """While a new release replaces an old one, workers of both may read what either wrote."""
    since = {"slots", "told"}
    fields = [(field.name, field.type) for field in msgspec.structs.fields(StoredState) if field.name not in since]
    older = msgspec.defstruct("OlderState", fields, array_like=True)
    state = joined(in_a_row([*BOTH_LEGS, callback()]))
    read = msgspec.msgpack.decode(encode_state(state)[1:], type=older)

    assert state.slots
    assert (read.contents, read.merge_count) == (state.contents, state.merge_count)  # type: ignore[attr-defined]  # made at run time
    assert decode_state(encode_state(state)[:1] + msgspec.msgpack.encode(read)).slots == {}
