"""Versions: in the joiner's memory the merge decides; between two lives of a call, the first push."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from operator import attrgetter

import msgspec
import pytest
from hypothesis import given

from processors.join import CallState, step, timeout
from processors.versions import (
    FINAL,
    MOST_RANK,
    PRICED,
    RECORD,
    STATES,
    completeness,
    first_version,
    record_version,
    standing,
    version_of,
)
from schemas.codec import PUBLISHED, schema_text
from schemas.config.settings import JoinSettings
from schemas.facts import Fact, Flag
from schemas.timeline import Timeline
from tests.support.payloads.avro_values import values
from tests.support.strategies import BOTH_LEGS, KEY, at, binding, callback, in_a_row, participant, placed, privacy

SETTINGS = JoinSettings()
DAY_MS = 86_400_000
LATER_S = 8 * 86_400


def rows(facts: Sequence[Fact], now_ms: int = 0) -> dict[str, Fact | Timeline]:
    """Rows of the tables, by identity, after a call that began with the first of these."""
    state: CallState | None = None
    highest: dict[str, Fact | Timeline] = {}
    for fact in facts:
        done = step(state, fact, now_ms, SETTINGS)
        state = done.state
        shown = {timeline.timeline_id: timeline for timeline in done.timelines}
        written: list[tuple[str, Fact | Timeline]] = [*shown.items()]
        if done.normalized:
            written.append((fact.fact_id, done.normalized))
        for name, row in written:
            highest[name] = max(row, highest.get(name, row), key=attrgetter("version"))
    return highest


def sent_again(fact: Fact) -> Fact:
    """The vendor's copy eight days later, after the joiner forgot the call."""
    return placed(fact, 900, received=LATER_S)


def mapped_anew(fact: Fact) -> Fact:
    """The same raw element, read by the next version of the vendor's mapping."""
    return msgspec.structs.replace(fact, adapter_version=2)


