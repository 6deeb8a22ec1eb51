"""Which version wins: inside the joiner's memory what was merged decides; between two lives of a call, what came later."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from operator import attrgetter

import msgspec
import pytest

from processors.join import CallState, step
from processors.versions import MOST_RANK, version_of
from schemas.facts import Fact, Flag
from schemas.settings import JoinSettings
from schemas.timeline import Timeline
from tests.strategies import BOTH_LEGS, KEY, T0, at, callback, in_a_row, participant, placed

SETTINGS = JoinSettings()
DAY_MS = 86_400_000
LATER_S = 8 * 86_400


def rows(facts: Sequence[Fact], now_ms: int = 0) -> dict[str, Fact | Timeline]:
    """What stands in the tables after a call that began with the first of these, by the row's identity."""
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


PAIR = [callback(), callback(cost=Decimal("0.15"))]
PEOPLE = [participant("+8613810603954", 0, 30), participant("+8618810207016", 5, 36)]
FIRST = placed(callback(), 0)
LIVES: dict[str, tuple[Sequence[Fact], Fact, tuple[bool, bool]]] = {
    "a changed record": ([FIRST], sent_again(callback(cost=Decimal("0.15"))), (True, True)),
    "a changed record after a repeated one": ([FIRST, placed(FIRST, 7)], sent_again(callback(cost=Decimal(1))), (True, True)),
    "a changed record of a call whose states are known": (
        in_a_row([*BOTH_LEGS, callback()]), sent_again(callback(cost=Decimal("0.15"))), (True, False),
    ),
    "a changed participant of a conference": (in_a_row(PEOPLE), sent_again(participant("+8613810603954", 0, 31)), (True, False)),
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
}  # fmt: skip


@pytest.mark.parametrize(("known", "again", "wins"), LIVES.values(), ids=LIVES.keys())
def test_what_comes_after_the_call_was_forgotten(known: Sequence[Fact], again: Fact, wins: tuple[bool, bool]) -> None:
    """(record, call): news of a record show; what was known by more than these never says less than it did."""
    stored, after = rows(known), rows([again], 8 * DAY_MS)

    assert (
        after[again.fact_id].version > stored[again.fact_id].version,
        after[KEY].version > stored[KEY].version,
    ) == wins
    assert all(row.version != stored[name].version for name, row in after.items())


@pytest.mark.parametrize("last", [0, 1], ids=["the first received", "the later received"])
def test_copies_by_two_partitions_show_the_same_whichever_came_last(last: int) -> None:
    """The later received one changes nothing and is not told; a replay then says the same at the version of both."""
    copies = [placed(callback(), 5, received=1), placed(callback(), 3, partition=1, received=2)]
    came = [copies[1 - last], copies[last]]
    once, again = rows(came), rows([*came, *copies])
    for name, row in again.items():
        assert msgspec.structs.replace(once[name], version=0) == msgspec.structs.replace(row, version=0)
        assert once[name].version <= row.version
    assert {row.version for row in again.values()} == {row.version for row in rows([*copies, *copies]).values()}


def test_a_conflict_is_not_undone_by_a_later_copy() -> None:
    stored, after = rows(in_a_row(PAIR)), rows([sent_again(callback())], 8 * DAY_MS)

    assert Flag.CONFLICT_FINAL in max(stored[KEY], after[KEY], key=attrgetter("version")).quality_flags


def test_a_replay_long_after_says_what_was_said_at_the_same_version() -> None:
    """Nothing in a version is read from a clock: the same raw records give the same ones whenever they are read."""
    facts = in_a_row([*BOTH_LEGS, callback()])

    assert rows(facts, 30 * DAY_MS) == rows(facts)


ORDER = [
    pytest.param((1, 500, 1), (2, 0, 1), id="more was merged, though earlier"),
    pytest.param((1, 0, 9), (1, 24, 1), id="as much, received a day later"),
    pytest.param((1, 0, 1), (1, 0, 2), id="as much at one time, by a newer mapping"),
]


@pytest.mark.parametrize(("lower", "higher"), ORDER)
def test_the_order_of_versions(lower: tuple[int, int, int], higher: tuple[int, int, int]) -> None:
    """(rank, hours, mapping)."""
    versions = [version_of(rank, T0 + timedelta(hours=hours), mapping) for rank, hours, mapping in (lower, higher)]

    assert versions[0] < versions[1]


def test_a_version_is_exact_where_numbers_are_doubles() -> None:
    """JavaScript's, and JSON's as most read it: 2^53; also at its bounds, beyond which it stays where it is."""
    last = at(60 * 365.25 * 86_400)
    assert last is not None
    most = version_of(MOST_RANK, last, 127)

    assert version_of(MOST_RANK + 1, last, 128) == most < 2**53
