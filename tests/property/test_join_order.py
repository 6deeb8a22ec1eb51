"""The algebra of the join: order, repetition and replay change nothing; versions rise with content."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import chain, combinations, permutations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.call.agreement import answered, blank, compatible
from processors.call.precedence import normalized
from processors.call.state import UNCOUNTED, merge_states
from processors.column_bounds import bounded
from processors.join import CallState, step, timeout
from processors.store.state_codec import decode_state, encode_state
from processors.timeline.build import timelines_of
from schemas.config.settings import JoinSettings
from schemas.errors import Undecodable
from schemas.facts import Fact, FactType, State
from schemas.timeline import Timeline
from tests.support.strategies import CALLED, CALLER, callback, fact_logs, in_a_row, placed, pushed_state, raw_arrivals

SETTINGS = JoinSettings()
FIVE = in_a_row(
    [
        pushed_state(CALLER, State.SETUP, 0),
        pushed_state(CALLER, State.ANSWER, 10),
        pushed_state(CALLED, State.ANSWER, 20),
        callback(),
        callback(vendor_duration_s=61, hangup_reason="normal"),
    ]
)


def joined(facts: Iterable[Fact], state: CallState | None = None) -> CallState:
    """Join all of them, arriving at one moment."""
    for fact in facts:
        state = step(state, fact, 0, SETTINGS).state
    assert state is not None
    return state


def shown_of(state: CallState) -> tuple[Timeline, ...]:
    """The timelines without their slots, which depend on the first fact (`test_slots.py`)."""
    return tuple(
        msgspec.structs.replace(timeline, slot_at=None, slot_certain=False) for timeline in timelines_of(state)
    )


def arrival(fact: Fact) -> tuple[str, int, int, int]:
    return fact.raw_topic, fact.raw_partition, fact.raw_offset, fact.raw_element


def again(fact: Fact) -> Fact:
    """The same content, sent by the vendor once more."""
    return placed(fact, fact.raw_offset + 100)


def test_five_facts_in_every_order_and_repetition_show_one_timeline() -> None:
    """All orders of all non-empty subsets, each fact once, twice at its place, or at two places: 2^5 patterns each."""
    compared = 0
    for size in range(1, len(FIVE) + 1):
        for chosen in combinations(FIVE, size):
            expected = shown_of(joined(chosen))
            repeated: list[tuple[Fact, ...]] = [
                tuple(fact for index, fact in enumerate(chosen) if pattern >> index & 1) for pattern in range(1 << size)
            ]
            for order in permutations(chosen):
                state = joined(order)
                for extra in repeated:
                    shown = (
                        shown_of(joined(extra, state)),
                        shown_of(joined(map(again, extra), state)),
                        shown_of(joined(chain.from_iterable((fact, fact) for fact in map(again, extra)), state)),
                    )
                    assert shown == (expected,) * 3, (order, extra)
                    compared += 1
    assert compared == sum((1 << size) * count for size, count in ((1, 5), (2, 20), (3, 60), (4, 120), (5, 120)))


@given(arrivals=raw_arrivals(), data=st.data())
def test_any_order_shows_the_same(arrivals: list[Fact], data: st.DataObject) -> None:
    """This includes two legs, contradictions, corrections, several calls under one key, and copies."""
    shuffled = data.draw(st.permutations(arrivals))
    ours, theirs = joined(arrivals), joined(shuffled)

    assert without_copies(shown_of(ours)) == without_copies(shown_of(theirs))
    assert ours.counts() == theirs.counts()
    assert _rows(ours) == _rows(theirs)


def _rows(state: CallState) -> dict[str, Fact]:
    return {name: normalized(item) for name, item in state.items.items() if item.contents}


OUTCOME = (
    "disposition", "answer_at", "end_at", "talk_ms", "hangup_cause", "hangup_reason", "q850", "sip_code", "hangup_party",
    "vendor_duration_s", "billable_s", "cost", "currency",
)  # fmt: skip


@given(arrivals=raw_arrivals())
def test_a_row_never_says_what_contradicting_contents_say_together(arrivals: list[Fact]) -> None:
    """The shown content's outcome is whole; gaps are filled from contents that agree with it and each other."""
    for item in joined(arrivals).items.values():
        if not item.contents or item.fact_type is not FactType.RECORD:
            continue
        row = normalized(item)
        contents = [bounded(content.fact) for content in item.contents]
        (best,) = [fact for fact in contents if fact.content_digest == row.content_digest]
        assert (row.received_at, row.raw_offset, row.raw_partition) == (
            best.received_at,
            best.raw_offset,
            best.raw_partition,
        )
        taken = [name for name in OUTCOME if getattr(row, name) != getattr(best, name)]
        agreeing = [fact for fact in contents if compatible(best, fact)]
        for name in taken:
            assert blank(getattr(best, name)) or (name in _CAUSE and not best.hangup_cause), name
            assert getattr(row, name) in {getattr(fact, name) for fact in agreeing}, name
        if answered(best) is False:
            assert (row.answer_at, row.talk_ms) == (best.answer_at, best.talk_ms)
        for content in row.contents[:1]:
            assert content.digest == row.content_digest
            assert content.disposition == row.disposition or "disposition" in taken


