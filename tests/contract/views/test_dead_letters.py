"""Dead letters: listed, read whole, kept apart when topics are created anew, and resolved for good."""

from datetime import datetime, timedelta

import pytest

from processors.normalise import make_dead_letter as normaliser_dead_letter
from schemas.dead_letter import DeadLetter, hash_of
from schemas.raw import Position, RawCallback
from sinks.clickhouse import ClickHouse
from sinks.queries.dead_letter_store import DeadFilter, find_dead, list_dead, mark_resolved
from sinks.rows import DEAD_LETTERS
from tests.contract.views.samples import START, ask, dead_letter


async def test_dead_letters_are_listed_newest_first_by_what_is_asked(db: ClickHouse) -> None:
    later = START + timedelta(hours=1)
    await db.insert(
        DEAD_LETTERS, [dead_letter(1), dead_letter(2, code="no_id", occurred_at=later), dead_letter(3, vendor="huawei")]
    )
    assert [found.dead_letter.offset for found in await list_dead(db, DeadFilter())] == [2, 1, 3]
    assert [found.dead_letter.offset for found in await list_dead(db, DeadFilter(code="no_id"))] == [2]
    assert [found.dead_letter.offset for found in await list_dead(db, DeadFilter(vendor="huawei"))] == [3]
    assert [found.dead_letter.offset for found in await list_dead(db, DeadFilter(since=later))] == [2]
    assert [found.dead_letter.offset for found in await list_dead(db, DeadFilter(until=later, limit=1))] == [1]


async def test_a_dead_letter_comes_back_whole(db: ClickHouse) -> None:
    sent = dead_letter(
        5, element=2, headers={"vendor": "ytx", "request_id": "r1"}, callback="cdr", account="main", processor="1"
    )
    await db.insert(DEAD_LETTERS, [sent])
    (found,) = await find_dead(db, "calls.raw", 3, 5, 2)
    assert (found.dead_letter, found.resolved) == (sent, False)
    assert await find_dead(db, "calls.raw", 3, 5, 7) == []


async def test_elements_of_a_body_share_its_bytes(db: ClickHouse) -> None:
    await db.insert(
        DEAD_LETTERS, [dead_letter(5, element=0, original=b"[whole]"), dead_letter(5, element=900, original=b"")]
    )
    assert [found.dead_letter.original for found in await list_dead(db, DeadFilter())] == [b"[whole]", b"[whole]"]


async def test_dead_letters_of_topics_that_were_created_anew_replace_no_older_ones(db: ClickHouse) -> None:
    """Forty, then topics are created anew and offsets begin again, then forty more with the same bytes or others."""
    first = [dead_letter(n, original=b"old", origin_hash=hash_of(b"old", START)) for n in range(40)]
    others = [dead_letter(n, original=b"new", origin_hash=hash_of(b"new", START)) for n in range(20)]
    later = START + timedelta(days=1)
    same = [dead_letter(n, original=b"old", origin_hash=hash_of(b"old", later)) for n in range(20, 40)]
    for batch in (first, others + same, first[::3]):
        await db.insert(DEAD_LETTERS, batch)
    assert await ask(db, "SELECT count() FROM v_dead_letters") == [(80,)]

    found = await list_dead(db, DeadFilter(limit=200))
    assert sorted(
        (one.dead_letter.offset, one.dead_letter.origin_hash, one.dead_letter.original) for one in found
    ) == sorted((one.offset, one.origin_hash, one.original) for one in [*first, *others, *same])
    await mark_resolved(db, first)
    left = await list_dead(db, DeadFilter(limit=200))
    assert sorted(one.dead_letter.origin_hash for one in left) == sorted(one.origin_hash for one in [*others, *same])


@pytest.mark.parametrize(
    ("second", "replay_of"),
    [
        pytest.param(b"<body>", "", id="other bodies"),
        pytest.param(b"<html>", "", id="the same bodies, sent again"),
        pytest.param(b"<html>", "calls.raw/1/5", id="the same bodies, replayed"),
    ],
)
async def test_forty_dead_letters_of_the_normaliser_before_and_after_topics_were_created_anew_are_eighty(
    db: ClickHouse, second: bytes, replay_of: str
) -> None:
    def dead_letters(body: bytes, at: datetime, replay_of: str) -> list[DeadLetter]:
        raw = RawCallback(vendor="ytx", callback="", received_at=at, request_id="r", replay_of=replay_of, body=body)
        return [
            normaliser_dead_letter(raw, Position("calls.raw", n % 4, n // 4), -1, "json", "not JSON") for n in range(40)
        ]

    first = dead_letters(b"<html>", START, "")
    again = dead_letters(second, START if replay_of else START + timedelta(days=1), replay_of)
    for batch in (first, again, first):
        await db.insert(DEAD_LETTERS, batch)
    assert await ask(db, "SELECT count(), sum(original_bytes) FROM v_dead_letters") == [(80, 480)]
    assert len(await list_dead(db, DeadFilter(limit=1000))) == 80


async def test_dead_letters_of_before_the_hash_and_of_the_same_offset_keep_apart(db: ClickHouse) -> None:
    later = START + timedelta(days=1)
    old = dead_letter(1, original=b"old")
    new = dead_letter(1, original=b"new", origin_hash=hash_of(b"new", later), occurred_at=later)
    await db.insert(DEAD_LETTERS, [old, new])
    assert [one.dead_letter for one in await find_dead(db, "calls.raw", 3, 1)] == [new, old]
    assert [one.dead_letter for one in await find_dead(db, "calls.raw", 3, 1, origin_hash=new.origin_hash)] == [new]
    assert [one.dead_letter for one in await find_dead(db, "calls.raw", 3, 1, origin_hash="")] == [old]
    await mark_resolved(db, [new])
    assert [(one.dead_letter, one.resolved) for one in await find_dead(db, "calls.raw", 3, 1)] == [
        (new, True),
        (old, False),
    ]


async def test_only_dead_letters_have_an_offset_in_their_key_and_theirs_ends_with_the_hash(db: ClickHouse) -> None:
    keys = await db.query(
        f"SELECT name, sorting_key FROM system.tables WHERE database = '{db.database}' AND sorting_key LIKE '%offset%' "
        "AND name != 'ledger'"  # an entry is that of a place, whoever wrote it
    )
    assert keys == [("dead_letters_versions", "topic, partition, offset, element, stage, origin_hash")]


async def test_a_resolved_dead_letter_stays_resolved_when_it_comes_again(db: ClickHouse) -> None:
    await db.insert(DEAD_LETTERS, [dead_letter(1), dead_letter(2)])
    await mark_resolved(db, [dead_letter(1)])
    await db.insert(DEAD_LETTERS, [dead_letter(1), dead_letter(2)])
    await mark_resolved(db, [dead_letter(1)])
    assert await ask(db, "SELECT offset, resolved, original FROM dead_letters ORDER BY offset") == [
        (1, True, "00ff7b"),
        (2, False, "00ff7b"),
    ]
    assert [found.dead_letter.offset for found in await list_dead(db, DeadFilter())] == [2]
    assert len(await list_dead(db, DeadFilter(resolved_too=True))) == 2
