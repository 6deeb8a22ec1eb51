"""Grouping of one key's items into calls; items of different accounts' addresses never join."""

from collections.abc import Sequence
from decimal import Decimal
from itertools import permutations

import pytest

from processors.join import step
from processors.timeline.build import timelines_of
from schemas.config.settings import JoinSettings
from schemas.facts import Disposition, Fact, State
from schemas.timeline import Timeline
from tests.support.strategies import (
    ACCOUNT,
    BOTH_LEGS,
    CALLER,
    KEY,
    callback,
    decision,
    in_a_row,
    participant,
    pushed_state,
    voice,
)

SETTINGS = JoinSettings()


def shown(facts: Sequence[Fact]) -> tuple[Timeline, ...]:
    state = None
    for fact in facts:
        state = step(state, fact, 0, SETTINGS).state
    assert state is not None
    return timelines_of(state)


OURS = callback(account="main")
FORGED: dict[str, Fact] = {
    "no account": callback(cost=Decimal(0)),
    "another account's": callback(account="second", cost=Decimal(0)),
    "no account, unanswered": callback(b_answer=None, b_end=None, cost=None),
    "no account, as a voice code": voice(cost=Decimal(9)),
    "no account, as a participant": participant(CALLER, 0, 9),
    "no account, a state": pushed_state(CALLER, State.RELEASE, 5, disposition=Disposition.BUSY, hangup_reason="busy"),
    "another account's state": pushed_state(CALLER, State.RELEASE, 5, account="second"),
    "no account, a decision": decision(callback(), callback()),
}


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED.keys())
def test_what_comes_by_another_account_changes_no_row(forged: Fact) -> None:
    """Before or after the real one, its row is as if nothing else had come."""
    (alone,) = shown(in_a_row([OURS]))
    for order in permutations(in_a_row([OURS, forged, forged])):
        first, *others = shown(order)

        assert (first.timeline_id, first.account, first.cost, first.disposition, first.legs, first.quality_flags) == (
            alone.timeline_id, "main", alone.cost, alone.disposition, alone.legs, alone.quality_flags,
        )  # fmt: skip
        assert first.fact_count == 1
        assert all(other.account != "main" and other.timeline_id != KEY for other in others)


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED.keys())
def test_what_comes_by_another_account_moves_no_id(forged: Fact) -> None:
    """No call of an account with several under one key gets another id: its old row would be left over."""
    ours = [OURS, callback(account="main", account_id="app-2"), voice(account="main")]
    alone = [row.timeline_id for row in shown(in_a_row(ours))]
    for order in permutations(in_a_row([*ours, forged])):
        rows = shown(order)

        assert [row.timeline_id for row in rows if row.account == "main"] == alone
        assert len({row.timeline_id for row in rows}) == len(rows)


def test_the_account_in_the_key_is_the_first_whoever_else_comes() -> None:
    """Its calls keep their ids; another account's have the same ids before and after them."""
    ours, theirs = callback(account="main"), [callback(account=name) for name in ("", "another", "second")]
    for order in permutations(in_a_row([ours, *theirs])):
        rows = [(row.account, row.timeline_id) for row in shown(order)]
        assert rows == [
            ("main", KEY),
            ("another", f"{KEY}#callback|{ACCOUNT}|another"),
            ("second", f"{KEY}#callback|{ACCOUNT}|second"),
            ("", f"{KEY}#callback|{ACCOUNT}|"),
        ]


def test_an_id_with_the_separator_is_not_taken_for_another_account_s() -> None:
    ours = [callback(account="main"), callback(account="main", account_id="z|second")]
    theirs = callback(account="second", account_id="z")

    rows = shown(in_a_row([*ours, theirs]))

    assert len({row.timeline_id for row in rows}) == len(rows) == 3


def test_states_join_the_record_of_their_own_account() -> None:
    ours = [pushed_state(CALLER, State.SETUP, second, account="main") for second in (0, 1)]
    theirs = [pushed_state(CALLER, State.SETUP, second) for second in (2, 3, 4)]
    sent = in_a_row([OURS, *ours, callback(), *theirs])

    for order in (sent, sent[::-1]):
        assert [(row.timeline_id, row.account, row.fact_count) for row in shown(order)] == [
            (KEY, "main", 3),
            (f"{KEY}#callback|{ACCOUNT}|", "", 4),
        ]


def test_ids_are_as_they_were_where_there_is_one_account() -> None:
    rows = shown(in_a_row([callback(account="main"), voice(account="main"), *BOTH_LEGS[:0]]))

    assert [row.timeline_id for row in rows] == [KEY, f"{KEY}#voice|{ACCOUNT}"]
    assert {row.account for row in rows} == {"main"}
