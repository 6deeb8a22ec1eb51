"""Questions of operations: whether a vendor is slow, silent or wrong."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from schemas.facts import Disposition, FactType, Flag, Kind
from tests.contract.queries.made_days import Case, Day

_LAG: Final = Day(31)
for _n, _lag_s in enumerate((1, 2, 3, 4, 5, 6, 7, 8, 9, 600)):
    _at = _LAG.at(hours=_n)
    _LAG.fact(_at, end_at=_at - timedelta(seconds=_lag_s))
_LAG.fact(_LAG.at(hours=12))  # without an end
_LAG.fact(_LAG.at(days=1), end_at=_LAG.at(days=1, seconds=-2))
_LAG.fact(
    _LAG.at(days=1), fact_type=FactType.STATE, kind=Kind.CALLBACK_STATE, event_at=_LAG.at(days=1, seconds=1)
)  # a clock that is ahead
_LAG.fact(_LAG.at(hours=1), vendor="huawei", end_at=_LAG.at(minutes=30))
_LAG.fact(_LAG.at(days=2), end_at=_LAG.at(hours=1))

_DEAD: Final = Day(32)
_DEAD.dead_letter(_DEAD.at(hours=1), 1)
_DEAD.dead_letter(_DEAD.at(hours=2), 2, detail="not JSON at 7")
_DEAD.dead_letter(_DEAD.at(hours=1), 3, code="no_id", stage="normalise")
_DEAD.dead_letter(_DEAD.at(hours=24), 4)

_NOW: Final = datetime.now(UTC).replace(microsecond=0)
_SILENCE: Final = Day(33)
for _n in range(30):
    _ago = timedelta(minutes=_n)
    _SILENCE.fact(
        _NOW - timedelta(hours=1) - _ago, vendor="tencent"
    )  # it came every minute, and for an hour nothing came
    _SILENCE.fact(_NOW - 20 * _ago, vendor="huawei")  # it still comes, every 20 minutes
    _SILENCE.fact(_NOW - timedelta(hours=5) - 60 * _ago, vendor="nxcloud")  # it comes every hour

_SPIKE: Final = Day(34)


def _ends(day: Day, at: datetime, count: int, **fields: Any) -> None:
    for n in range(count):
        day.call(at + timedelta(seconds=n), **fields)


_CONGESTED: Final[dict[str, Any]] = {
    "disposition": Disposition.CONGESTION,
    "hangup_cause": "NORMAL_CIRCUIT_CONGESTION",
    "q850": 34,
}
_BUSY: Final[dict[str, Any]] = {"disposition": Disposition.BUSY, "hangup_cause": "USER_BUSY", "q850": 17}
_ends(_SPIKE, _SPIKE.at(minutes=1), 25, **_CONGESTED)
_ends(_SPIKE, _SPIKE.at(minutes=1), 75, **_BUSY)
_ends(_SPIKE, _SPIKE.at(days=-3), 10, **_CONGESTED)
_ends(_SPIKE, _SPIKE.at(days=-3), 90, **_BUSY)
_ends(_SPIKE, _SPIKE.at(minutes=1), 25, **_CONGESTED, vendor="huawei")
_ends(_SPIKE, _SPIKE.at(days=-3), 25, **_CONGESTED, vendor="huawei")  # it was always so
_ends(_SPIKE, _SPIKE.at(days=-8), 200, **_CONGESTED)  # longer ago than is compared

_DROP: Final = Day(35)
for _vendor, _now, _before in (("ytx", 20, 40), ("huawei", 30, 40), ("nxcloud", 2, 40)):
    _most = 10 if _vendor == "nxcloud" else 60
    for _base, _good in ((_DROP.at(minutes=5), _now), (_DROP.at(days=-7, minutes=5), _before)):
        for _n in range(60 if _base < _DROP.start else _most):
            (_DROP.answered(9, _base, vendor=_vendor) if _n < _good else _DROP.call(_base, vendor=_vendor))
_ends(_DROP, _DROP.at(days=-7, hours=2), 100)  # another hour of the week before

_SLOW: Final = Day(36)
for _n in range(20):
    _SLOW.call(to_number="+447700900123", pdd_ms=9000 if _n >= 18 else 1000 + _n)
    _SLOW.call(pdd_ms=8000)
    _SLOW.call(to_number="+61491570156", pdd_ms=9000 if _n < 19 else None)

_CURVE: Final = Day(37)
_CURVE.answered(600, _CURVE.at(hours=9, seconds=-300))  # it began before nine
_CURVE.answered(200, _CURVE.at(hours=9, seconds=30))
_CURVE.call(_CURVE.at(hours=9, seconds=58), end_at=_CURVE.at(hours=9, seconds=80))
_CURVE.answered(60, _CURVE.at(hours=14))

_UNMATCHED: Final = Day(38)
_UNMATCHED.call(vendor_call_id="complete", has_states=True)
_UNMATCHED.call(
    _UNMATCHED.at(hours=8), vendor_call_id="states alone", has_states=True, has_record=False, phase=1, is_final=False
)
_UNMATCHED.call(_UNMATCHED.at(hours=7), vendor_call_id="record alone b")
_UNMATCHED.call(_UNMATCHED.at(hours=6), vendor_call_id="record alone a")
_UNMATCHED.call(vendor_call_id="still open", has_states=True, has_record=False, phase=0, is_final=False)
_UNMATCHED.call(vendor_call_id="of a vendor without states", vendor="huawei")

_TELL: Final = Day(39)
for _n in range(4):
    _TELL.fact(
        vendor_call_id=f"told-{_n}",
        quality_flags=(Flag.TZ_ASSUMED, Flag.UNKNOWN_ENUM) if _n == 3 else (Flag.TZ_ASSUMED,),
    )
_TELL.fact(vendor_call_id="as documented")
_TELL.fact(vendor_call_id="huawei", vendor="huawei", quality_flags=(Flag.PLACEHOLDER,))
_TELL.fact(_TELL.at(days=1), vendor_call_id="later", quality_flags=(Flag.SCHEMA_DRIFT,))

CASES: Final = (
    Case(
        question="vendor_lag", day=_LAG, days=2, params={"vendor": "ytx"}, columns="day records events lag_p50_ms lag_p95_ms lag_p99_ms",
        expected=[
            (_LAG.start.date(), 11, 0, 6000, 600_000, 600_000),
            (_LAG.at(days=1).date(), 1, 1, 2000, 2000, 2000),
        ],
    ),
    Case(
        question="dead_letters_by_code", day=_DEAD, columns="stage code letters unresolved last_at last_detail last_place",
        expected=[
            ("normalise", "json", 2, 2, _DEAD.at(hours=2), "not JSON at 7", "calls.raw/3/2"),
            ("normalise", "no_id", 1, 1, _DEAD.at(hours=1), "not JSON", "calls.raw/3/3"),
        ],
    ),
    Case(
        question="silence", day=_SILENCE, columns="vendor account last_received_at median_gap_s",
        expected=[("tencent", "main", _NOW - timedelta(hours=1), 60)],
    ),
    Case(
        question="cause_spikes", day=_SPIKE, days=1 / 24, columns="vendor disposition hangup_cause q850 calls_now share before",
        expected=[("ytx", "congestion", "NORMAL_CIRCUIT_CONGESTION", 34, 25, 0.25, 0.1)],
    ),
    Case(
        question="asr_drop", day=_DROP, days=1 / 24, columns="vendor account direction attempts_now attempts_before share share_before",
        expected=[("ytx", "main", "outbound", 60, 60, 0.3333, 0.6667)],
    ),
    Case(
        question="slow_setup", day=_SLOW, columns="vendor country calls pdd_p50_ms pdd_p95_ms",
        expected=[("ytx", "GB", 20, 1010, 9000)],
    ),
    Case(
        question="calls_at_once", day=_CURVE, params={"top": 3}, columns="minute_at running_at_start talking_at_start peak_of_largest_group",
        expected=[
            (_CURVE.at(hours=9, minutes=1), 3, 2, 3),
            (_CURVE.at(hours=9, minutes=2), 2, 2, 2),
            (_CURVE.at(hours=9, minutes=3), 2, 2, 2),
        ],
    ),
    Case(
        question="unmatched_calls", day=_UNMATCHED, columns="vendor lacks calls first_at example_call_id",
        expected=[
            ("ytx", "states", 2, _UNMATCHED.at(hours=6), "record alone a"),
            ("ytx", "record", 1, _UNMATCHED.at(hours=8), "states alone"),
        ],
    ),
    Case(
        question="what_to_tell_the_vendor", day=_TELL, params={"vendor": "ytx"}, columns="kind flag items share example_call_id",
        expected=[("callback_cdr", "tz_assumed", 4, 0.8, "told-0"), ("callback_cdr", "unknown_enum", 1, 0.2, "told-3")],
    ),
)  # fmt: skip