MISSING = callback(cost=None, currency="", cost_source="", quality_flags=(Flag.COST_MISSING,))
PULLED_ONE = callback(source="poll")
PAIR = [callback(), callback(cost=Decimal("0.15"))]
PEOPLE = [participant("+8613810603954", 0, 30), participant("+8618810207016", 5, 36)]
FIRST = placed(callback(), 0)
LIVES: dict[str, tuple[Sequence[Fact], Fact, tuple[bool, bool]]] = {
    "a changed record": ([FIRST], sent_again(callback(cost=Decimal("0.15"))), (False, False)),
    "a changed record after a repeated one": ([FIRST, placed(FIRST, 7)], sent_again(callback(cost=Decimal(1))), (False, False)),
    "a changed record of a call whose states are known": (
        in_a_row([*BOTH_LEGS, callback()]), sent_again(callback(cost=Decimal("0.15"))), (False, False),
    ),
    "a changed participant of a conference": (in_a_row(PEOPLE), sent_again(participant("+8613810603954", 0, 31)), (False, False)),
    "a changed record of the vendor's archive": (
        [placed(PULLED_ONE, 0)], sent_again(msgspec.structs.replace(PULLED_ONE, cost=Decimal("0.15"))), (True, True),
    ),
    "a page of the archive after a push": ([FIRST], sent_again(PULLED_ONE), (True, True)),
    "a push after a page of the archive": ([placed(PULLED_ONE, 0)], sent_again(callback(cost=Decimal("0.15"))), (False, False)),
    "a newer revision": (
        [placed(privacy(revised_at=at(0)), 0)], sent_again(privacy(revised_at=at(LATER_S), cost=Decimal(1))), (True, True),
    ),
    "an older revision that comes late": (
        [placed(privacy(revised_at=at(7200)), 0)], sent_again(privacy(revised_at=at(0), cost=Decimal(1))), (False, False),
    ),
    "one side of a conflict again: it stays a conflict": (in_a_row(PAIR), sent_again(callback()), (False, False)),
    "a replay by a mended mapping": (
        [FIRST], mapped_anew(placed(callback(cost=Decimal("0.15")), 0)), (True, True),
    ),
    "a replay of the first of several facts by a mended mapping": (
        in_a_row([callback(), *BOTH_LEGS]), mapped_anew(placed(callback(cost=Decimal("0.15")), 0)), (True, False),
    ),
    "an unfinished record after the finished one": (
        [FIRST], sent_again(callback(is_final=False, end_at=None)), (False, False),
    ),
    "an unfinished record after many of a finished one": (
        in_a_row([callback(custom_ref="one"), callback(custom_ref="two"), callback(custom_ref="three")]),
        sent_again(callback(is_final=False, end_at=None)), (False, False),
    ),
    "a finished record after many that were not": (
        in_a_row([callback(is_final=False, vendor_duration_s=n) for n in range(9)]), sent_again(callback()), (True, True),
    ),
    "a finished record without its cost": (
        [FIRST], sent_again(MISSING), (False, False),
    ),
    "a finished record whose cost nobody can believe, by a mended mapping": (
        [FIRST],
        mapped_anew(placed(callback(cost=None, currency="", quality_flags=(Flag.RANGE_ERROR,)), 0)), (True, True),
    ),
    "a cost after a finished record without one": (
        in_a_row([msgspec.structs.replace(MISSING, content_digest=text * 32) for text in "abc"]), sent_again(callback()), (True, True),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("known", "again", "wins"), LIVES.values(), ids=LIVES.keys())
def test_what_comes_after_the_call_was_forgotten(known: Sequence[Fact], again: Fact, wins: tuple[bool, bool]) -> None:
    """(record, call): both decide as within the joiner; the row with more facts never shows less than it did."""
    stored, after = rows(known), rows([again], 8 * DAY_MS)

    assert (
        after[again.fact_id].version > stored[again.fact_id].version,
        after[again.call_key].version > stored[again.call_key].version,
    ) == wins
    assert all(row.version != stored[name].version for name, row in after.items())


@pytest.mark.parametrize("last", [0, 1], ids=["the first received", "the later received"])
def test_copies_by_two_partitions_show_the_same_whichever_came_last(last: int) -> None:
    """The copy received later changes nothing and is not published; a replay has the version of both."""
    copies = [placed(callback(), 5, received=1), placed(callback(), 3, partition=1, received=2)]
    came = [copies[1 - last], copies[last]]
    once, again = rows(came), rows([*came, *copies])
    for name, row in again.items():
        assert msgspec.structs.replace(once[name], version=0) == msgspec.structs.replace(row, version=0)
        assert once[name].version <= row.version
    assert {row.version for row in again.values()} == {row.version for row in rows([*copies, *copies]).values()}


@pytest.mark.parametrize("known", [1, 2, 8], ids=["one state", "two states", "all states"])
@pytest.mark.parametrize("received_s", [LATER_S, 5.0], ids=["sent late", "a dead letter replayed three weeks later"])
def test_v4_late_states_take_nothing_from_a_record(known: int, received_s: float) -> None:
    """Whenever they were received, states alone are less than a record, and a call has one row."""
    stored = rows([FIRST])
    late = [placed(fact, 900 + n, received=received_s + n) for n, fact in enumerate(BOTH_LEGS[:known])]
    after = rows(late, 21 * DAY_MS)

    assert after[KEY].version < stored[KEY].version
    assert max(stored[KEY], after[KEY], key=attrgetter("version")) == stored[KEY]


@pytest.mark.parametrize("known", [1, 5, 8], ids=["one state", "five states", "all states"])
@pytest.mark.parametrize("received_s", [LATER_S, -5.0], ids=["sent late", "a dead letter replayed three weeks later"])
@pytest.mark.parametrize("final", [True, False], ids=["final", "unfinished"])
def test_v5_a_late_record_fills_a_row_of_states(known: int, received_s: float, *, final: bool) -> None:
    """This includes a record received before the states and readable only after a fix."""
    stored = rows(in_a_row(BOTH_LEGS[:known]))
    after = rows([placed(callback(is_final=final), 900, received=received_s)], 21 * DAY_MS)
    (row,) = [max(stored[KEY], after[KEY], key=attrgetter("version"))]

    assert isinstance(row, Timeline)
    assert (row.has_record, row.cost, row.is_final) == (True, Decimal("2.94"), final)


def test_v5_a_timed_out_row_of_states_is_filled_as_well() -> None:
    state: CallState | None = None
    for fact in in_a_row(BOTH_LEGS):
        state = step(state, fact, 0, SETTINGS).state
    assert state is not None
    closed = timeout(state, state.deadline_ms, SETTINGS)

    assert closed.timelines[0].version < rows([sent_again(callback())], 8 * DAY_MS)[KEY].version


def revision_one(rank: int, hours: int, mapping: int) -> int:
    """A version as the first revision wrote it: no leading part, and its number one bit further left."""
    return ((1 << 20 | rank) << 20 | hours) << 7 | mapping


def test_every_row_of_the_first_revision_is_superseded() -> None:
    most = revision_one((1 << 20) - 1, (1 << 20) - 1, 127)

    assert most < version_of(0, 0, 0)
    assert most < min(row.version for row in rows([BOTH_LEGS[0]]).values())


COMPLETE: dict[str, tuple[Sequence[Fact], int]] = {
    "nothing": ((), STATES),
    "states": (BOTH_LEGS, STATES),
    "a binding": ((binding(),), STATES),
    "a record in progress": ((callback(is_final=False),), RECORD),
    "a final record of a vendor without costs": ((privacy(),), PRICED),
    "a final record that misses its cost": ((MISSING,), FINAL),
    "a final record with its cost": ((callback(),), PRICED),
    "a final record that costs nothing": ((callback(cost=Decimal(0)),), PRICED),
    "the cost stands on the one that is not final": ((callback(is_final=False), MISSING), FINAL),
    "the cost came and could not be believed": ((callback(cost=None, quality_flags=(Flag.RANGE_ERROR,)),), PRICED),
    "all of it": ((*BOTH_LEGS, callback(), callback(is_final=False)), PRICED),
}


@pytest.mark.parametrize(("facts", "expected"), COMPLETE.values(), ids=COMPLETE.keys())
def test_a_version_begins_with_how_complete_the_row_is(facts: Sequence[Fact], expected: int) -> None:
    assert completeness(facts) == expected
    for more in BOTH_LEGS:
        assert completeness((*facts, more)) == expected, "nothing that comes makes it less"


def test_a_conflict_is_not_undone_by_a_later_copy() -> None:
    stored, after = rows(in_a_row(PAIR)), rows([sent_again(callback())], 8 * DAY_MS)

    assert Flag.CONFLICT_FINAL in max(stored[KEY], after[KEY], key=attrgetter("version")).quality_flags


def test_a_replay_long_after_shows_the_same_at_the_same_version() -> None:
    """Nothing in a version is read from a clock: the same raw records always give the same ones."""
    facts = in_a_row([*BOTH_LEGS, callback()])

    assert rows(facts, 30 * DAY_MS) == rows(facts)


ORDER = [
    pytest.param((1, 24, 1), (2, 24, 1), id="more was merged"),
    pytest.param((9, 24, 9), (1, 0, 1), id="received a day earlier, though less was merged"),
    pytest.param((1, 0, 1), (1, 0, 2), id="as much at one time, by a newer mapping"),
]


@pytest.mark.parametrize(("lower", "higher"), ORDER)
def test_the_order_of_versions(lower: tuple[int, int, int], higher: tuple[int, int, int]) -> None:
    """(rank, hours, mapping) of a push."""
    versions = [
        version_of(rank, standing((placed(callback(), 0, received=hours * 3600),)), mapping)
        for rank, hours, mapping in (lower, higher)
    ]

    assert versions[0] < versions[1]


@pytest.mark.parametrize("more", [FIRST, BOTH_LEGS[0], PULLED_ONE, privacy(revised_at=at(99))])
def test_the_standing_grows_with_every_fact(more: Fact) -> None:
    known = [placed(callback(), 1, received=50_000)]
    for fact in (placed(more, 2), placed(more, 3, received=90_000)):
        assert standing([*known, fact]) >= standing(known)
        known.append(fact)


def test_a_version_is_exact_where_numbers_are_doubles() -> None:
    """Numbers of JavaScript and most JSON readers end at 2^53; versions at their bounds stay below."""
    last = standing((privacy(revised_at=datetime(2299, 12, 31, tzinfo=UTC)),))
    most = version_of(MOST_RANK, last, 127, PRICED)

    assert version_of(MOST_RANK + 1, last, 128, PRICED) == most < 2**53
    assert version_of(MOST_RANK + 1, last, 127, PRICED) == version_of(MOST_RANK, last, 128, PRICED) == most


NEWEST = max((each for each in PUBLISHED if each.name == "fact"), key=lambda each: each.version)
ANY_FACT = values(json.loads(schema_text(NEWEST)), Fact).map(lambda plain: msgspec.convert(plain, Fact))


@given(ANY_FACT)
def test_the_first_version_is_that_of_one_merged_content(fact: Fact) -> None:
    only = (fact,)
    assert first_version(fact, 3) == record_version(
        1, complete=completeness(only), final=fact.is_final, stands=standing(only), mapping=3
    )
