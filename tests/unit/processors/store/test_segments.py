"""A large call's state in several records: what is written, what is removed when, and how it is put together again."""

import sys
from collections.abc import Mapping, Sequence

import msgspec
import pytest

from processors.call.duplicates import KEPT
from processors.call.folding import ITEMS_PER_CONTENT
from processors.call.state import UNCOUNTED, CallState
from processors.records import Record
from processors.store import held, segments
from processors.store.changelog import StateLog, StoredCall, Writer
from processors.store.partition import PartitionState
from processors.store.segments import LARGE, call_of
from processors.store.state_codec import decode_state, encode_state, peek_state
from schemas.config.settings import JoinSettings
from schemas.facts import Fact
from tests.support.strategies import in_a_row, participant, placed

JOIN = JoinSettings()
OURS, THEIRS, NEXT = (Writer(name, began) for name, began in ((b"ours....", 0), (b"theirs..", 0), (b"next....", 10**6)))
PEOPLE = in_a_row([participant(f"+86138{number:08d}", number, 600) for number in range(2 * LARGE + 20)])
KEY = PEOPLE[0].call_key
WEEK_MS = (JOIN.horizon_s + 1) * 1000


class Kept:
    """One worker's calls, and the topic that it writes."""

    def __init__(
        self, writer: Writer, facts: Sequence[Fact] = (), topic: list[Record] | None = None, *, older: bool = False
    ) -> None:
        self.topic: list[Record] = [] if topic is None else topic
        self.writer = writer
        self.held = PartitionState(JOIN, b"" if older else writer.name)
        for call in calls(self.topic):
            self.held.load(*call)
        for fact in facts:
            self.take(fact)

    def take(self, *facts: Fact) -> list[str]:
        """Join facts as one batch; returns the names of what is written, in order."""
        for fact in facts:
            self.held.apply(fact)
        written = self.held.take_changed()
        gone, late = (
            {name: None for names in found.values() for name in names}
            for found in (self.held.ended, self.held.contained)
        )
        for one in (gone, written, late):
            self.write(one)
        return [*gone, *written, *late]

    def write(self, records: Mapping[str, bytes | None]) -> None:
        """Append records to the topic."""
        for name, value in records.items():
            at = len(self.topic)
            self.topic.append(
                Record(offset=at, timestamp_ms=0, key=name.encode(), value=value, headers=self.writer.headers)
            )


def calls(topic: Sequence[Record]) -> list[StoredCall]:
    log = StateLog()
    for record in topic:
        log.take(record)
    return list(log.calls())


def state(held: PartitionState) -> CallState:
    found = held._state(KEY)
    assert found is not None
    return found


def all_of(facts: Sequence[Fact]) -> CallState:
    """The state by the way of small calls."""
    held = PartitionState(JOIN)
    for fact in facts:
        held.apply(fact)
    return state(held)


def test_a_large_call_s_news_is_a_segment_of_what_changed() -> None:
    ours = Kept(OURS, PEOPLE[: LARGE + 1])
    (call,) = calls(ours.topic)

    (name,) = ours.take(PEOPLE[LARGE + 1])

    assert peek_state(call.states[0]).counts() == (LARGE, 0)
    assert len(call.segments) == 1
    assert call_of(name) == KEY != name
    segment = decode_state(ours.topic[-1].value or b"")
    assert set(segment.items) == {PEOPLE[LARGE + 1].fact_id}
    assert (segment.contents, segment.touched_ms, segment.slots) == (
        LARGE + 2,
        state(ours.held).touched_ms,
        state(ours.held).slots,
    )


@pytest.mark.parametrize("size", [LARGE, LARGE + 1, LARGE + 9, 2 * LARGE + 20])
def test_base_and_segments_are_the_state(size: int) -> None:
    ours = Kept(OURS, PEOPLE[:size])
    again = Kept(NEXT, topic=ours.topic)

    assert state(again.held) == state(ours.held) == all_of(PEOPLE[:size])
    assert (+again.held.items, +again.held.phases) == (+ours.held.items, +ours.held.phases)
    assert again.held.apply(PEOPLE[size - 1]).outcome == "replayed"


