"""The forged pushes on the real engine: they change, hide and add to no row of any view."""

import uuid
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any

import pytest

from schemas.config.settings import Settings
from schemas.facts import Fact
from schemas.timeline import Timeline
from sinks.clickhouse import ClickHouse
from sinks.migrate import migrate
from sinks.rows import TABLES, TIMELINES, Table, table_of
from tests.security.forgeries import LATER, PAYLOADS, ROUTES, Payload, T, claimed, facts_of, pushed, rows
from tests.security.test_forged import FORGED, VICTIMS, claims, own_id, without_forgeries
from tests.support.clickhouse_at import settings_at


@pytest.fixture(scope="module")
async def db(clickhouse_url: str) -> AsyncIterator[ClickHouse]:
    settings = Settings(clickhouse=settings_at(clickhouse_url, database=f"calls_{uuid.uuid4().hex[:12]}"))
    async with ClickHouse(settings.clickhouse) as client:
        await migrate(client, settings)
        yield client
        await client.command(f"DROP DATABASE {client.database}")


async def put(db: ClickHouse, log: Sequence[Any]) -> None:
    """Inserts the newest version of every row that a log of facts makes."""
    batches: dict[str, tuple[Table[Any], list[Fact | Timeline]]] = {}
    for row in rows(log).values():
        table: Table[Any] = TIMELINES if isinstance(row, Timeline) else table_of(row)
        batches.setdefault(table.name, (table, []))[1].append(row)
    for table, records in batches.values():
        await db.insert(table, records)


async def shown(db: ClickHouse) -> dict[str, set[str]]:
    """Returns the rows of every view, without the time at which they were stored."""
    names = await db.query(
        f"SELECT name FROM system.tables WHERE database = '{db.database}' AND startsWith(name, 'v_')"
    )
    return {
        name: {repr(row) for row in await db.query(f"SELECT * EXCEPT ingested_at FROM {db.database}.{name}")}
        for (name,) in names
    }


@pytest.mark.parametrize("victim", VICTIMS)
@pytest.mark.parametrize("payload", [pytest.param(each, id=each.name) for each in PAYLOADS])
async def test_every_row_of_every_view_stays(db: ClickHouse, payload: Payload, victim: str) -> None:
    """The forgeries come by all other routes, with all account ids, before and after the true pushes."""
    for table in TABLES:
        await db.command(f"TRUNCATE TABLE {db.database}.{table.name}")
    true = without_forgeries(payload, victim, own_id(victim))
    await put(db, true)
    await put(db, [*true, LATER])
    before = await shown(db)
    assert sum(map(len, before.values())) > 0
    forgeries: list[tuple[list[Fact], list[Fact]]] = []
    for forger in ROUTES:
        if forger != victim:
            for _, claim in claims(payload, victim, forger):
                documents = [claimed(each, payload.id_field, claim) for each in payload.forged()]
                place = FORGED * (1 + len(forgeries))
                early = pushed(payload, forger, documents, at=T - timedelta(hours=1), offset=place)
                late = pushed(payload, forger, documents, at=T + timedelta(hours=1), offset=place + FORGED // 2)
                forgeries.append((facts_of(early), facts_of(late)))
    all_early = [fact for early, _ in forgeries for fact in early]
    all_late = [fact for _, late in forgeries for fact in late]
    await put(db, [*all_early, *true, *all_late])
    await put(db, [*true, LATER, *all_late])
    after = await shown(db)
    assert {name: kept - after[name] for name, kept in before.items() if not kept <= after[name]} == {}
