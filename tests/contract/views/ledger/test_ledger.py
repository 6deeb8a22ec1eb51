"""The views of the ledger against books that are kept in Python: elements, gaps, repetitions, other cuts."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import NAMESPACE_URL, uuid5

import msgspec
import pytest

from deploy.doctor.books import books
from processors.stages.ledger_entries import Entries
from schemas.config.keep import KeepSettings
from schemas.config.settings import Settings
from schemas.ledger.entries import (
    DEAD,
    DEAD_IN_JOIN,
    DUPLICATE,
    DUPLICATE_AGAIN,
    EMPTY,
    ERASED,
    FACT,
    FILTERED,
    JOIN,
    LIVE,
    NEW,
    NEW_AGAIN,
    NORMALISE,
    UNACCOUNTED,
    Sender,
    decode_entries,
    joined_version,
    unjoined_version,
)
from sinks.clickhouse import ClickHouse
from sinks.migrate import migrate
from sinks.rows import CDR
from sinks.writing.ledger import LEDGER
from tests.contract.views.samples import ask, record
from tests.support.kafka.ledger_rows import Row, gaps, merged, outcomes, rows_of

NOW: Final = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
HOUR_MS: Final = 3_600_000
YTX: Final = ("ytx", "main", "push")
OTHER: Final = ("tencent", "", "poll")


def at_ms(hours: float = 0) -> int:
    return int(NOW.timestamp() * 1000 + hours * HOUR_MS)


class Book:
    """Entries that a test writes and inserts, in messages of any cut."""

    def __init__(self, db: ClickHouse) -> None:
        self._db = db
        self.rows: list[Row] = []

    async def write(
        self, stage: int, *entries: tuple[Sender, float, tuple[int, int, int], int], cut: int = 1000
    ) -> None:
        """Insert entries: sender, hours from now of the receipt, place, version."""
        messages = []
        for first in range(0, len(entries), cut):
            made = Entries(stage)
            for sender, hours, (partition, offset, element), version in entries[first : first + cut]:
                made.senders.append(sender)
                made.received_s.append(at_ms(hours) // 1000)
                made.partitions.append(partition)
                made.offsets.append(offset)
                made.elements.append(element)
                made.versions.append(version)
            messages += [decode_entries(value) for value in made.values()]
        self.rows += [row for message in messages for row in rows_of(message)]
        await self._db.insert(LEDGER, messages)

    async def read(self, *offsets: int, made: int = FACT, live: int = LIVE, partition: int = 0) -> None:
        """Insert the entries of normalise of bodies with one element."""
        await self.write(NORMALISE, *((YTX, 0, (partition, offset, 0), live | made) for offset in offsets))

    async def joined(self, *offsets: int, found: int = NEW, partition: int = 0) -> None:
        """Insert the entries of join of their facts."""
        version = joined_version(found, at_ms())
        await self.write(JOIN, *((YTX, 0, (partition, offset, 0), version) for offset in offsets))


@pytest.fixture
def book(db: ClickHouse) -> Book:
    return Book(db)


COUNTS: Final = "facts, duplicates, dead, filtered, waiting, unseen, difference"


async def totals(db: ClickHouse) -> dict[str, int]:
    (row,) = await ask(
        db, f"SELECT {', '.join(f'sum({name})' for name in f'bodies, elements, {COUNTS}'.split(', '))} FROM v_ledger"
    )
    return {
        name: number
        for name, number in zip(f"bodies elements {COUNTS.replace(',', '')}".split(), row, strict=True)
        if number
    }


async def left_open(db: ClickHouse) -> list[tuple[object, ...]]:
    columns = "raw_partition, raw_offset, raw_offset_last, raw_element, reason"
    return await ask(db, f"SELECT {columns} FROM v_ledger_open ORDER BY ALL")


MADE: Final = {
    "a new fact": (FACT, joined_version(NEW, at_ms()), {"facts": 1}),
    "a duplicate": (FACT, joined_version(DUPLICATE, at_ms()), {"duplicates": 1}),
    "a fact that nobody joined yet": (FACT, 0, {"waiting": 1}),
    "a fact of an erased account": (FACT, unjoined_version(ERASED, at_ms()), {"filtered": 1}),
    "a fact at which the joiner failed": (FACT, unjoined_version(DEAD_IN_JOIN, at_ms()), {"dead": 1}),
    "a dead letter": (DEAD, 0, {"dead": 1}),
    "an element that nobody wants": (FILTERED, 0, {"filtered": 1}),
    "an element that was lost": (UNACCOUNTED, 0, {"difference": 1}),
    "an element that was a dead letter, and was replayed": (DEAD, joined_version(NEW, at_ms()), {"facts": 1}),
}


@pytest.mark.parametrize(("made", "joined_as", "shown"), MADE.values(), ids=MADE)
async def test_an_element_is_in_one_column(
    db: ClickHouse, book: Book, made: int, joined_as: int, shown: dict[str, int]
) -> None:
    await book.read(7, made=made)
    if joined_as:
        await book.write(JOIN, (YTX, 0, (0, 7, 0), joined_as))
    assert await totals(db) == {"bodies": 1, "elements": 1, **shown}


async def test_a_body_without_elements_is_a_body(db: ClickHouse, book: Book) -> None:
    await book.read(7, made=EMPTY)
    assert await totals(db) == {"bodies": 1}
    assert await left_open(db) == []


async def test_the_books_are_kept_by_vendor_account_and_hour_of_receipt(db: ClickHouse, book: Book) -> None:
    await book.write(NORMALISE, (YTX, 0, (0, 1, 0), LIVE | FACT), (YTX, 0.9, (0, 2, 0), LIVE | DEAD),
        (YTX, 1, (0, 3, 0), LIVE | FACT), (("ytx", "other", "push"), 0, (1, 1, 0), LIVE | FACT),
        (OTHER, 0, (1, 2, 0), LIVE | FACT), (OTHER, 0, (1, 2, 1), LIVE | FACT))  # fmt: skip
    rows = await ask(db, "SELECT vendor, account, dateDiff('hour', toDateTime({now:String}, 'UTC'), hour), bodies, elements"
        " FROM v_ledger ORDER BY ALL".replace("{now:String}", f"'{NOW:%Y-%m-%d %H:%M:%S}'"))  # fmt: skip
    assert rows == [
        ("tencent", "", 0, 1, 2),
        ("ytx", "main", 0, 2, 2),
        ("ytx", "main", 1, 1, 1),
        ("ytx", "other", 0, 1, 1),
    ]


async def test_a_fact_that_stays_unjoined_is_a_difference(db: ClickHouse, book: Book) -> None:
    await book.read(5)
    await db.command(
        f"ALTER TABLE {db.database}.ledger UPDATE ingested_at = now() - 601 WHERE 1 SETTINGS mutations_sync = 1"
    )
    assert await totals(db) == {"bodies": 1, "elements": 1, "difference": 1}
    assert await ask(db, "SELECT raw_offset, reason, open_s > 600 FROM v_ledger_open") == [(5, "not joined", 1)]


DECIDED: Final = {
    "the earliest decision, whichever comes last": ([(DUPLICATE, 0), (NEW, 200)], "duplicates"),
    "the same the other way round": ([(NEW, 0), (DUPLICATE, 200)], "facts"),
    "a duplicate, when a crash made the joiner forget the call within the hour": ([(DUPLICATE, 0), (NEW, 0)], "duplicates"),
    "what was decided, and not what a replay of it says": ([(NEW, 0), (DUPLICATE_AGAIN, 0), (NEW_AGAIN, 1)], "facts"),
    "what a replay says, where nothing else was said": ([(DUPLICATE_AGAIN, 0)], "duplicates"),
    "new by a replay": ([(NEW_AGAIN, 0)], "facts"),
}  # fmt: skip


@pytest.mark.parametrize(("decisions", "column"), DECIDED.values(), ids=DECIDED)
async def test_what_counts_of_several_decisions(
    db: ClickHouse, book: Book, decisions: list[tuple[int, float]], column: str
) -> None:
    await book.read(1)
    for order in (decisions, decisions[::-1]):
        for found, hours in order:
            await book.write(JOIN, (YTX, 0, (0, 1, 0), joined_version(found, at_ms(hours))))
        assert await totals(db) == {"bodies": 1, "elements": 1, column: 1}


async def test_a_fact_that_was_joined_after_all_is_no_dead_letter(db: ClickHouse, book: Book) -> None:
    await book.read(1)
    await book.write(JOIN, (YTX, 0, (0, 1, 0), unjoined_version(DEAD_IN_JOIN, at_ms(-200))))
    await book.joined(1)
    assert await totals(db) == {"bodies": 1, "elements": 1, "facts": 1}


async def test_a_gap_between_offsets_is_a_loss_and_a_partition_begins_at_its_first(db: ClickHouse, book: Book) -> None:
    await book.read(1000, 1001, 1003, 1007, 5000, made=DEAD)
    await book.read(9, 10, made=DEAD, partition=1)
    assert await left_open(db) == [
        (0, 1002, 1002, -1, "missing"), (0, 1004, 1006, -1, "missing"), (0, 1008, 4999, -1, "missing"),
    ]  # fmt: skip
    assert (await totals(db)).get("difference") is None


async def test_a_fact_alone_is_no_body(db: ClickHouse, book: Book) -> None:
    """It was normalised before there was a ledger: neither its body nor what lies between is counted."""
    await book.joined(3, 4, 9)
    assert await totals(db) == {}
    await book.read(20, made=DEAD)
    assert await totals(db) == {"bodies": 1, "elements": 1, "dead": 1}
    assert await left_open(db) == []


async def test_nothing_follows_from_what_is_missing_behind_a_body_read_beside_older_workers(
    db: ClickHouse, book: Book
) -> None:
    await book.read(1, 2, live=0)
    await book.read(6, live=0, made=DEAD)
    await book.read(9, 10, made=DEAD)
    assert await left_open(db) == []
    assert await totals(db) == {"bodies": 5, "elements": 5, "dead": 3, "unseen": 2}
    await book.read(12, made=DEAD)
    assert await left_open(db) == [(0, 11, 11, -1, "missing")]


async def test_a_replay_of_a_stretch_before_the_ledger_opens_no_gap(db: ClickHouse, book: Book) -> None:
    await book.read(1000, made=DEAD)
    await book.read(200, 201, live=0)
    await book.joined(200, 201)
    assert await left_open(db) == []
    assert await totals(db) == {"bodies": 3, "elements": 3, "facts": 2, "dead": 1}


async def test_a_replay_changes_no_entry_of_a_worker(db: ClickHouse, book: Book) -> None:
    await book.read(1, 2, made=DEAD)
    await book.read(1, 2, live=0)
    assert await totals(db) == {"bodies": 2, "elements": 2, "dead": 2}
    await book.joined(1, 2)
    assert await totals(db) == {"bodies": 2, "elements": 2, "facts": 2}
    await book.read(4, made=DEAD)
    assert await left_open(db) == [(0, 3, 3, -1, "missing")]


@pytest.mark.parametrize("seed", range(4))
async def test_the_views_say_what_all_entries_say_in_any_order_and_cut(db: ClickHouse, book: Book, seed: int) -> None:
    dice = random.Random(seed)
    senders = [(vendor, account, "push") for vendor in ("ytx", "huawei") for account in map(str, range(200))]
    entries: dict[int, list[tuple[Sender, float, tuple[int, int, int], int]]] = {NORMALISE: [], JOIN: []}
    for partition in range(3):
        offset = dice.randrange(5000)
        for _ in range(400):
            offset += dice.choice((1, 1, 1, 1, 2, 1200))
            sender, hours = dice.choice(senders), dice.uniform(-200, 0)
            for element in range(dice.choice((1, 1, 1, 4))):
                read_as = dice.choice((0, LIVE, LIVE)) | dice.choice((EMPTY, UNACCOUNTED, FILTERED, DEAD, FACT, FACT))
                place = (partition, offset, element)
                entries[NORMALISE].append((sender, hours, place, read_as))
                for _ in range(dice.choice((0, 1, 1, 2))):
                    version = dice.choice((
                        joined_version(dice.choice((NEW, DUPLICATE, NEW_AGAIN, DUPLICATE_AGAIN)), at_ms(dice.uniform(0, 5))),
                        unjoined_version(dice.choice((ERASED, DEAD_IN_JOIN)), at_ms()),
                    ))  # fmt: skip
                    entries[JOIN].append((sender, hours, place, version))
    for _ in range(2):
        for stage, those in entries.items():
            dice.shuffle(those)
            await book.write(stage, *those, cut=dice.choice((1, 7, 300)) if len(those) < 2000 else 300)
    kept = merged(book.rows)
    wanted = Counter(outcomes(kept).values())
    shown = Counter(
        {
            str(name): int(n)
            for name, n in await ask(
                db, "SELECT outcome, count() FROM v_ledger_entries WHERE read_as > 0 GROUP BY outcome"
            )
        }
    )
    assert shown == wanted
    named = {"fact": "facts", "duplicate": "duplicates", "unaccounted": "difference"}
    books = await totals(db)
    assert {name: number for name, number in books.items() if name not in ("bodies", "elements")} == {
        named.get(name, name): number for name, number in wanted.items() if name != "empty"
    }
    assert books["bodies"] == len({key[:2] for key in kept if key[3] == NORMALISE})
    missing = [(*gap, -1, "missing") for gap in gaps(kept)]
    assert [row for row in await left_open(db) if row[4] == "missing"] == missing
    assert len(missing) > 20


async def test_a_record_of_both_ways_is_known_by_its_id(db: ClickHouse) -> None:
    ids = {number: uuid5(NAMESPACE_URL, str(number)) for number in range(1, 6)}

    def entries(*arrivals: tuple[int, str]) -> Entries:
        made = Entries(JOIN)
        for offset, (number, source) in enumerate(arrivals):
            made.senders.append(("tencent", "main", source))
            made.received_s.append(at_ms() // 1000)
            made.partitions.append(0)
            made.offsets.append(offset)
            made.elements.append(0)
            made.versions.append(joined_version(NEW, at_ms()))
            made.records.append(ids[number].int >> 64)
        return made

    hour = NOW - timedelta(hours=3)
    fields = {"vendor": "tencent", "account": "main", "slot_at": hour, "slot_certain": True, "currency": "CNY"}
    for number, source in ((1, "push"), (2, "poll"), (3, "push"), (4, "poll"), (5, "backfill")):
        await db.insert(
            CDR,
            [
                record(
                    number, fact_id=str(ids[number]), source=source, talk_ms=number * 1000, billable_s=number, **fields
                )
            ],
        )
    for message in entries(
        (1, "push"), (3, "push"), (3, "poll"), (4, "poll"), (4, "push"), (2, "poll"), (2, "backfill")
    ).values():
        await db.insert(LEDGER, [decode_entries(message)])
    shown = await ask(
        db,
        "SELECT way, sum(records), sum(talk_total_ms), sum(billed_s), any(hour) FROM v_push_pull WHERE vendor = 'tencent' GROUP BY way ORDER BY way",
    )
    assert shown == [("both", 2, 7000, 7, hour), ("only pulled", 2, 7000, 7, hour), ("only pushed", 1, 1000, 1, hour)]


async def test_the_doctor_names_what_is_open_since_ten_minutes(db: ClickHouse, book: Book) -> None:
    await book.read(1, 4, made=DEAD)
    await book.read(5)
    assert (await books(db.settings)).state == "ok"
    await db.command(
        f"ALTER TABLE {db.database}.ledger UPDATE ingested_at = now() - 601 WHERE 1 SETTINGS mutations_sync = 1"
    )
    found = await books(db.settings)
    assert found.state == "bad"
    assert "missing: 2, the first at calls.raw/0/2" in found.detail
    assert "not joined: 1, the first at calls.raw/0/5" in found.detail


async def test_the_days_of_the_ledger_are_those_of_the_settings(settings: Settings, own: ClickHouse) -> None:
    await migrate(own, msgspec.structs.replace(settings, keep=KeepSettings(ledger_days=90)))
    created = f"SHOW CREATE TABLE {own.database}.ledger"
    assert "TTL toStartOfDay(received_at) + toIntervalDay(91)" in (await own.query(created))[0][0]
    assert await migrate(own, settings) == ["retention of ledger"]
    assert " TTL " not in (await own.query(created))[0][0]


async def test_the_columns_of_the_code_are_those_of_the_table(db: ClickHouse) -> None:
    described = await db.query(f"DESCRIBE TABLE {db.database}.ledger")
    assert {column.name: column.type for column in LEDGER.columns} == {
        name: kind for name, kind, *_ in described if name != "ingested_at"
    }


async def test_a_replay_of_what_is_missing_closes_the_gap(db: ClickHouse, book: Book) -> None:
    await book.read(1, 2, 6, made=DEAD)
    assert await left_open(db) == [(0, 3, 5, -1, "missing")]
    await book.read(3, 4, 5, live=0)
    await book.joined(3, 4, 5)
    assert await left_open(db) == []
    assert await totals(db) == {"bodies": 6, "elements": 6, "dead": 3, "facts": 3}