def test_arrivals_that_are_no_longer_kept_are_counted_in_segments_as_well() -> None:
    copies = [placed(PEOPLE[3], 1000 + number, received=1000 + number) for number in range(3 * KEPT)]
    facts = [*PEOPLE[: 2 * LARGE], *copies]
    ours = Kept(OURS, facts)
    again = Kept(NEXT, topic=ours.topic)

    assert state(ours.held).folded_up_to
    assert calls(ours.topic)[0].segments
    assert state(again.held) == state(ours.held) == all_of(facts)


def test_a_call_of_which_items_were_folded_away_is_written_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    small = JoinSettings(max_contents=2)
    monkeypatch.setattr(sys.modules[__name__], "JOIN", small)
    ours = Kept(OURS)
    written = [ours.take(fact) for fact in PEOPLE]
    again = Kept(NEXT, topic=ours.topic)

    assert state(ours.held).overflow
    assert all(names[0] == KEY for names in written[2 * ITEMS_PER_CONTENT :])
    assert state(again.held) == state(ours.held) == all_of(PEOPLE)


def test_segments_are_removed_behind_the_whole_state_that_contains_them() -> None:
    """Together they hold at most as much as the whole state: neither the topic nor a restore grows without end."""
    ours = Kept(OURS)
    written = [ours.take(fact) for fact in PEOPLE]
    folded = [names for names in written[LARGE + 1 :] if names[0] == KEY]

    assert folded
    assert all(names[1:] and KEY not in names[1:] for names in folded)
    (call,) = calls(ours.topic)
    assert 2 * len(call.segments) <= len(PEOPLE)


def test_what_a_crash_kept_from_being_removed_is_removed_by_the_next_worker() -> None:
    ours = Kept(OURS)
    fold = next(names for names in (ours.take(fact) for fact in PEOPLE) if names[0] == KEY and len(names) > 1)
    del ours.topic[-len(fold) + 1 :]
    known = next(record for record in reversed(ours.topic) if record.key == KEY.encode()).value
    again = Kept(NEXT, topic=ours.topic)

    names = again.take(PEOPLE[-1])

    assert peek_state(known or b"").counts() == (again.held.items["ytx", "fact"] - 1, 0)
    assert sorted(names[1:]) == sorted(fold[1:])
    assert calls(again.topic)[0].segments.keys() == set(names[:1])


def test_of_a_forgotten_call_all_records_go() -> None:
    ours = Kept(OURS, PEOPLE[: LARGE + 9])
    assert [done.outcome for _, done in ours.held.advance(WEEK_MS)] == ["told", "expired"]
    assert len(ours.take()) == 9 + 1
    assert calls(ours.topic) == []
    assert (len(ours.held), +ours.held.items, [*ours.held._held], ours.held._segments) == (0, {}, [], {})


@pytest.mark.parametrize("is_forgotten", [True, False], ids=["forgotten", "about to be forgotten"])
def test_segments_of_a_call_that_begins_anew_go_before_its_state_is_written(*, is_forgotten: bool) -> None:
    """A crash in between leaves the old life or the new one, never both as one call."""
    ours = Kept(OURS, PEOPLE[: LARGE + 9])
    old = calls(ours.topic)[0].segments.keys()
    if is_forgotten:
        list(ours.held.advance(WEEK_MS))
    else:
        ours.held._kept.clock_ms = WEEK_MS

    names = ours.take(PEOPLE[-1])

    assert names == [*old, KEY]
    assert [call.segments for call in calls(ours.topic)] == [{}]
    assert state(ours.held).contents == 1


def test_what_a_zombie_wrote_beside_its_successor_is_put_together() -> None:
    """Neither could know the other's segments, nor removes them; the merged state is written, whole."""
    base = Kept(OURS, PEOPLE[: LARGE + 1])
    zombie, owner = Kept(Writer(b"zombie..", len(base.topic)), topic=base.topic), Kept(NEXT, topic=base.topic)
    owner.writer = Writer(b"next....", len(base.topic))
    for one, other in zip(PEOPLE[LARGE + 1 : LARGE + 5], PEOPLE[LARGE + 5 : LARGE + 9], strict=True):
        zombie.take(one)
        owner.take(other)
    (call,) = calls(base.topic)
    again = Kept(Writer(b"again...", len(base.topic)), topic=base.topic)

    names = again.take()

    assert call.newest is None
    assert len(call.segments) == 1 + 8
    assert state(again.held) == all_of(PEOPLE[: LARGE + 9])
    assert names[0] == KEY
    assert set(names[1:]) == set(call.segments)
    assert state(Kept(NEXT, topic=base.topic).held) == state(again.held)


