"""Charges: every kind of record is summed once, by day and currency."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from schemas.facts import (
    Flag,
    Kind,
    Leg,
    Role,
)
from sinks.clickhouse import ClickHouse
from sinks.rows import CDR
from tests.contract.views.samples import START, ask, cny, record


async def test_charges_of_every_kind_are_summed_once_by_day_and_currency(db: ClickHouse) -> None:
    late = START.replace(hour=23, minute=59)
    done: dict[str, Any] = {"is_final": True, "setup_at": START}
    await db.insert(
        CDR,
        [
            record(1, **done, billable_s=60, **cny("0.15")),
            record(2, **done, billable_s=0, **cny("0.15")),
            record(3, **done, cost=Decimal(1), currency="USD"),
            record(4, **done, billable_s=5),
            record(5, **done, billable_s=9, **cny("7"), quality_flags=(Flag.CONFLICT_FINAL,)),
            record(6, setup_at=START, billable_s=3, **cny("3")),
            record(7, **done, kind=Kind.VOICE_OTP, **cny("0.06")),
            record(8, kind=Kind.CONFERENCE_LEG, is_final=True, end_at=late + timedelta(minutes=9),
                   legs=(Leg(role=Role.P, answer_at=late),), **cny("0.044")),
            record(9, **done, account="main", **cny("5")),
        ],
    )  # fmt: skip
    rows = await ask(
        db,
        "SELECT account, call_type, currency, records, in_conflict, provisional, billed_s, billable_in_conflict_s, cost_total, "
        "cost_in_conflict, cost_provisional FROM v_charges_day ORDER BY account, call_type, currency",
    )
    assert rows == [
        ("", "call", "", 1, 0, 0, 5, None, None, None, None),
        ("", "call", "CNY", 2, 1, 1, 60, 9, Decimal("0.3"), Decimal(7), Decimal(3)),
        ("", "call", "USD", 1, 0, 0, None, None, Decimal(1), None, None),
        ("", "conference", "CNY", 1, 0, 0, None, None, Decimal("0.044"), None, None),
        ("", "voice_code", "CNY", 1, 0, 0, None, None, Decimal("0.06"), None, None),
        ("main", "call", "CNY", 1, 0, 0, None, None, Decimal(5), None, None),
    ]
    assert await ask(db, "SELECT DISTINCT day FROM v_charges_day") == [(START.date(),)]