_CAUSE = frozenset({"disposition", "hangup_cause", "hangup_reason", "q850", "sip_code"})


@given(arrivals=raw_arrivals())
def test_every_element_is_a_fact_or_a_duplicate(arrivals: list[Fact]) -> None:
    """Decisions count as well: the books balance with everything that came in."""
    contents = {(fact.fact_id, fact.content_digest) for fact in arrivals}

    assert joined(arrivals).counts() == (len(contents), len(arrivals) - len(contents))


@given(log=fact_logs(), small=st.booleans())
def test_counts_that_are_carried_along_are_those_of_the_items(log: list[Fact], small: bool) -> None:  # noqa: FBT001 - a case
    """Items may be folded away, facts late, and records final or not."""
    bounds = JoinSettings(max_contents=1) if small else SETTINGS
    state: CallState | None = None
    for index, fact in enumerate(log):
        state = step(state, fact, index * 30_000_000, bounds).state
        assert state is not None
        assert msgspec.structs.replace(state, tally=UNCOUNTED).tally == state.tally


@given(arrivals=raw_arrivals())
def test_accounts_share_no_call(arrivals: list[Fact]) -> None:
    """Items of one account's address are shown as if nothing else had come."""
    found = shown_of(joined(arrivals))
    assert len({timeline.timeline_id for timeline in found}) == len(found)
    for account in {timeline.account for timeline in found}:
        alone = shown_of(joined([fact for fact in arrivals if fact.account == account]))
        ours = [timeline for timeline in found if timeline.account == account]
        assert [_of_its_own(timeline) for timeline in ours] == [_of_its_own(timeline) for timeline in alone]


def _of_its_own(timeline: Timeline) -> Timeline:
    """Clear the fields that all calls under one key share."""
    return msgspec.structs.replace(timeline, timeline_id="", version=0)


def without_copies(timelines: Sequence[Timeline]) -> list[bytes]:
    return [msgspec.json.encode(timeline) for timeline in timelines]


@given(log=fact_logs())
def test_a_repeated_log_shows_what_the_log_shows(log: list[Fact]) -> None:
    """A restart may repeat any stretch, even the whole log."""
    once: dict[tuple[str, int, int, int], Fact] = {arrival(fact): fact for fact in reversed(log)}
    state = joined(log)

    assert state == joined(sorted(once.values(), key=log.index))
    assert joined(log, state) == state


