"""Key figures: each equals a count by hand, and counts the calls that its name says."""

import random
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Any

import msgspec
import pytest

from schemas.facts import (
    Direction,
    Disposition,
    Flag,
    Kind,
    Leg,
    RecordingState,
    Role,
)
from schemas.timeline import Timeline
from sinks.clickhouse import ClickHouse
from sinks.rows import CDR, TIMELINES
from tests.contract.views.samples import START, TWO_PM, ask, call, cny, participant
from tests.oracle.by_hand import Call, figures, shown
from tests.oracle.figures import rolled

ANSWERED: dict[str, Any] = {"disposition": Disposition.ANSWERED, "is_final": True, "setup_at": START}


CANCELLED: dict[str, Any] = {
    "disposition": Disposition.CANCELLED, "hangup_reason": "caller_cancel", "hangup_party": "a", "is_final": True, "setup_at": START,
}  # fmt: skip


NO_COST: dict[str, Any] = {"cost": None, "cost_in_conflict": None, "cost_provisional": None}


def _random_call(rng: random.Random, number: int) -> Timeline:
    disposition = rng.choice(list(Disposition))
    answered = disposition is Disposition.ANSWERED
    started = START + timedelta(minutes=rng.randrange(0, 3000))
    money = rng.choice([None, Decimal(rng.randrange(10_000)) / 1000])
    return call(
        number,
        account=rng.choice(["", "main"]),
        account_id=rng.choice(["a", "b"]),
        call_type=rng.choices(["call", "conference", "voice_code"], [8, 1, 1])[0],
        started_at=rng.choice([None, started - timedelta(seconds=rng.randrange(600))]),
        direction=rng.choice([Direction.INBOUND, Direction.CALLBACK]),
        setup_at=rng.choice([started, None]),
        answer_at=started if answered else None,
        end_at=rng.choice([started + timedelta(seconds=30), None]),
        disposition=disposition,
        alerting_at=rng.choice([None, started]),
        hangup_reason=rng.choice(["caller_cancel", "answered_elsewhere", ""]),
        hangup_party=rng.choice(["a", "platform", "unknown"]),
        recording_state=rng.choice(list(RecordingState)),
        quality_flags=rng.choices(
            [(), (Flag.CONFLICT_FINAL,), (Flag.CONFLICT_FINAL, Flag.CONFLICT_RESOLVED)], [8, 1, 1]
        )[0],
        billable_s=rng.choice([None, rng.randrange(100)]),
        talk_ms=rng.choice([None, rng.randrange(12_000)]) if answered else None,
        pdd_ms=rng.choice([None, rng.randrange(9_000)]),
        ring_ms=rng.choice([None, rng.randrange(60_000)]),
        cost=money,
        currency="" if money is None else rng.choices(["CNY", "USD"], [9, 1])[0],
        is_final=rng.random() < 0.9,
        version=1,
    )


