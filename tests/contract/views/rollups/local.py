"""Random calls around the changes of clocks, and the comparison of views of local time with a count by hand."""

import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from schemas.config.figures.zones import DEFAULT
from schemas.facts import Direction, Disposition, Flag, RecordingState
from schemas.timeline import Timeline
from sinks.clickhouse import ClickHouse
from sinks.rollups.zones import Zones
from tests.contract.views.samples import call, cny
from tests.oracle.by_hand import Call, calls_of, cost_rows, interval, local_rows, shown

GRAINS: Final = ("5m", "hour", "day")
MONEY: Final = [{}, cny("0.1"), cny("2.94"), {"cost": cny("1")["cost"], "currency": "USD"}]
ZONES: Final = Zones(
    {
        DEFAULT: "Asia/Shanghai",
        ("ytx", "berlin"): "Europe/Berlin",
        ("ytx", "york"): "America/New_York",
        ("ytx", "kolkata"): "Asia/Kolkata",
        ("huawei", "kathmandu"): "Asia/Kathmandu",
        ("huawei", "lord howe"): "Australia/Lord_Howe",
        ("huawei", "apia"): "Pacific/Apia",
        ("ytx", "it's \\ odd"): "America/Sao_Paulo",
        ("huawei", "london"): "Europe/London",
        ("huawei", "utc"): "UTC",
    }
)
"""Offsets of whole, half and three quarters of hours; clocks that move by half an hour, at midnight, by a whole day."""
_AROUND_S: Final = 14 * 3600
DETAILS: Final = ("call_type", "country_code", "agent_id")
_NAMES: Final = ("slot_at", "vendor", "account", "account_id", "direction", "time_zone", "currency", *DETAILS)
TURNS: Final = tuple(
    datetime.fromisoformat(f"{at}+00:00")
    for at in (
        *("2026-03-29T01:00", "2026-10-25T01:00"),  # Berlin, London
        *("2026-03-08T07:00", "2026-11-01T06:00"),  # New York
        *("2026-04-04T15:00", "2026-10-03T15:30"),  # Lord Howe
        *("2011-12-30T10:00", "2025-12-31T18:30"),  # Apia skips a day; a year ends in Kolkata
        *("2018-11-04T03:00", "2018-02-18T02:00"),  # Sao Paulo, at midnight
        "2026-12-31T23:30",
    )
)


def random_calls(rng: random.Random, count: int, turns: Sequence[datetime] = TURNS) -> list[Timeline]:
    """Returns calls of every account, near the changes of clocks, of which a second has some now and then."""
    return [_random_call(rng, number, turns) for number in range(count)]


def _random_call(rng: random.Random, number: int, turns: Sequence[datetime]) -> Timeline:
    started = rng.choice(turns) + timedelta(seconds=rng.randrange(-_AROUND_S, _AROUND_S) // 20 * 20)
    vendor, account = rng.choice([*(key for key in ZONES.of if key != DEFAULT), ("ytx", ""), ("huawei", "berlin")])
    answered = rng.random() < 0.6
    return call(
        number,
        vendor=vendor,
        account=account,
        slot_at=started.replace(minute=0, second=0) + timedelta(hours=rng.choice([0, 0, 0, 1, -1])),
        started_at=started,
        call_type=rng.choices(["call", "conference"], [9, 1])[0],
        direction=rng.choice([Direction.INBOUND, Direction.CALLBACK]),
        alerting_at=rng.choice([None, started]),
        disposition=Disposition.ANSWERED if answered else rng.choice(list(Disposition)),
        hangup_reason=rng.choice(["caller_cancel", ""]),
        quality_flags=rng.choices([(), (Flag.CONFLICT_FINAL,)], [8, 1])[0],
        recording_state=rng.choice(list(RecordingState)),
        talk_ms=rng.choice([None, rng.randrange(12_000)]) if answered else None,
        pdd_ms=rng.choice([None, rng.randrange(9_000)]),
        ring_ms=rng.choice([None, 0, rng.randrange(60_000)]),
        billable_s=rng.choice([None, rng.randrange(100)]),
        is_final=rng.random() < 0.8,
        **rng.choice(MONEY),
    )  # fmt: skip


async def wrong_local(db: ClickHouse, zones: Zones, calls: Sequence[Call] | None = None) -> list[str]:
    """Returns the views of local time, of figures and of costs, that differ from a count by hand."""
    calls = await calls_of(db) if calls is None else calls
    wrong = []
    for grain in GRAINS:
        figures = await shown(db, f"SELECT * FROM {db.database}.v_kpi_{grain}_local")
        if not same(figures, local_rows(grain, calls, zones.of)):
            wrong.append(f"v_kpi_{grain}_local")
        costs = await shown(db, f"SELECT * FROM {db.database}.v_kpi_{grain}_cost_local")
        if not same(costs, local_costs(grain, calls, zones.of)):
            wrong.append(f"v_kpi_{grain}_cost_local")
    return wrong


def local_costs(grain: str, calls: Sequence[Call], zones: Mapping[tuple[str, str], str]) -> list[dict[str, Any]]:
    """Returns what `v_kpi_<grain>_cost_local` must show: a row for each currency of each row of figures."""
    key = ("slot_at", "vendor", "account", "account_id", "direction")
    named = (*key, "local_slot_at", "local_date", "local_hour", "time_zone", "utc_offset_s", "slot_s")
    groups: dict[tuple[Any, ...], list[Call]] = {}
    for one in calls:
        if one.call_type == "call":
            at = interval(grain, zones.get((one.vendor, one.account), zones[DEFAULT]), one.started_at.astimezone(UTC))
            groups.setdefault((at.slot_at, one.vendor, one.account, one.account_id, one.direction), []).append(one)
    return [
        {**{name: row[name] for name in named}, "currency": currency,
         **dict(zip(("cost", "cost_in_conflict", "cost_provisional"), amounts, strict=True))}
        for row in local_rows(grain, calls, zones)
        for currency, amounts in cost_rows(groups[tuple(row[name] for name in key)]).items()
    ]  # fmt: skip


def same(rows: Sequence[Mapping[str, Any]], wanted: Sequence[Mapping[str, Any]]) -> bool:
    """True when both have the same rows, in any order; a cost per minute is the same when it is nearly the same."""

    def ordered(some: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        return sorted(some, key=lambda row: str([row.get(name) for name in _NAMES]))

    found = [
        {**row, "cost_per_minute": pytest.approx(row["cost_per_minute"])} if "cost_per_minute" in row else row
        for row in ordered(wanted)
    ]
    return bool(found) and ordered(rows) == found
