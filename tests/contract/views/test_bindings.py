"""Bindings: the newest snapshot or call row by the vendor's own clock decides their state."""

from datetime import timedelta

import pytest

from schemas.facts import (
    Fact,
    FactType,
    Kind,
)
from sinks.clickhouse import ClickHouse
from sinks.rows import BINDINGS, CDR
from tests.contract.views.samples import START, ask, call_row, record, snapshot


async def test_a_binding_shows_its_newest_snapshot_by_the_vendors_clock(db: ClickHouse) -> None:
    def snapshot(number: int, binding: str, state: str, minutes: int | None) -> Fact:
        at = None if minutes is None else START + timedelta(minutes=minutes)
        return record(
            number,
            fact_type=FactType.BINDING,
            kind=Kind.BINDING,
            binding_id=binding,
            binding_state=state,
            revised_at=at,
        )

    await db.insert(
        BINDINGS, [snapshot(1, "b1", "unbound", 9), snapshot(2, "b1", "bound", 1), snapshot(3, "b1", "x", None)]
    )
    await db.insert(BINDINGS, [snapshot(4, "", "bound", 1), snapshot(5, "", "failed", 1)])
    rows = await ask(db, "SELECT binding_id, binding_state FROM v_bindings ORDER BY binding_id, binding_state")
    assert rows == [("", "bound"), ("", "failed"), ("b1", "unbound")]
    assert await ask(db, "SELECT count() FROM bindings") == [(5,)]


BOUND = [
    pytest.param([snapshot(1, "bound", 1)], [call_row(2, "unbound", 5)], [("unbound", "+8613900000001")], id="a newer call row says unbound"),
    pytest.param([snapshot(1, "unbound", 9, from_number="+8613900000009")], [call_row(2, "bound", 5)], [("unbound", "+8613900000009")], id="an older call row says bound"),
    pytest.param([], [call_row(2, "bound", 5)], [("bound", "+8613900000001")], id="known from one call row only"),
    pytest.param([], [call_row(2, "bound", 5), call_row(3, "unbound", 7), call_row(4, "bound", 6)], [("unbound", "+8613900000001")], id="known from call rows only"),
    pytest.param([snapshot(1, "bound", None)], [call_row(2, "unbound", 5)], [("unbound", "+8613900000001")], id="a snapshot without the clock"),
    pytest.param([snapshot(1, "bound", 1)], [call_row(2, "", None)], [("bound", None)], id="a bill that names no state"),
    pytest.param([], [call_row(2, "", None)], [("", None)], id="known from a bill only"),
    pytest.param([snapshot(1, "bound", 1)], [call_row(2, "", 9)], [("bound", None)], id="a newer row that names no state"),
    pytest.param([snapshot(1, "bound", 1)], [call_row(2, "unbound", 5, kind=Kind.CALLBACK_CDR)], [("bound", None)], id="another kind's record with a binding"),
    pytest.param([snapshot(1, "bound", 1, account="main")], [call_row(2, "unbound", 5)], [("unbound", "+8613900000001"), ("bound", None)], id="a call row by another address"),
    pytest.param([snapshot(1, "bound", 1, account="main"), snapshot(3, "failed", 8)], [], [("failed", None), ("bound", None)], id="a snapshot by another address"),
]  # fmt: skip


@pytest.mark.parametrize(("snapshots", "calls", "shown"), BOUND)
async def test_a_binding_is_in_the_state_that_its_newest_row_says(
    db: ClickHouse, snapshots: list[Fact], calls: list[Fact], shown: list[tuple[str, str | None]]
) -> None:
    """Call rows change a binding's state by the vendor's clock, and make it known; accounts are kept apart."""
    for table, rows in ((BINDINGS, snapshots), (CDR, calls)):
        if rows:
            await db.insert(table, rows)
    assert await ask(db, "SELECT binding_state, from_number FROM v_bindings ORDER BY account") == shown
