"""Calls beside the plain cases: nothing to divide by, several currencies, conflicts, hidden digits, inbound calls."""

from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from schemas.facts import Direction, Disposition, FactType, Flag, Kind, NumberKind, State
from tests.contract.queries.made_days import OURS, Case, Day, mobile
from tests.contract.views.samples import cny, record_content

_DISPUTED: Final[dict[str, Any]] = {"quality_flags": (Flag.CONFLICT_FINAL,)}
_IN: Final[dict[str, Any]] = {"direction": Direction.INBOUND, "to_number": OURS}
_HIDDEN_FROM: Final[dict[str, Any]] = {"from_number": "150****0000", "from_kind": NumberKind.MASKED}
_HIDDEN_TO: Final[dict[str, Any]] = {"to_number": "150****0000", "to_kind": NumberKind.MASKED}
_AUSTRALIA: Final = "+61491570156"


def _usd(amount: str) -> dict[str, Any]:
    return {"cost": Decimal(amount), "currency": "USD"}


_FEE: Final = Day(-1)
_FEE.call(to_number=mobile(2000), billable_s=0, **cny("0.05"))
_FEE.answered(60, from_number=mobile(2001), billable_s=60, **cny("5"), **_IN)

_CURRENCIES: Final = Day(-2)
_CURRENCIES.fact(
    _CURRENCIES.at(hours=3), vendor_call_id="in two currencies",
    contents=(record_content("a", is_shown=True, **cny("7")), record_content("b", **_usd("1"))), **_DISPUTED,
)  # fmt: skip

_OPEN: Final = Day(-3)
_OPEN.call(is_final=False, phase=0, end_at=None, **cny("1"))
_OPEN.call(is_final=False, phase=0, end_at=None, **_usd("1"))
_OPEN.call(is_final=False, phase=1, end_at=None, account="other", **_usd("2"))

_SEEN: Final = Day(-4)
_SEEN.answered(60, to_number=_AUSTRALIA, **cny("4"))
_SEEN.answered(60, to_number=_AUSTRALIA, **cny("100"), **_DISPUTED)
_SEEN.answered(60, to_number=_AUSTRALIA, account="mixed", **cny("4"))
_SEEN.answered(60, to_number=_AUSTRALIA, account="mixed", **_usd("4"))

_PREMIUM: Final = Day(-5)
for _money in (cny("4"), cny("100") | _DISPUTED):
    _PREMIUM.answered(60, to_number="+449098790123", **_money)
for _money in (cny("4"), _usd("4")):
    _PREMIUM.answered(60, to_number="+449098790123", account="mixed", **_money)

_CODES: Final = Day(-6)
for _n in range(24):
    _money = {} if _n < 4 else cny("9") | _DISPUTED if _n == 4 else cny("0.05")
    _CODES.call(to_number=f"+8617100001{_n:03}", call_type="voice_code", **_money)

_NO_TALK: Final = Day(-7)
_NO_TALK.answered(0, billable_s=60)

_NIGHT: Final = Day(-8)  # a Monday
_NIGHT.answered(60, _NIGHT.at(hours=12), account="by day", **cny("5"))
_NIGHT.answered(60, _NIGHT.at(hours=5), account="by night", **cny("5"))
_NIGHT.answered(60, _NIGHT.at(hours=5), account="by day", **cny("100"), **_DISPUTED)

_SPIKE: Final = Day(-9)
for _n in range(40):
    _busy: dict[str, Any] = {"disposition": Disposition.BUSY, "q850": 17}
    _SPIKE.call(_SPIKE.at(minutes=1), vendor="huawei", **_busy)  # it had no calls before
    _SPIKE.call(_SPIKE.at(minutes=1), disposition=Disposition.CONGESTION, q850=34)  # of this there was none before
    _SPIKE.call(_SPIKE.at(days=-1), **_busy)

_SLOW: Final = Day(-10)
for _ in range(20):
    _SLOW.call(pdd_ms=9000, from_number="+447700900123", **_IN)

_TELL: Final = Day(-11)
for _n in range(4):
    _TELL.fact(_TELL.at(hours=1), vendor_call_id=f"{_n}", quality_flags=(Flag.TZ_ASSUMED,) if _n == 0 else ())
for _n in range(6):
    _TELL.fact(_TELL.at(days=1, hours=1))  # a day without the flag counts, too
_TELL.fact(_TELL.at(days=2))

_MISSED: Final = Day(-12)
_MISSED.call(from_number=mobile(2010), **_IN)
_MISSED.answered(9, _MISSED.at(days=2), to_number=mobile(2010))  # called back, after the time that is asked about
_MISSED.call(from_number=mobile(2011), **_IN)
_MISSED.call(**_HIDDEN_FROM, **_IN)

