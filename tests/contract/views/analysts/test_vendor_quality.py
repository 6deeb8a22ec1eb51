"""The delivery of vendors: lag, flags, dead letters, what is missing, and silence, each by hand."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from schemas.facts import Fact, FactType, Flag, Kind, State
from sinks.clickhouse import ClickHouse
from sinks.rows import CALL_EVENTS, CDR, DEAD_LETTERS, TIMELINES
from tests.contract.views.samples import START, ask, call, dead_letter, record

STATE: Final = {"fact_type": FactType.STATE, "kind": Kind.CALLBACK_STATE}
LATER: Final = START + timedelta(days=1)


def lagging(number: int, seconds: float, **fields: Any) -> Fact:
    return record(number, end_at=START - timedelta(seconds=seconds), **fields)


LAGS: Final[dict[str, tuple[Iterable[float], tuple[int | None, ...]]]] = {
    "one record": ([2], (1, 2000, 2000, 2000)),
    "two: the second of them is the median": ([2, 4], (2, 4000, 4000, 4000)),
    "a hundred": (range(100), (100, 50_000, 95_000, 99_000)),
    "a clock that is ahead": ([-3, -2, 1], (3, -2000, 1000, 1000)),
    "parts of a second": ([0.25], (1, 250, 250, 250)),
}


@pytest.mark.parametrize(("lags", "wanted"), LAGS.values(), ids=LAGS)
async def test_lag_is_from_the_end_of_a_call_to_the_receipt_of_its_record(
    db: ClickHouse, lags: Iterable[float], wanted: tuple[int | None, ...]
) -> None:
    await db.insert(CDR, [lagging(n, seconds) for n, seconds in enumerate(lags, 1)])
    assert await ask(db, "SELECT timed, lag_p50_ms, lag_p95_ms, lag_p99_ms FROM v_vendor_quality") == [wanted]


async def test_what_came_and_how_well_is_counted_by_day_vendor_and_account(db: ClickHouse) -> None:
    await db.insert(CDR, [
        lagging(1, 1, quality_flags=(Flag.REPAIRED_JSON, Flag.UNKNOWN_ENUM)),
        lagging(2, 1, quality_flags=(Flag.KEY_NORMALISED, Flag.DUP_KEY)),
        lagging(3, 1, quality_flags=(Flag.CONFLICT_FINAL,)),
        record(4),
        record(5, received_at=LATER),
        record(6, account="other"),
        record(7, vendor="huawei"),
    ])  # fmt: skip
    await db.insert(CALL_EVENTS, [record(8, event_at=START, quality_flags=(Flag.TYPE_DRIFT,), **STATE)])
    await db.insert(DEAD_LETTERS, [dead_letter(n) for n in range(3)])
    await db.insert(TIMELINES, [
        call(1, has_record=True, has_states=True, phase=2), call(2, has_record=True, phase=2), call(3, has_states=True, phase=1),
        call(4, has_states=True, phase=0), call(5, vendor="huawei", has_record=True, phase=2),
        call(6, has_states=True, phase=1, last_received_at=LATER),
    ])  # fmt: skip
    columns = "records, events, timed, flagged, repaired, drifted, unknown_values, contradicted, dead, dead_unresolved"
    lacking = "calls, calls_with_states, calls_without_states, calls_without_record"
    rows = await ask(
        db,
        f"SELECT day, vendor, account, {columns}, {lacking}, dead_ratio FROM v_vendor_quality ORDER BY day, vendor, account",
    )
    day, after = START.date(), LATER.date()
    assert rows == [
        (day, "huawei", "", 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, None, 0, 0.0),
        (day, "ytx", "", 4, 1, 4, 4, 2, 1, 1, 1, 3, 3, 4, 3, 1, 1, 3 / 8),
        (day, "ytx", "other", 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, None, 0, 0.0),
        (after, "ytx", "", 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 1, 0.0),
    ]


async def test_freshness_is_from_the_receipt_to_the_row(db: ClickHouse) -> None:
    now = datetime.now(UTC)
    await db.insert(CDR, [record(1, received_at=now - timedelta(seconds=20), slot_at=now)])
    ((middle, most),) = await ask(db, "SELECT freshness_p50_ms, freshness_p99_ms FROM v_vendor_quality")
    assert 20_000 <= middle == most <= 20_000 + 1000 * (datetime.now(UTC) - now).total_seconds() + 1


async def test_flags_are_counted_with_their_share_and_an_example(db: ClickHouse) -> None:
    both = (Flag.TZ_ASSUMED, Flag.PLACEHOLDER)
    await db.insert(
        CDR, [record(1, quality_flags=both), record(2, quality_flags=both[:1]), record(3), record(4, account_id="b")]
    )
    await db.insert(CALL_EVENTS, [record(5, quality_flags=both[1:], vendor_call_id="", **STATE)])
    rows = await ask(
        db, "SELECT account_id, kind, flag, items, of_items, share, example_call_id FROM v_vendor_flags ORDER BY ALL"
    )
    assert rows == [
        ("acc", "callback_cdr", "placeholder", 1, 3, 1 / 3, "call-1"),
        ("acc", "callback_cdr", "tz_assumed", 2, 3, 2 / 3, "call-1"),
        ("acc", "callback_state", "placeholder", 1, 1, 1.0, ""),
    ]


async def test_values_that_are_unknown_stand_with_their_field(db: ClickHouse) -> None:
    unknown = (Flag.UNKNOWN_ENUM, Flag.TZ_ASSUMED)
    await db.insert(CDR, [
        record(1, quality_flags=unknown, extras={"code": "17x", "empty": ""}, hangup_cause="NEW_CAUSE"),
        record(2, quality_flags=unknown, extras={"code": "17x"}),
        record(3, quality_flags=(Flag.SCHEMA_DRIFT,), extras={"newField": "1"}),
        record(4, extras={"code": "fine"}),
    ])  # fmt: skip
    await db.insert(
        CALL_EVENTS, [record(5, quality_flags=unknown, state=State.UNKNOWN, extras={"state": "ringing2"}, **STATE)]
    )
    rows = await ask(db, "SELECT kind, flag, field, value, items, example_call_id FROM v_unknown_values ORDER BY ALL")
    assert rows == [
        ("callback_cdr", "schema_drift", "newField", "1", 1, "call-3"),
        ("callback_cdr", "unknown_enum", "code", "17x", 2, "call-1"),
        ("callback_cdr", "unknown_enum", "hangup_cause", "NEW_CAUSE", 1, "call-1"),
        ("callback_state", "unknown_enum", "state", "ringing2", 1, "call-5"),
        ("callback_state", "unknown_enum", "state", "unknown", 1, "call-5"),
    ]


MINUTE: Final = 60
HOUR: Final = 3600
SILENCES: Final[dict[str, tuple[list[int], int | None]]] = {
    "every minute, and nothing for ten": ([600 + n * MINUTE for n in range(9)], 60),
    "every hour, and nothing for nine": ([9 * HOUR + n * HOUR for n in range(9)], None),
    "every second, and nothing for five": ([5 + n for n in range(9)], None),
    "every second, and nothing for more than one": ([70 + n for n in range(9)], 1),
    "several in one second are one": ([600, 600, 600, 660, 660, 720], 60),
    "one long pause does not count": ([700, 760, 820, 90_000, 90_060], 60),
    "once": ([5000], None),
    "twice, and one gap is no usual gap": ([5000, 5001], None),
    "twice in each of two seconds": ([5000, 5000, 5001, 5001], None),
    "three times": ([5000, 5001, 5002], 1),
    "not for more than 30 days": ([40 * 86_400 + n for n in range(9)], None),
}


@pytest.mark.parametrize(("ago", "gap"), SILENCES.values(), ids=SILENCES)
@pytest.mark.parametrize("table", [CDR, CALL_EVENTS], ids=["records", "state events"])
async def test_silence_is_ten_times_the_usual_gap(db: ClickHouse, table: Any, ago: list[int], gap: int | None) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    times = [now - timedelta(seconds=each) for each in ago]
    await db.insert(table, [record(n, received_at=at, slot_at=at) for n, at in enumerate(times, 1)])
    rows = await ask(db, "SELECT vendor, last_received_at, median_gap_s, silent_gaps >= 10 FROM v_silent_vendors")
    assert rows == ([] if gap is None else [("ytx", max(times), gap, 1)])