def test_a_segment_that_cannot_be_read_is_set_aside_under_its_own_name() -> None:
    """It can be sent again once the cause is fixed; the others go on, written whole."""
    ours = Kept(OURS, PEOPLE[: LARGE + 6])
    (call,) = calls(ours.topic)
    name = [*call.segments][1]
    broken = {**call.segments, name: b"junk"}
    held = PartitionState(JOIN, NEXT.name)
    held.load(call.key, call.states, broken, call.newest)

    assert len(state(held).items) == LARGE + 5
    assert [(stuck.key, stuck.state, stuck.code) for stuck in held.take_stuck()] == [(name, b"junk", "schema")]
    assert list(held.take_changed()) == [KEY]
    assert set(held.contained[KEY]) == set(broken)


@pytest.mark.parametrize("damaged", ["the newest", "the whole state"])
def test_the_rest_of_a_damaged_call_is_read(damaged: str) -> None:
    ours = Kept(OURS, PEOPLE[: LARGE + 6])
    (call,) = calls(ours.topic)
    held = PartitionState(JOIN, NEXT.name)
    if damaged == "the newest":
        name = [*call.segments][-1]
        held.load(call.key, call.states, {**call.segments, name: b"junk"}, b"junk")
        left = LARGE + 5
    else:
        held.load(call.key, [b"junk"], call.segments, None)
        left = 6

    assert held.items["ytx", "fact"] == left == len(state(held).items)
    assert len(held.take_stuck()) == 1


def test_what_is_taken_back_is_as_it_was_before() -> None:
    ours = Kept(OURS, PEOPLE[: LARGE + 6])
    before, counted = state(ours.held), +ours.held.items
    ours.held.apply(PEOPLE[-1])
    ours.held.take_changed()

    ours.held.take_back([KEY])

    assert state(ours.held) == before
    assert +ours.held.items == counted
    ours.take(PEOPLE[LARGE + 6])
    assert state(Kept(NEXT, topic=ours.topic).held) == all_of(PEOPLE[: LARGE + 7])


def test_segments_leave_the_bound_of_a_state_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = Kept(OURS, PEOPLE[: LARGE + 6])
    assert len(ours.take(PEOPLE[LARGE + 6])) == 1
    monkeypatch.setattr(segments, "LIMIT_BYTES", 1000)

    assert ours.take(PEOPLE[LARGE + 7])[0] == KEY


def test_no_more_items_are_held_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The call that was touched last is held, whatever its size; another one is read from its records."""
    monkeypatch.setattr(held, "ITEMS", LARGE + 20)
    ours = Kept(OURS, PEOPLE[: LARGE + 9])
    other = in_a_row([participant(f"+86139{number:08d}", number, 600) for number in range(LARGE + 1)])
    others = [msgspec.structs.replace(fact, call_key="ytx|main|another") for fact in other]

    for fact in others:
        ours.take(fact)

    assert list(ours.held._held) == [others[0].call_key]
    assert ours.held.apply(PEOPLE[0]).outcome == "replayed"
    assert state(ours.held) == all_of(PEOPLE[: LARGE + 9])


def test_beside_workers_of_the_release_before_states_are_written_whole() -> None:
    """One that takes over reads what there is, and what it writes replaces the segments."""
    ours = Kept(OURS, PEOPLE[: LARGE + 6])
    older = Kept(NEXT, topic=ours.topic, older=True)

    names = older.take(PEOPLE[LARGE + 6])

    assert names[0] == KEY
    (call,) = calls(ours.topic)
    assert (call.states, call.segments) == ([encode_state(state(older.held))], {})
    assert state(older.held) == all_of(PEOPLE[: LARGE + 7])


def test_counts_that_are_carried_along_are_those_of_the_items() -> None:
    known = state(Kept(OURS, PEOPLE).held)

    assert msgspec.structs.replace(known, tally=UNCOUNTED).tally == known.tally
    assert known.tally.records == len(PEOPLE)