_ATTEMPTS: Final = Day(-13)
_ATTEMPTS.call(**_HIDDEN_TO)
_ATTEMPTS.answered(9, _ATTEMPTS.at(hours=10), **_HIDDEN_TO)  # it may be somebody else
_ATTEMPTS.answered(9, to_number=mobile(2020))

_CROWD: Final = Day(-14)
for _n in range(12):
    _CROWD.answered(600, _CROWD.at(hours=9, seconds=_n), **_HIDDEN_FROM)

_LADDER: Final = Day(-15)
_T: Final = _LADDER.at(hours=9)
_LADDER.fact(
    _T, fact_type=FactType.STATE, kind=Kind.CALLBACK_STATE, vendor_call_id="twice", state=State.RELEASE, leg_number=mobile(2)
)  # fmt: skip
_LADDER.call(vendor_call_id="twice", end_at=_T + timedelta(seconds=5))
_LADDER.call(_LADDER.at(hours=8), vendor_call_id="twice", vendor="huawei", timeline_id="huawei|acc|twice",
             call_key="huawei|acc|twice", end_at=None)  # fmt: skip

CASES: Final = (
    Case(
        question="cost_of_prefix", day=_FEE, params={"prefix": "+8613"},
        columns="vendor currency calls answered billed_min cost cost_per_min cost_in_conflict",
        expected=[("ytx", "CNY", 1, 0, 0.0, Decimal("0.05"), None, None)],
    ),
    Case(
        question="records_in_conflict", day=_CURRENCIES, columns="vendor_call_id contents at_stake currencies",
        expected=[("in two currencies", 2, None, "CNY USD")],
    ),
    Case(
        question="provisional_calls", day=_OPEN, columns="account phase calls cost currencies",
        expected=[("main", 0, 2, None, "CNY USD"), ("other", 1, 1, Decimal(2), "USD")],
    ),
    Case(
        question="first_seen_countries", day=_SEEN, columns="account country calls cost currencies",
        expected=[("main", "AU", 2, Decimal(4), "CNY"), ("mixed", "AU", 2, None, "CNY USD")],
    ),
    Case(
        question="premium_numbers", day=_PREMIUM, columns="account prefix calls cost currencies",
        expected=[("main", "+4490", 2, Decimal(4), "CNY"), ("mixed", "+4490", 2, None, "CNY USD")],
    ),
    Case(
        question="code_pumping", day=_CODES, columns="called_range codes answer_rate cost currencies",
        expected=[("+861710000xxxx", 24, 0.0, Decimal("0.95"), "CNY")],
    ),
    Case(
        question="billed_over_talk", day=_NO_TALK, columns="calls billed_s talk_s extra_s_per_call billed_to_talk most_extra_s",
        expected=[(1, 60, 0.0, 60.0, None, 60.0)],
    ),
    Case(
        question="night_spend", day=_NIGHT, params={"time_zone": "UTC", "night_from": 0, "night_to": 6}, columns="account cost_off share",
        expected=[("by night", Decimal(5), 1.0)],
    ),
    Case(
        question="cause_spikes", day=_SPIKE, days=1 / 24, columns="vendor disposition calls_now share before",
        expected=[("ytx", "congestion", 40, 1.0, 0.0)],
    ),
    Case(question="slow_setup", day=_SLOW, columns="vendor country calls", expected=[]),
    Case(
        question="what_to_tell_the_vendor", day=_TELL, days=2, columns="kind flag items share example_call_id",
        expected=[("callback_cdr", "tz_assumed", 1, 0.1, "0")],
    ),
    Case(
        question="missed_not_called_back", day=_MISSED, columns="account caller calls",
        expected=[("main", "+86131****2011", 1)],
    ),
    Case(question="attempts_until_answer", day=_ATTEMPTS, columns="attempt called share", expected=[(1, 1, 1.0)]),
    Case(question="overlapping_calls", day=_CROWD, columns="caller at_once", expected=[]),
    Case(question="bursts", day=_CROWD, columns="caller calls", expected=[]),
    Case(
        question="call_ladder", day=_LADDER, params={"id": "twice"}, columns="at vendor told_by step detail",
        expected=[
            (_LADDER.at(hours=8), "huawei", "record, call", "setup", ""),
            (_T, "ytx", "record, call", "setup", ""),
            (_T + timedelta(seconds=5), "ytx", "record, call", "release", "no_answer"),
            (None, "ytx", "state event", "release", f"received {_T:%Y-%m-%d %H:%M:%S}.000"),
        ],
    ),
)  # fmt: skip