def _slot(view: str, at: datetime) -> datetime:
    at = at.replace(second=0, microsecond=0)
    if view == "v_kpi_5m":
        return at.replace(minute=at.minute // 5 * 5)
    return at.replace(minute=0) if view == "v_kpi_hour" else at.replace(minute=0, hour=0)


@pytest.mark.parametrize("view", ["v_kpi_5m", "v_kpi_hour", "v_kpi_day"])
async def test_key_figures_equal_a_count_by_hand_after_corrections(db: ClickHouse, view: str) -> None:
    """Random calls, a third of them corrected later (another slot, another outcome), all inserted again."""
    rng = random.Random(view)
    first = [_random_call(rng, n) for n in range(400)]
    corrected = [msgspec.structs.replace(_random_call(rng, n), version=2) for n in rng.sample(range(400), 130)]
    for batch in (first, corrected, first[::2]):
        await db.insert(TIMELINES, batch)
        await rolled(db)
    newest = {c.timeline_id: c for c in [*first, *corrected]}

    def counted(c: Timeline) -> Call:
        instants = [at for at in (c.setup_at, c.alerting_at, c.answer_at, c.end_at) if at]
        started = c.started_at or min(instants, default=c.first_received_at)
        fields = {name: getattr(c, name) for name in Call.__struct_fields__}
        return Call(**fields | {"started_at": started, "quality_flags": list(c.quality_flags)})

    def group(c: Call) -> tuple[Any, ...]:
        return (_slot(view, c.started_at), c.vendor, c.account, c.account_id, str(c.direction))

    slot_s = {"v_kpi_5m": 300, "v_kpi_hour": 3600, "v_kpi_day": 86_400}[view]
    groups = groupby(sorted((counted(c) for c in newest.values() if c.call_type == "call"), key=group), key=group)
    names = ("slot_at", "vendor", "account", "account_id", "direction")
    expected = [
        {**dict(zip(names, key, strict=True)), "slot_s": slot_s, **figures(list(calls), slot_s)}
        for key, calls in groups
    ]
    rows = await shown(db, f"SELECT * FROM {db.database}.{view} ORDER BY {', '.join(names)}")
    assert rows == [{**row, "cost_per_minute": pytest.approx(row["cost_per_minute"])} for row in expected]


FIGURES = [
    pytest.param(
        [{**ANSWERED, "talk_ms": 120_000}, {**ANSWERED, "talk_ms": None}],
        {"attempts": 2, "answered": 2, "acd_s": 120.0, "answered_without_talk": 1, "asr": 1.0},
        id="an answered call without an end is left out of the average and counted",
    ),
    pytest.param(
        [{**ANSWERED, "talk_ms": None}],
        {"answered": 1, "acd_s": None, "answered_without_talk": 1, "short_call_ratio": None},
        id="no answered call has a known talk",
    ),
    pytest.param(
        [{**ANSWERED, "talk_ms": 0}, {**ANSWERED, "talk_ms": 60_000}],
        {"acd_s": 30.0, "answered_without_talk": 0, "short_calls": 1, "short_call_ratio": 0.5},
        id="a talk of nothing is known",
    ),
    pytest.param(
        [{**ANSWERED, "talk_ms": 1000}, {**CANCELLED, "alerting_at": START}],
        {"network_effective": 2, "ner": 1.0, "asr": 0.5},
        id="cancelled by the caller after it rang",
    ),
    pytest.param(
        [{**ANSWERED, "talk_ms": 1000}, {**CANCELLED, "ring_ms": 9000}],
        {"ner": 1.0},
        id="cancelled after ringing that is counted from the start",
    ),
    pytest.param(
        [{**ANSWERED, "talk_ms": 1000}, {**CANCELLED}],
        {"network_effective": 1, "ner": 0.5},
        id="cancelled before anything rang",
    ),
    pytest.param(
        [{**ANSWERED, "talk_ms": 1000}, {**CANCELLED, "ring_ms": 0}],
        {"ner": 0.5},
        id="cancelled in the instant of the start",
    ),
    pytest.param(
        [{**CANCELLED, "hangup_reason": "answered_elsewhere", "hangup_party": "unknown", "alerting_at": START}],
        {"ner": 0.0},
        id="another leg won the race",
    ),
    pytest.param(
        [{**CANCELLED, "hangup_reason": "platform", "hangup_party": "platform", "alerting_at": START}],
        {"ner": 0.0},
        id="cancelled by the platform",
    ),
    pytest.param(
        [{**ANSWERED, "talk_ms": 5000}, {"disposition": Disposition.IN_PROGRESS, "setup_at": START, "pdd_ms": 7}],
        {"attempts": 1, "provisional": 1, "asr": 1.0, "ner": 1.0, "pdd_p50_ms": None},
        id="a provisional call is in no ratio",
    ),
    pytest.param(
        [{"disposition": Disposition.ANSWERED, "setup_at": START, "talk_ms": 9000, "billable_s": 9, **cny("1")}],
        {
            "attempts": 0, "provisional": 1, "asr": None, "ner": None, "acd_s": None, **NO_COST, "billed_s": None,
            "cost_provisional": Decimal(1), "billable_provisional_s": 9,
        },
        id="only provisional calls",
    ),
    pytest.param(
        [
            {**ANSWERED, "talk_ms": 60_000, "billable_s": 60, **cny("0.5")},
            {**ANSWERED, "talk_ms": 1000, "billable_s": 70, **cny("2.94"), "quality_flags": (Flag.CONFLICT_FINAL,)},
        ],
        {
            "attempts": 2, "answered": 2, "in_conflict": 1, "cost": Decimal("0.5"), "cost_in_conflict": Decimal("2.94"),
            "billed_s": 60, "billable_in_conflict_s": 70, "talk_total_ms": 60_000, "talk_in_conflict_ms": 1000,
            "acd_s": 60.0, "short_calls": 0, "answered_without_talk": 0, "cost_per_minute": 0.5,
        },
        id="amounts in conflict are in no sum",
    ),
    pytest.param(
        [{**ANSWERED, **cny("2.94"), "quality_flags": (Flag.CONFLICT_FINAL,)}],
        {**NO_COST, "cost_in_conflict": Decimal("2.94"), "currency": "CNY", "cost_per_minute": None},
        id="only amounts in conflict",
    ),
    pytest.param(
        [{**ANSWERED, **cny("2.94"), "quality_flags": (Flag.CONFLICT_FINAL, Flag.CONFLICT_RESOLVED)}],
        {**NO_COST, "cost": Decimal("2.94"), "in_conflict": 0},
        id="a conflict that somebody resolved counts again",
    ),
    pytest.param(
        [{**ANSWERED, **cny("2.94"), "quality_flags": (Flag.FIELD_CONFLICT,)}],
        {**NO_COST, "cost": Decimal("2.94"), "in_conflict": 0},
        id="a conflict about something that is not billed",
    ),
    pytest.param(
        [{**ANSWERED, "talk_ms": 60_000, **cny("1")}, {**ANSWERED, "cost": Decimal(1), "currency": "USD"}],
        {**NO_COST, "currency": "mixed", "is_mixed": True, "cost_per_minute": None},
        id="two currencies have no total",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("calls", "figures"), FIGURES)
async def test_a_key_figure_counts_what_its_name_says(
    db: ClickHouse, calls: list[dict[str, Any]], figures: dict[str, Any]
) -> None:
    await db.insert(TIMELINES, [call(n, **fields) for n, fields in enumerate(calls, 1)])
    await rolled(db)
    ((*shown,),) = await ask(db, f"SELECT {', '.join(figures)} FROM v_kpi_hour")
    assert dict(zip(figures, shown, strict=True)) == figures


STARTS = [
    pytest.param({"started_at": TWO_PM - timedelta(seconds=20), "end_at": TWO_PM + timedelta(seconds=20)}, 13, id="set by the joiner"),
    pytest.param(
        {"legs": (Leg(role=Role.A, answer_at=TWO_PM - timedelta(seconds=20)), Leg(role=Role.B)), "end_at": TWO_PM + timedelta(seconds=20)},
        13,
        id="written before the column: A answered, B never, the end is the call's only time",
    ),
    pytest.param({"legs": (Leg(role=Role.B, setup_at=TWO_PM),), "answer_at": TWO_PM + timedelta(hours=1)}, 14, id="written before the column: a leg's start"),
    pytest.param({"setup_at": TWO_PM + timedelta(minutes=1), "end_at": TWO_PM - timedelta(minutes=1)}, 13, id="written before the column: instants in no order"),
    pytest.param({}, 8, id="no instant at all: the first receipt"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "hour"), STARTS)
async def test_a_call_counts_in_the_hour_of_its_earliest_instant(
    db: ClickHouse, fields: dict[str, Any], hour: int
) -> None:
    await db.insert(TIMELINES, [call(1, is_final=True, **fields)])
    await rolled(db)
    assert await ask(db, "SELECT slot_at FROM v_kpi_hour") == [(START.replace(hour=hour),)]


async def test_conferences_and_voice_codes_are_no_calls_and_a_conference_counts_once(db: ClickHouse) -> None:
    """A conference of three under three requestids: no attempt of a call, one conference."""
    legs = [participant(n, "516152", f"+8613900000{n:03}", n, 5) for n in range(1, 4)]
    await db.insert(CDR, legs)
    await db.insert(
        TIMELINES,
        [
            *(call(n, kind=Kind.CONFERENCE_LEG, call_type="conference", **ANSWERED) for n in range(1, 4)),
            call(4, kind=Kind.VOICE_OTP, call_type="voice_code", **ANSWERED),
            call(5, kind=Kind.SOFTPHONE_CDR, **ANSWERED),
        ],
    )
    await rolled(db)
    assert await ask(db, "SELECT attempts FROM v_kpi_hour") == [(1,)]
    assert await ask(db, "SELECT conference_id, participants FROM v_conferences") == [("516152", 3)]
