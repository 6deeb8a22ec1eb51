"""The real engine: published messages go in as the sink inserts them, and come back out of the views."""

import contextlib
import random
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import msgspec

from schemas.config.settings import Settings
from schemas.facts import Fact
from schemas.metrics import Registry
from schemas.privacy.tokens import NumberTokens
from schemas.raw import Position
from schemas.timeline import Timeline
from sinks.clickhouse import ClickHouse
from sinks.columns import NO_TOKENS, Table
from sinks.flush.batch import Origin
from sinks.flush.insert import insert_or_bisect
from sinks.flush.placing import Places, placing
from sinks.rows import TIMELINES, table_of
from sinks.writing.records import Records
from tests.support.clickhouse_at import settings_at
from tests.support.processes.made_tables import make_in

_LARGEST: Final = 20_000


@contextlib.asynccontextmanager
async def tables(url: str, tokens: NumberTokens = NO_TOKENS) -> AsyncIterator[ClickHouse]:
    """Yield a client of a new database with all tables and views, dropped at the end."""
    settings = Settings(clickhouse=settings_at(url, database=f"calls_{uuid.uuid4().hex[:12]}"))
    async with ClickHouse(settings.clickhouse, tokens) as db:
        await make_in(db, settings)
        try:
            yield db
        finally:
            await db.command(f"DROP DATABASE {db.database}")


async def put(
    db: ClickHouse, facts: Sequence[Fact], timelines: Sequence[Timeline], rng: random.Random | None = None
) -> list[str]:
    """Insert all of it; returns each refusal. With `rng` in any order, cut anywhere, and partly twice.

    In another order than that of the topics nothing is certain, so the sink looks for each row before it writes.
    """
    insert = placing(db.insert, Places(db.query, db.database))
    by_table: dict[str, tuple[Table[Any], list[Any]]] = {}
    for fact in facts:
        table = table_of(fact)
        by_table.setdefault(table.name, (table, []))[1].append(fact)
    by_table[TIMELINES.name] = (TIMELINES, list(timelines))
    refused: list[str] = []
    for table, records in by_table.values():
        sent = [*records, *(rng.sample(records, len(records) // 8) if rng else ())]
        if rng:
            rng.shuffle(sent)
            sent = [msgspec.structs.replace(record, slot_certain=False) for record in sent]
        size = rng.randint(len(sent) // 5 + 1, len(sent) + 1) if rng else _LARGEST
        for at in range(0, len(sent), size):
            part = sent[at : at + size]
            origins = [_origin(number) for number in range(len(part))]
            found = await insert_or_bisect(table, Records.of(part, origins), insert, Registry())
            refused += [f"{table.name} {_name(part[one.origin.position.offset])}: {one.detail}" for one in found]
    return refused


async def ask(db: ClickHouse, sql: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query; `{db}` stands for the database."""
    return await db.query(sql.replace("{db}", db.database))


def _name(record: Any) -> str:
    return str(record.vendor_call_id or record.binding_id)


def _origin(number: int) -> Origin:
    return Origin(position=Position("calls.normalized", 0, number), key=None, value=b"")
