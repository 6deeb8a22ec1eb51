"""Conferences: sessions, participants, sums and the peak of concurrent legs."""

import random
from datetime import timedelta
from decimal import Decimal

from schemas.facts import (
    Flag,
)
from sinks.clickhouse import ClickHouse
from sinks.rows import CDR
from tests.contract.views.samples import START, ask, cny, participant


async def test_legs_without_a_conferences_number_are_not_merged_with_strangers(db: ClickHouse) -> None:
    await db.insert(
        CDR,
        [
            participant(1, "", "+8613900000001", 0, 5, vendor_call_id="r1", **cny("0.1")),
            participant(2, "", "+8613900000002", 0, 5, vendor_call_id="r1", **cny("0.2")),
            participant(3, "", "+8613900000003", 0, 5, vendor_call_id="r2"),
        ],
    )
    rows = await ask(db, "SELECT conference_id, call_id, participants, cost FROM v_conferences ORDER BY call_id")
    assert rows == [("", "r1", 2, Decimal("0.3")), ("", "r2", 1, None)]


async def test_a_conferences_legs_in_conflict_are_in_no_sum(db: ClickHouse) -> None:
    disputed = {"quality_flags": (Flag.CONFLICT_FINAL,)}
    await db.insert(
        CDR,
        [
            participant(1, "1", "+8613900000001", 0, 5, talk_ms=300_000, billable_s=300, **cny("0.1")),
            participant(2, "1", "+8613900000002", 0, 5, talk_ms=1000, billable_s=7, **cny("9"), **disputed),
        ],
    )
    rows = await ask(
        db,
        "SELECT talk_ms, billed_s, billable_in_conflict_s, cost, cost_in_conflict, legs, legs_in_conflict FROM v_conferences",
    )
    assert rows == [(300_000, 300, 7, Decimal("0.1"), Decimal(9), 2, 1)]


async def test_a_conference_number_used_again_after_six_quiet_hours_is_another_conference(db: ClickHouse) -> None:
    money = {"cost": Decimal("0.044"), "currency": "CNY"}
    await db.insert(
        CDR,
        [
            participant(1, "516152", "+8613900000001", 0, 30, **money),
            participant(2, "516152", "+8613900000002", 5, 30, **money),
            participant(3, "516152", "+8613900000003", 29, 2, **money),
            participant(4, "516152", "+8613900000004", 10, None),
            # 35 min + 6 h is the last moment that still belongs to it; one minute later it is the next one.
            participant(5, "516152", "+8613900000001", 35 + 360, 1),
            participant(6, "516152", "+8613900000001", 36 + 360 + 361, 1),
            participant(7, "999", "+8613900000001", 0, 1),
        ],
    )
    rows = await ask(
        db,
        "SELECT conference_id, session, participants, legs, answered_legs, started_at, ended_at, cost, currency, "
        "peak_concurrency, is_incomplete FROM v_conferences ORDER BY conference_id, session",
    )
    minute = timedelta(minutes=1)
    assert rows == [
        ("516152", 1, 4, 5, 4, START, START + 396 * minute, Decimal("0.132"), "CNY", 3, False),
        ("516152", 2, 1, 1, 1, START + 757 * minute, START + 758 * minute, None, "", 1, True),
        ("999", 1, 1, 1, 1, START, START + minute, None, "", 1, True),
    ]


async def test_the_peak_of_a_conference_equals_a_sweep_over_its_legs(db: ClickHouse) -> None:
    rng = random.Random(11)
    legs = [participant(n, "1", f"+86139000000{n:02}", rng.randrange(60), rng.randrange(30)) for n in range(1, 60)]
    await db.insert(CDR, legs)
    instants = [leg.answer_at for leg in legs if leg.answer_at]
    peak = max(
        sum(1 for leg in legs if leg.answer_at and leg.end_at and leg.answer_at <= at < leg.end_at) for at in instants
    )
    assert await ask(db, "SELECT peak_concurrency FROM v_conferences") == [(peak,)]
