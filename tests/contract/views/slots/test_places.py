"""Rows are put beside their earlier versions, whatever their slot seems to be, and elsewhere only when they are new."""

import random
import uuid
from datetime import datetime, timedelta
from typing import Any, Final

import pytest
from msgspec.structs import replace

from schemas.config.settings import Settings
from schemas.errors import Unavailable
from schemas.facts import FactType
from sinks.clickhouse import ClickHouse
from sinks.columns import Table
from sinks.flush.placing import Places, identity_of, placing, row_hash
from sinks.migrate import migrate
from sinks.rows import BINDINGS, CALL_EVENTS, CDR, TIMELINES
from tests.contract.views.samples import START, ask, call, dead_letter, record

HOUR: Final = timedelta(hours=1)
FAR: Final = timedelta(days=40)


def made(table: Table[Any], number: int, slot_at: datetime | None, **fields: Any) -> Any:
    """Returns a record of the table's kind whose slot is not certain, unless it is given so."""
    kinds = {CDR.name: FactType.RECORD, CALL_EVENTS.name: FactType.STATE, BINDINGS.name: FactType.BINDING}
    if table is TIMELINES:
        return call(number, slot_at=slot_at, **fields)
    return record(number, fact_type=kinds[table.name], slot_at=slot_at, binding_id=f"b{number}", **fields)


TABLES: Final = (CDR, CALL_EVENTS, BINDINGS, TIMELINES)


def places(db: ClickHouse) -> Places:
    return Places(db.query, db.database)


@pytest.mark.parametrize("away", [HOUR, timedelta(days=1), -timedelta(days=1), FAR, -FAR], ids=str)
@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.label)
async def test_late_news_joins_the_row_that_is_there(db: ClickHouse, table: Table[Any], away: timedelta) -> None:
    """Also of a sink that was started anew, and where more rows are looked for than the indexes are asked."""
    for count in (3, 150):
        await db.command(f"TRUNCATE TABLE {db.database}.{table.name}")
        await db.insert(table, [made(table, n, START, slot_certain=True) for n in range(1, count)])
        insert = placing(db.insert, places(db))
        await insert(table, [made(table, n, START + away, version=2) for n in range(1, count + 5)])
        assert await ask(db, f"SELECT count(), countIf(version = 2), uniqExact(slot_at) FROM {table.label}") == [
            (count + 4, count + 4, 2),
        ]  # fmt: skip


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.label)
async def test_a_new_row_stays_in_the_slot_that_it_was_given_first(db: ClickHouse, table: Table[Any]) -> None:
    """In one insert, in the next one, and of another sink; one without a slot is given that of its instants."""
    one = places(db)
    first, second = made(table, 1, START), made(table, 1, START + HOUR, version=2)
    assert [each.slot_at for each in await one.placed(table, [first, second])] == [START, START]
    await placing(db.insert, one)(table, [first, second])
    for other in (one, places(db)):
        (placed,) = await other.placed(table, [made(table, 1, None, version=3)])
        assert placed.slot_at == START


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.label)
async def test_late_news_in_the_insert_of_the_first_joins_it(db: ClickHouse, table: Table[Any]) -> None:
    """A sink that reads a topic from its beginning has a call and news of a month later in one batch."""
    sent = [made(table, 1, START, slot_certain=True), made(table, 1, START + FAR, version=2), made(table, 2, START)]
    await placing(db.insert, places(db))(table, sent)
    found = await ask(db, f"SELECT count(), uniqExact(slot_at), max(version) FROM {table.label}")
    assert found == [(2, 1, 2)]


async def test_rows_that_are_certain_are_not_looked_for(db: ClickHouse) -> None:
    asked: list[str] = []

    async def query(sql: str, values: Any) -> list[tuple[Any, ...]]:
        asked.append(sql)
        return await db.query(sql, values)

    one = Places(query, db.database)
    await one.placed(CDR, [made(CDR, n, START, slot_certain=True) for n in range(1, 9)])
    await one.placed(CDR, [made(CDR, 1, START, slot_certain=True), dead_letter()])
    assert len(asked) == 1
    assert "rows_moved" in asked[0]


async def test_rows_of_before_the_move_are_looked_for_although_they_are_certain(
    own: ClickHouse, settings: Settings
) -> None:
    await migrate(own, settings)
    await own.insert(CDR, [made(CDR, 1, START, slot_certain=True)])
    await own.insert_rows(f"{own.database}.rows_moved", ("name", "rows", "version"), [("cdr_by_slot", 7, 1 << 60)])
    later = made(CDR, 1, START + HOUR, slot_certain=True, version=2)
    (placed,) = await places(own).placed(CDR, [later])
    assert placed.slot_at == START
    far_ahead = later.received_at + timedelta(days=3650)
    (placed,) = await places(own).placed(CDR, [replace(later, received_at=far_ahead)])
    assert placed.slot_at == START + HOUR


async def test_nothing_is_written_before_all_rows_are_moved(own: ClickHouse, settings: Settings) -> None:
    """A sink that is started before `callweave migrate` waits, and goes on by itself."""
    one = places(own)
    with pytest.raises(Unavailable, match="UNKNOWN_"):
        await one.placed(CDR, [record(1)])
    await migrate(own, settings)
    await own.command(f"TRUNCATE TABLE {own.database}.rows_moved")
    with pytest.raises(Unavailable, match="rows are still to be moved: run `callweave migrate`"):
        await one.placed(CDR, [record(1)])


async def test_a_fact_without_a_proper_id_is_left_to_the_insert(db: ClickHouse) -> None:
    bad = record(1, fact_id="not-a-uuid", slot_at=None)
    good = made(CDR, 2, None)
    assert list(await places(db).placed(CDR, [bad, good])) == [bad, replace(good, slot_at=START)]


async def test_the_hash_is_the_one_that_the_table_computes(db: ClickHouse) -> None:
    rng = random.Random(5)
    texts = [rng.choice(("a%7Cb", "ü", "'", "\\", "{}")) * rng.randrange(1, 40) for _ in range(50)]
    calls = [call(n, timeline_id=f"ytx|{text}|{n}#v", call_key=f"ytx|{text}|{n}") for n, text in enumerate(texts)]
    await db.insert(TIMELINES, calls)
    stored = dict(await ask(db, "SELECT timeline_id, row_hash FROM timelines"))
    assert stored == {each.timeline_id: row_hash(each.timeline_id) for each in calls}
    assert identity_of(calls[0]) == stored[calls[0].timeline_id]
    assert identity_of(record(fact_id=str(uuid.UUID(int=7)))) == uuid.UUID(int=7)


ODD_IDS: Final = (*(letter * 65_536 for letter in "xyz"), "\x00", "'", "\\", "\t\n", "it's {a:b}", "\U0010ffff", "%7C|")


@pytest.mark.parametrize("table", [CDR, CALL_EVENTS, TIMELINES], ids=lambda table: table.label)
async def test_no_id_of_a_sender_keeps_rows_waiting(db: ClickHouse, table: Table[Any]) -> None:
    """Long ids and odd characters, of calls that nobody has seen: the look-up names no word that was sent."""
    sent = [made(table, n, START, vendor_call_id=name) for n, name in enumerate((*ODD_IDS, *ODD_IDS), 1)]
    await placing(db.insert, places(db))(table, sent)
    assert await ask(db, f"SELECT count() FROM {table.label}") == [(len(sent),)]
