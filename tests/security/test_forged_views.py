"""The forged pushes on the real engine: they change, hide and add to no row of any view."""

import uuid
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from itertools import product
from typing import Any

import pytest

from schemas.config.settings import Settings
from schemas.facts import Fact
from schemas.timeline import Timeline
from sinks.clickhouse import ClickHouse
from sinks.columns import Table
from sinks.rows import TABLES, TIMELINES, table_of
from tests.oracle.views import NOT_REPEATABLE, named
from tests.security.forgeries import LATER, PAYLOADS, ROUTES, T, claimed, facts_of, pushed, rows
from tests.security.test_forged import FORGED, VICTIMS, claims, own_id, without_forgeries
from tests.support.clickhouse_at import settings_at
from tests.support.processes.made_tables import make_in

FEW = ("main",)
"""The best and the least protected account; `test_forged` tries all without the engine."""
GROUPS = {
    "records": ("nxcloud cdr", "ytx voice code", "ytx two-way record", "ytx conference", "huawei call"),
    "states, a binding and a notification": ("ytx states", "huawei binding", "huawei notification"),
    "a record and its states": ("ytx record and states",),
}
"""Payloads of different calls, whose rows go in and are looked at together: a look at all views takes a second."""


@pytest.fixture(scope="module")
async def db(clickhouse_url: str) -> AsyncIterator[ClickHouse]:
    settings = Settings(clickhouse=settings_at(clickhouse_url, database=f"calls_{uuid.uuid4().hex[:12]}"))
    async with ClickHouse(settings.clickhouse) as client:
        await make_in(client, settings)
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


async def shown(db: ClickHouse, *views: str) -> dict[str, set[str]]:
    """Returns the rows of these views, or of every view, without the time at which they were stored."""
    every = await db.query(
        f"SELECT name, create_table_query FROM system.tables WHERE database = '{db.database}' AND startsWith(name, 'v_')"
    )
    asked = {name: named(name, definition) for name, definition in every if not views or name in views}
    left_out = ", ".join(NOT_REPEATABLE)
    return {
        name: {repr(row) for row in await db.query(f"SELECT * EXCEPT ({left_out}) FROM {db.database}.{view}")}
        for name, view in asked.items()
    }


@pytest.mark.parametrize(
    "victim", [pytest.param(each, marks=() if each in FEW else pytest.mark.long) for each in VICTIMS]
)
@pytest.mark.parametrize("names", GROUPS.values(), ids=GROUPS)
async def test_every_row_of_every_view_stays(db: ClickHouse, names: tuple[str, ...], victim: str) -> None:
    """The forgeries come by all other routes, with all account ids, before and after the true pushes."""
    for table in TABLES:
        await db.command(f"TRUNCATE TABLE {db.database}.{table.name}")
    payloads = [payload for payload in PAYLOADS if payload.name in names]
    true = [fact for payload in payloads for fact in without_forgeries(payload, victim, own_id(victim))]
    await put(db, true)
    await put(db, [*true, LATER])
    before = {name: kept for name, kept in (await shown(db)).items() if kept}
    assert {row.vendor for row in true} == {payload.vendor for payload in payloads}
    assert before
    forgeries: list[tuple[list[Fact], list[Fact]]] = []
    for payload, forger in product(payloads, ROUTES):
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
    after = await shown(db, *before)
    assert {name: kept - after[name] for name, kept in before.items() if not kept <= after[name]} == {}


def test_every_payload_is_in_one_group() -> None:
    assert sorted(name for names in GROUPS.values() for name in names) == sorted(each.name for each in PAYLOADS)
