"""Accounts: records that one account's address let in neither hide nor change those of another (guarantee 10)."""

from collections.abc import Callable
from typing import Any

import pytest

from sinks.clickhouse import ClickHouse
from sinks.columns import Table
from sinks.rows import BINDINGS, CALL_EVENTS, CDR, TIMELINES
from tests.contract.views.samples import ask, call, participant, record, snapshot
from tests.oracle.figures import rolled

GROUPED = [
    pytest.param("v_bindings", BINDINGS, lambda n, **fields: snapshot(n, "bound", n, **fields), id="bindings"),
    pytest.param("v_conferences", CDR, lambda n, **fields: participant(n, "1", "+8613900000001", 0, 1, **fields), id="conferences"),
    pytest.param("v_kpi_5m", TIMELINES, lambda n, **fields: call(n, is_final=True, **fields), id="key figures of 5 minutes"),
    pytest.param("v_kpi_hour", TIMELINES, lambda n, **fields: call(n, is_final=True, **fields), id="key figures of an hour"),
    pytest.param("v_kpi_day", TIMELINES, lambda n, **fields: call(n, is_final=True, **fields), id="key figures of a day"),
    pytest.param("v_charges_day", CDR, lambda n, **fields: record(n, is_final=True, **fields), id="charges"),
    pytest.param("v_cdr", CDR, record, id="records"),
    pytest.param("v_call_events", CALL_EVENTS, record, id="events"),
    pytest.param("v_timelines", TIMELINES, call, id="calls"),
]  # fmt: skip


@pytest.mark.parametrize(("view", "table", "made"), GROUPED)
async def test_what_one_address_let_in_hides_and_changes_nothing_of_another(
    db: ClickHouse, view: str, table: Table[Any], made: Callable[..., Any]
) -> None:
    columns = {row[0] for row in await db.query(f"DESCRIBE TABLE {db.database}.{view}")}
    own = f"SELECT * {'EXCEPT (ingested_at)' if 'ingested_at' in columns else ''} FROM {view} WHERE account = 'main'"
    await db.insert(table, [made(1, account="main")])
    await rolled(db)
    before = await ask(db, own)
    await db.insert(table, [made(2, account=""), made(3, account="other", version=9)])
    await rolled(db)
    assert len(before) == 1
    assert await ask(db, own) == before
    assert await ask(db, f"SELECT count() FROM {view}") == [(3,)]
