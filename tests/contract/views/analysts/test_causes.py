"""Causes: each row of `v_causes` equals a count by hand."""

import random
from collections import Counter
from datetime import timedelta

from msgspec.structs import replace

from schemas.facts import Direction, Disposition, Flag
from schemas.timeline import Timeline
from sinks.clickhouse import ClickHouse
from sinks.rows import TIMELINES
from tests.contract.views.samples import START, ask, call


def some_call(rng: random.Random, number: int) -> Timeline:
    began = START + timedelta(minutes=rng.randrange(300))
    disposition = rng.choice([Disposition.ANSWERED, Disposition.BUSY, Disposition.CONGESTION])
    return call(
        number, slot_at=began, started_at=began, disposition=disposition, account_id=rng.choice("ab"),
        vendor=rng.choice(("ytx", "huawei")), direction=rng.choice((Direction.INBOUND, Direction.OUTBOUND)),
        hangup_cause=rng.choice(("", "USER_BUSY")), q850=rng.choice((None, 17)), sip_code=rng.choice((None, 486, 200)),
        cause_confidence=rng.choice(("exact", "derived", "none")), talk_ms=rng.choice((None, 0, 1500)),
        call_type=rng.choices(("call", "conference"), (9, 1))[0], is_final=rng.random() < 0.9,
        quality_flags=rng.choice(((), (Flag.CONFLICT_FINAL,), (Flag.CONFLICT_FINAL, Flag.CONFLICT_RESOLVED))),
    )  # fmt: skip


async def test_causes_are_counted_by_hour_and_end(db: ClickHouse) -> None:
    rng = random.Random(18)
    calls = [some_call(rng, n) for n in range(600)]
    corrected = [some_call(rng, n) for n in range(0, 600, 5)]
    newer = {
        n: replace(version, version=2, slot_at=calls[n].slot_at)
        for n, version in zip(range(0, 600, 5), corrected, strict=True)
    }
    await db.insert(TIMELINES, [*calls, *newer.values()])

    expected: dict[tuple[object, ...], Counter[str]] = {}
    for n, one in enumerate(calls):
        now = newer.get(n, one)
        if not now.is_final or now.call_type != "call":
            continue
        assert now.started_at is not None
        key = (
            now.started_at.replace(minute=0), now.vendor, now.account_id, str(now.direction), str(now.disposition), now.hangup_cause,
            now.q850, now.sip_code,
        )  # fmt: skip
        disputed = Flag.CONFLICT_FINAL in now.quality_flags and Flag.CONFLICT_RESOLVED not in now.quality_flags
        expected.setdefault(key, Counter()).update(
            calls=1, in_conflict=disputed, derived=now.cause_confidence == "derived", talk=now.talk_ms or 0
        )
    rows = await ask(
        db,
        "SELECT slot_at, vendor, account_id, direction, disposition, hangup_cause, q850, sip_code, calls, in_conflict, derived, "
        "talk_total_ms FROM v_causes",
    )
    shown = {row[:8]: row[8:] for row in rows}
    assert len(shown) == len(rows) > 100
    assert shown == {
        key: (sums["calls"], sums["in_conflict"], sums["derived"], sums["talk"]) for key, sums in expected.items()
    }
