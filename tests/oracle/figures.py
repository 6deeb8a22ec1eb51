"""Figures as they follow from all calls at once: computed at reading, as the views of older releases did.

Tests that insert rows themselves have the figures computed here, as the sink would.
"""

from typing import Final

from schemas.metrics import Registry
from sinks.clickhouse import ClickHouse
from sinks.rollups.marks import Marks
from sinks.rollups.roller import Roller
from sinks.rollups.zones import UTC_ALONE, Zones

VIEWS: Final = ("v_kpi_5m", "v_kpi_hour", "v_kpi_day")
COSTS: Final = tuple(f"{view}_cost" for view in VIEWS)
_STARTS: Final = {
    "5m": ("toStartOfFiveMinutes", 300),
    "hour": ("toStartOfHour", 3600),
    "day": ("toStartOfDay", 86_400),
}
_CALLS: Final = """WITH calls AS
(
    SELECT
        *,
        disposition = 'answered' AS is_answered,
        has(quality_flags, 'conflict_final') AND NOT has(quality_flags, 'conflict_resolved') AS disputed,
        is_final AND NOT disputed AS counted,
        NOT is_final AND NOT disputed AS unfinished,
        alerting_at IS NOT NULL OR ifNull(ring_ms > 0, false) AS rang,
        disposition = 'cancelled' AND (hangup_party = 'a' OR hangup_reason IN ('caller_cancel', 'caller_hangup')) AS given_up
    FROM {database}.v_timelines
    WHERE call_type = 'call'
)
SELECT
    toDateTime({start}(toDateTime(started_at, 'UTC')), 'UTC') AS slot_at,
    toUInt32({length}) AS slot_s,
    vendor,
    account,
    account_id,
    direction,
"""
_FIGURES: Final = """    countIf(is_final) AS attempts,
    countIf(is_final AND (disposition NOT IN ('congestion', 'barred') OR rang)) AS seizures,
    countIf(is_final AND is_answered) AS answered,
    countIf(
        is_final AND (disposition IN ('answered', 'busy', 'no_answer', 'rejected') OR (given_up AND rang))
    ) AS network_effective,
    countIf(NOT is_final) AS provisional,
    countIf(disputed) AS in_conflict,
    if(seizures = 0, NULL, answered / seizures) AS asr,
    if(attempts = 0, NULL, answered / attempts) AS abr,
    if(seizures = 0, NULL, network_effective / seizures) AS ner,
    sumIf(ifNull(t.talk_ms, 0), counted AND is_answered) AS talk_total_ms,
    talk_total_ms / 60000 AS talk_min,
    countIf(counted AND is_answered AND t.talk_ms IS NULL) AS answered_without_talk,
    countIf(counted AND is_answered AND t.talk_ms IS NOT NULL) AS answered_with_talk,
    if(answered_with_talk = 0, NULL, talk_total_ms / 1000 / answered_with_talk) AS acd_s,
    sumIf(ifNull(t.talk_ms, 0), disputed AND is_answered) AS talk_in_conflict_ms,
    talk_total_ms / 1000 / slot_s AS erlangs,
    quantileExactIf(0.5)(t.pdd_ms, is_final) AS pdd_p50_ms,
    quantileExactIf(0.95)(t.pdd_ms, is_final) AS pdd_p95_ms,
    quantileExactIf(0.99)(t.pdd_ms, is_final) AS pdd_p99_ms,
    quantileExactIf(0.5)(t.ring_ms, is_final) AS ring_p50_ms,
    quantileExactIf(0.95)(t.ring_ms, is_final) AS ring_p95_ms,
    quantileExactIf(0.99)(t.ring_ms, is_final) AS ring_p99_ms,
    countIf(counted AND is_answered AND t.talk_ms < 6000) AS short_calls,
    if(answered_with_talk = 0, NULL, short_calls / answered_with_talk) AS short_call_ratio,
    countIf(is_final AND is_answered AND recording_state IN ('available', 'expired')) AS recorded,
    countIf(is_final AND is_answered AND recording_state = 'unknown') AS recording_unknown,
    if(answered = recording_unknown, NULL, recorded / (answered - recording_unknown)) AS recording_coverage,
    sumIf(t.billable_s, counted) AS billed_s,
    billed_s / 60 AS billed_min,
    sumIf(t.billable_s, disputed) AS billable_in_conflict_s,
    sumIf(t.billable_s, unfinished) AS billable_provisional_s,
    toBool(uniqExactIf(t.currency, t.cost IS NOT NULL) > 1) AS is_mixed,
    if(is_mixed, 'mixed', anyIf(toString(t.currency), t.cost IS NOT NULL)) AS currency,
    if(is_mixed, NULL, sumIf(t.cost, counted)) AS cost,
    if(is_mixed, NULL, sumIf(t.cost, disputed)) AS cost_in_conflict,
    if(is_mixed, NULL, sumIf(t.cost, unfinished)) AS cost_provisional,
    if(talk_total_ms = 0 OR is_mixed, NULL, toFloat64(sumIf(t.cost, counted)) * 60000 / talk_total_ms) AS cost_per_minute"""
_PEAK: Final = """,
    groupArrayIf(toUnixTimestamp(toDateTime(started_at, 'UTC')), is_final) AS seconds,
    toUInt32(arrayMax(arrayMap(second -> countEqual(seconds, second), arrayDistinct(seconds)))) AS cps_peak"""
_GROUPS: Final = """
FROM calls AS t
GROUP BY slot_at, vendor, account, account_id, direction"""
_OF_A_CURRENCY: Final = """    toString(t.currency) AS currency,
    sumIf(t.cost, counted) AS cost,
    sumIf(t.cost, disputed) AS cost_in_conflict,
    sumIf(t.cost, unfinished) AS cost_provisional
FROM calls AS t
WHERE t.cost IS NOT NULL
GROUP BY slot_at, vendor, account, account_id, direction, currency"""


async def rolled(db: ClickHouse, zones: Zones = UTC_ALONE) -> int:
    """Computes the figures of all calls, as the sink does for those whose slots it marked; returns the slots."""
    marks = Marks(db)
    await marks.set_all()
    return await Roller(db, marks, Registry(), zones=zones).once()


def at_reading(view: str, database: str) -> str:
    """Returns the query that gives what `view` must show, from `v_timelines`."""
    grain, _, cost = view.removeprefix("v_kpi_").partition("_")
    start, length = _STARTS[grain]
    head = _CALLS.format(database=database, start=start, length=length)
    if cost:
        return f"{head}{_OF_A_CURRENCY}"
    if grain == "5m":
        return f"SELECT * EXCEPT (seconds) FROM ({head}{_FIGURES}{_PEAK}{_GROUPS})"
    return f"{head}{_FIGURES}{_GROUPS}"


def differing(view: str, database: str) -> str:
    """Returns the query of the rows that `view` shows and should not, or should show and does not."""
    shown, wanted = f"SELECT * FROM {database}.{view}", at_reading(view, database)
    # A sum of floating-point numbers is in none of them, so equal figures are equal to the last bit.
    both = f"SELECT toString(tuple(*)) AS row, 1 AS side FROM ({shown}) UNION ALL SELECT toString(tuple(*)), -1 FROM ({wanted})"
    return f"SELECT row, sum(side) AS surplus FROM ({both}) GROUP BY row HAVING surplus != 0 ORDER BY row LIMIT 20"
