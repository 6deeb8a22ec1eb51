"""Figures and intervals of local time as Python counts them, call by call, with the time zones of `zoneinfo`."""

import functools
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from sinks.clickhouse import ClickHouse

FIVE: Final = timedelta(minutes=5)


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a call that figures need, as `v_timelines` shows it."""

    vendor: str
    account: str
    account_id: str
    direction: str
    started_at: datetime
    call_type: str
    disposition: str
    alerting_at: datetime | None
    hangup_reason: str
    hangup_party: str
    quality_flags: list[str]
    recording_state: str
    talk_ms: int | None
    pdd_ms: int | None
    ring_ms: int | None
    billable_s: int | None
    cost: Decimal | None
    currency: str
    is_final: bool


class Interval(msgspec.Struct, frozen=True, kw_only=True):
    """Five minutes, an hour or a day of some clock."""

    local_slot_at: datetime
    """Its start on the wall clock, in which the zone stands for nothing."""
    utc_offset_s: int
    slot_at: datetime
    slot_s: int


async def shown(db: ClickHouse, query: str) -> list[dict[str, Any]]:
    """Returns the rows of a SELECT on a view, by the names of the columns."""
    names = [row[0] for row in await db.query(f"DESCRIBE ({query})")]
    return [dict(zip(names, row, strict=True)) for row in await db.query(query)]


async def calls_of(db: ClickHouse) -> list[Call]:
    """Returns every call that the views show."""
    names = Call.__struct_fields__
    rows = await db.query(f"SELECT {', '.join(names)} FROM {db.database}.v_timelines")
    return [Call(**dict(zip(names, row, strict=True))) for row in rows]


def interval(grain: str, zone: str, instant: datetime) -> Interval:
    """Returns the interval of a zone's clock that an instant is in, counted in steps of five minutes."""
    return _interval(grain, zone, instant.replace(minute=instant.minute // 5 * 5, second=0, microsecond=0))


@functools.cache
def _interval(grain: str, zone: str, step: datetime) -> Interval:
    name = _name(grain, zone, step)
    around = 400 if grain == "day" else 30
    steps = [at for n in range(-around, around + 1) if _name(grain, zone, at := step + n * FIVE) == name]
    return Interval(
        local_slot_at=name[0], utc_offset_s=_offset_s(zone, steps[0]), slot_at=steps[0], slot_s=300 * len(steps)
    )


@functools.cache
def _name(grain: str, zone: str, step: datetime) -> tuple[datetime, int | date]:
    """Returns what five minutes of one interval have in common: the hour that a clock repeats is another one."""
    offset_s = _offset_s(zone, step)
    wall = step + timedelta(seconds=offset_s)
    if grain == "day":
        return wall.replace(hour=0, minute=0), wall.date()
    return (wall.replace(minute=0) if grain == "hour" else wall), offset_s


def _offset_s(zone: str, instant: datetime) -> int:
    offset = instant.astimezone(ZoneInfo(zone)).utcoffset()
    assert offset is not None
    return int(offset.total_seconds())


def local_rows(grain: str, calls: Sequence[Call], zones: Mapping[tuple[str, str], str]) -> list[dict[str, Any]]:
    """Returns what `v_kpi_<grain>_local` must show of these calls."""
    groups: dict[tuple[Any, ...], list[Call]] = defaultdict(list)
    for call in calls:
        if call.call_type == "call":
            zone = zones.get((call.vendor, call.account), zones["", ""])
            found = interval(grain, zone, call.started_at.astimezone(UTC))
            groups[found, zone, call.vendor, call.account, call.account_id, call.direction].append(call)
    rows = []
    for (found, zone, *key), of_group in groups.items():
        named = dict(zip(("vendor", "account", "account_id", "direction"), key, strict=True))
        at = {
            **msgspec.structs.asdict(found),
            "time_zone": zone,
            "local_date": found.local_slot_at.date(),
            "local_hour": found.local_slot_at.hour,
        }
        rows.append({**at, **named, **figures(of_group, found.slot_s)})
    return rows


def cost_rows(rows_of: Sequence[Call]) -> dict[str, tuple[Decimal | None, ...]]:
    """Returns for each currency the cost that counts, that in conflict and the provisional one."""
    return {
        currency: tuple(_total(_costs(some, currency)) for some in _kinds(rows_of))
        for currency in sorted({call.currency for call in rows_of if call.cost is not None})
    }


def figures(calls: Sequence[Call], slot_s: int) -> dict[str, Any]:
    """Returns every figure of the calls of one group and interval."""
    final = [call for call in calls if call.is_final]
    seized = [call for call in final if call.disposition not in ("congestion", "barred") or _rang(call)]
    answered = [call for call in final if call.disposition == "answered"]
    effective = [call for call in final if _is_effective(call)]
    counted, disputed, unfinished = _kinds(calls)
    talks = [call.talk_ms for call in counted if call.disposition == "answered"]
    known = [talk for talk in talks if talk is not None]
    recorded = [call for call in answered if call.recording_state in ("available", "expired")]
    silent = [call for call in answered if call.recording_state == "unknown"]
    billed_s = _total([call.billable_s for call in counted])
    costs = cost_rows(calls)
    currency, of_one = next(iter(costs.items())) if len(costs) == 1 else ("mixed" if costs else "", (None, None, None))
    per_second = Counter(call.started_at.replace(microsecond=0) for call in final)
    peak = {"cps_peak": max(per_second.values(), default=0)} if slot_s == FIVE.seconds else {}
    return {
        "attempts": len(final),
        "seizures": len(seized),
        "answered": len(answered),
        "network_effective": len(effective),
        "provisional": len(calls) - len(final),
        "in_conflict": len(disputed),
        "asr": _ratio(len(answered), len(seized)),
        "abr": _ratio(len(answered), len(final)),
        "ner": _ratio(len(effective), len(seized)),
        "talk_total_ms": sum(known),
        "talk_min": sum(known) / 60_000,
        "answered_without_talk": len(talks) - len(known),
        "answered_with_talk": len(known),
        "acd_s": _ratio(sum(known) / 1000, len(known)),
        "talk_in_conflict_ms": sum(call.talk_ms or 0 for call in disputed if call.disposition == "answered"),
        "erlangs": sum(known) / 1000 / slot_s,
        **{f"pdd_p{level}_ms": _quantile(level, [call.pdd_ms for call in final]) for level in (50, 95, 99)},
        **{f"ring_p{level}_ms": _quantile(level, [call.ring_ms for call in final]) for level in (50, 95, 99)},
        "short_calls": sum(talk < 6000 for talk in known),
        "short_call_ratio": _ratio(sum(talk < 6000 for talk in known), len(known)),
        **peak,
        "recorded": len(recorded),
        "recording_unknown": len(silent),
        "recording_coverage": _ratio(len(recorded), len(answered) - len(silent)),
        "billed_s": billed_s,
        "billed_min": None if billed_s is None else billed_s / 60,
        "billable_in_conflict_s": _total([call.billable_s for call in disputed]),
        "billable_provisional_s": _total([call.billable_s for call in unfinished]),
        "is_mixed": len(costs) > 1,
        "currency": currency,
        "cost": of_one[0],
        "cost_in_conflict": of_one[1],
        "cost_provisional": of_one[2],
        "cost_per_minute": None if of_one[0] is None else _ratio(float(of_one[0]) * 60_000, sum(known)),
    }


def _kinds(calls: Sequence[Call]) -> tuple[list[Call], list[Call], list[Call]]:
    """Returns the calls whose amounts count, those in conflict, and those of which more may come."""
    disputed = [call for call in calls if _is_disputed(call)]
    others = [call for call in calls if not _is_disputed(call)]
    return [call for call in others if call.is_final], disputed, [call for call in others if not call.is_final]


def _is_disputed(call: Call) -> bool:
    return "conflict_final" in call.quality_flags and "conflict_resolved" not in call.quality_flags


def _rang(call: Call) -> bool:
    return call.alerting_at is not None or bool(call.ring_ms)


def _is_effective(call: Call) -> bool:
    by_caller = call.hangup_party == "a" or call.hangup_reason in ("caller_cancel", "caller_hangup")
    given_up = call.disposition == "cancelled" and by_caller and _rang(call)
    return call.disposition in ("answered", "busy", "no_answer", "rejected") or given_up


def _costs(calls: Sequence[Call], currency: str) -> list[Decimal | None]:
    return [call.cost for call in calls if call.currency == currency]


def _quantile(level: int, values: Sequence[int | None]) -> int | None:
    ordered = sorted(value for value in values if value is not None)
    return ordered[int(level / 100 * len(ordered))] if ordered else None


def _ratio(part: float, whole: int) -> float | None:
    return part / whole if whole else None


def _total(amounts: Sequence[Any]) -> Any:
    known = [amount for amount in amounts if amount is not None]
    return sum(known[1:], known[0]) if known else None