@given(log=fact_logs(), data=st.data())
def test_versions_rise_with_content_and_equal_versions_are_equal(log: list[Fact], data: st.DataObject) -> None:
    """Facts, repetitions, timeouts and late facts: no output is contradicted at its own version."""
    published: dict[tuple[str, int], bytes] = {}
    highest: dict[str, int] = {}
    newest: dict[str, int] = {}
    now = 0
    state: CallState | None = None
    for fact in log:
        now += data.draw(st.sampled_from((0, 1000, 600_000, 2_000_000, 100_000_000)))
        while state is not None and state.deadline_ms <= now and data.draw(st.booleans()):
            done = timeout(state, now, SETTINGS)
            if done.state is None:
                break
            state = done.state
            _note(done.timelines, highest, published)
        if state is not None and now >= state.touched_ms + SETTINGS.horizon_s * 1000:
            return  # forgotten: versions begin anew, and the table keeps the higher one
        done = step(state, fact, now, SETTINGS)
        state = done.state
        _note(done.timelines, highest, published)
        if done.normalized is not None:
            encoded = msgspec.json.encode(done.normalized)
            name = done.normalized.fact_id
            assert published.setdefault((name, done.normalized.version), encoded) == encoded
            assert done.normalized.version >= newest.get(name, 0)
            newest[name] = done.normalized.version


def _note(timelines: Sequence[Timeline], highest: dict[str, int], published: dict[tuple[str, int], bytes]) -> None:
    for timeline in timelines:
        name, encoded = timeline.timeline_id, msgspec.json.encode(timeline)
        assert published.setdefault((name, timeline.version), encoded) == encoded
        assert timeline.version >= highest.get(name, 0)
        highest[name] = timeline.version


states = raw_arrivals().map(joined)


@st.composite
def owners(draw: st.DrawFn) -> tuple[CallState, CallState, CallState]:
    """Three owners of one call: each has seen its own part of the arrivals."""
    arrivals = draw(raw_arrivals().filter(lambda found: len(found) > 2))
    parts = [draw(st.lists(st.sampled_from(arrivals), min_size=1, unique_by=arrival)) for _ in range(3)]
    first, second, third = (joined(sorted(part, key=arrivals.index)) for part in parts)
    return first, second, third


@given(found=owners())
def test_merge_is_commutative_associative_and_idempotent(found: tuple[CallState, CallState, CallState]) -> None:
    one, two, three = found

    assert merge_states(one, two) == merge_states(two, one)
    assert merge_states(merge_states(one, two), three) == merge_states(one, merge_states(two, three))
    assert merge_states(one, one) == one
    assert merge_states(merge_states(one, two), two) == merge_states(one, two)


@given(arrivals=raw_arrivals(), data=st.data())
def test_two_owners_know_together_what_one_would_know(arrivals: list[Fact], data: st.DataObject) -> None:
    cut = data.draw(st.integers(1, len(arrivals)))
    overlap = data.draw(st.integers(0, cut - 1))
    together = merge_states(joined(arrivals[:cut]), joined(arrivals[overlap:]))

    assert shown_of(together) == shown_of(joined(arrivals))
    assert together.counts() == joined(arrivals).counts()


@given(arrivals=raw_arrivals(), now=st.integers(0, 10**12))
def test_a_state_survives_its_bytes(arrivals: list[Fact], now: int) -> None:
    state: CallState | None = None
    for index, fact in enumerate(arrivals):
        state = step(state, fact, now + index * 50_000_000, SETTINGS).state
    assert state is not None
    read = decode_state(encode_state(state))

    assert read == state
    assert encode_state(read) == encode_state(state)
    assert shown_of(read) == shown_of(state)


def test_folded_states_survive_their_bytes() -> None:
    """Folded-up-to marks, numbers of arrivals, and the overflow."""
    small = JoinSettings(max_contents=2)
    state: CallState | None = None
    for fact in in_a_row([callback(vendor_duration_s=number // 20) for number in range(100)]):
        state = step(state, fact, 5, small).state
    assert state is not None
    assert (state.folded_up_to != (), state.overflow) == (True, True)
    assert decode_state(encode_state(state)) == state


@given(data=st.binary(max_size=60))
def test_bytes_that_are_no_state_are_undecodable_and_nothing_else(data: bytes) -> None:
    for damaged in (data, b"\x01" + data):
        with pytest.raises(Undecodable) as caught:
            decode_state(damaged)
        assert caught.value.code == "schema"


@given(arrivals=raw_arrivals(), data=st.data())
def test_damaged_states_are_undecodable_or_states(arrivals: list[Fact], data: st.DataObject) -> None:
    whole = bytearray(encode_state(joined(arrivals)))
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    with suppress(Undecodable):
        assert isinstance(decode_state(bytes(whole)), CallState)
