"""Questions of finance: what it costs, and whether it is right."""

from decimal import Decimal
from typing import Any, Final

from schemas.facts import Disposition, Flag
from tests.contract.queries.made_days import Case, Day
from tests.contract.views.samples import cny, record_content

_DISPUTED: Final[dict[str, Any]] = {"quality_flags": (Flag.CONFLICT_FINAL,)}
_SETTLED: Final[dict[str, Any]] = {"quality_flags": (Flag.CONFLICT_FINAL, Flag.CONFLICT_RESOLVED)}

_PREFIX: Final = Day(13)
_PREFIX.answered(60, to_number="+8613100001000", billable_s=60, **cny("0.10"))
_PREFIX.answered(61, to_number="+8613100001001", billable_s=120, **cny("0.20"))
_PREFIX.call(to_number="+8613100001002", billable_s=0, **cny("0"))
_PREFIX.answered(60, to_number="+8613100001003", billable_s=60, **cny("7"), **_DISPUTED)
_PREFIX.answered(60, to_number="+8613100009999", billable_s=60, **cny("3"))  # of another prefix
_PREFIX.answered(60, to_number="+8613100001004", billable_s=60, is_final=False, **cny("3"))

_CURRENCY: Final = Day(14)
_CURRENCY.answered(60, **cny("1"))
_CURRENCY.answered(60, **cny("2"), **_SETTLED)
_CURRENCY.answered(60, **cny("4"), **_DISPUTED)
_CURRENCY.answered(60, **cny("8"), is_final=False)
_CURRENCY.answered(60, cost=Decimal("0.5"), currency="USD", call_type="voice_code")
_CURRENCY.answered(60)

_CONFLICT: Final = Day(15)
_CONTENTS: Final = (
    record_content("a", is_shown=True, **cny("2.94")), record_content("b", **cny("0.10")), record_content("c", **cny("1")),
)  # fmt: skip
_CONFLICT.fact(_CONFLICT.at(hours=3), vendor_call_id="dear", contents=_CONTENTS, **_DISPUTED)
_CONFLICT.fact(_CONFLICT.at(hours=3), vendor_call_id="cheap", contents=_CONTENTS[1:], **_DISPUTED)
_CONFLICT.fact(_CONFLICT.at(hours=3), vendor_call_id="settled", contents=_CONTENTS, **_SETTLED)
_CONFLICT.fact(_CONFLICT.at(days=1), vendor_call_id="the day after", contents=_CONTENTS, **_DISPUTED)
_CONFLICT.fact(_CONFLICT.at(hours=3), vendor_call_id="agreed")

_DEAR: Final = Day(16)
for _n in range(4):
    _DEAR.answered(60, vendor_call_id=f"dear-{_n}", to_number="+447700900123", **cny(f"{_n}"))
_DEAR.answered(60, vendor_call_id="dollars", to_number="+61491570156", cost=Decimal("0.01"), currency="USD")

_OPEN: Final = Day(17)
_OPEN.call(_OPEN.at(hours=4), vendor_call_id="open-b", is_final=False, phase=0, end_at=None, **cny("0.30"))
_OPEN.call(_OPEN.at(hours=2), vendor_call_id="open-a", is_final=False, phase=0, end_at=None)
_OPEN.call(vendor_call_id="timed out", is_final=False, phase=1)
_OPEN.call()

_UNANSWERED: Final = Day(18)
_UNANSWERED.call(vendor_call_id="seconds", billable_s=60, disposition=Disposition.BUSY)
_UNANSWERED.call(vendor_call_id="money", billable_s=0, **cny("0.05"))
_UNANSWERED.call(vendor_call_id="nothing", billable_s=0, **cny("0"))
_UNANSWERED.call(vendor_call_id="not said", disposition=Disposition.UNKNOWN, billable_s=60)
_UNANSWERED.answered(9, vendor_call_id="answered", billable_s=60, **cny("0.05"))

_OVER: Final = Day(19)
_OVER.answered(61, billable_s=120)
_OVER.answered(59, billable_s=60)
_OVER.answered(60, billable_s=600, **_DISPUTED)
_OVER.answered(10, account="fair", billable_s=10)
_OVER.answered(10)
_OVER.call(billable_s=60)

_MISSING: Final = Day(20)
_MISSING.answered(90, vendor_call_id="forgotten-b")
_MISSING.answered(90, vendor_call_id="forgotten-a")
_MISSING.answered(60, **cny("0"))
_MISSING.call()
_MISSING.answered(60, account="never sends any")

CASES: Final = (
    Case(
        question="cost_of_prefix", day=_PREFIX, params={"prefix": "+861310000100"},
        columns="vendor currency calls answered billed_min cost cost_per_min cost_in_conflict",
        expected=[("ytx", "CNY", 4, 3, 3.0, Decimal("0.30"), 0.1, Decimal(7))],
    ),
    Case(
        question="cost_by_currency", day=_CURRENCY, columns="call_type currency calls cost cost_in_conflict cost_provisional",
        expected=[
            ("call", "CNY", 2, Decimal(3), Decimal(4), Decimal(8)),
            ("voice_code", "USD", 1, Decimal("0.5"), None, None),
        ],
    ),
    Case(
        question="records_in_conflict", day=_CONFLICT, columns="vendor_call_id contents cost_least cost_most at_stake currencies",
        expected=[
            ("dear", 3, Decimal("0.10"), Decimal("2.94"), Decimal("2.84"), "CNY"),
            ("cheap", 2, Decimal("0.10"), Decimal(1), Decimal("0.90"), "CNY"),
        ],
    ),
    Case(
        question="most_expensive_calls", day=_DEAR, params={"top": 2}, columns="currency cost vendor_call_id country prefix_name other_masked",
        expected=[
            ("CNY", Decimal(3), "dear-3", "GB", "United Kingdom", "+4477****0123"),
            ("CNY", Decimal(2), "dear-2", "GB", "United Kingdom", "+4477****0123"),
            ("USD", Decimal("0.01"), "dollars", "AU", "Australia", "+614****0156"),
        ],
    ),
    Case(
        question="provisional_calls", day=_OPEN, columns="phase calls oldest_at example_call_id cost currencies",
        expected=[
            (0, 2, _OPEN.at(hours=2), "open-a", Decimal("0.30"), "CNY"),
            (1, 1, _OPEN.at(hours=9), "timed out", None, ""),
        ],
    ),
    Case(
        question="billed_without_answer", day=_UNANSWERED, columns="vendor_call_id disposition billable_s cost",
        expected=[("money", "no_answer", 0, Decimal("0.05")), ("seconds", "busy", 60, None)],
    ),
    Case(
        question="billed_over_talk", day=_OVER, columns="account calls billed_s talk_s extra_s_per_call billed_to_talk most_extra_s",
        expected=[("main", 2, 180, 120.0, 30.0, 1.5, 59.0), ("fair", 1, 10, 10.0, 0.0, 1.0, 0.0)],
    ),
    Case(
        question="costs_missing", day=_MISSING, columns="account without_cost with_cost talk_min_without_cost example_call_id",
        expected=[("main", 2, 1, 3.0, "forgotten-a")],
    ),
)  # fmt: skip
