"""Questions of fraud: each has a planted fraud, which must be found, and innocent neighbours, which must not."""

from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from schemas.facts import Direction, Disposition, Flag
from tests.contract.queries.made_days import Case, Day, mobile
from tests.contract.views.samples import cny

AUSTRALIA: Final = "+61491570156"
BRITAIN: Final = "+447700900123"
PREMIUM: Final = "+449098790123"


def _ring(day: Day, caller: str, called: int, ring_s: float, **fields: Any) -> None:
    began = day.at(hours=3, minutes=called)
    sent = {"ring_ms": int(ring_s * 1000), "disposition": Disposition.CANCELLED, **fields}
    day.call(
        began,
        direction=Direction.INBOUND,
        from_number=caller,
        to_number=mobile(called),
        end_at=began + timedelta(seconds=ring_s),
        **sent,
    )


_WANGIRI: Final = Day(21)
for _n in range(12):
    _ring(_WANGIRI, f"+8617100001{_n:03}", _n, 1 + _n % 2)  # the fraud: another number each time
    _ring(_WANGIRI, f"+8617100012{_n:03}", _n, 15)  # they wait
    _ring(_WANGIRI, "+8617100023999", 1, 1)  # one who always tries the same phone
    _ring(_WANGIRI, f"+8617100034{_n:03}", _n, 1, disposition=Disposition.ANSWERED)  # they are answered at once
for _n in range(9):
    _ring(_WANGIRI, f"+8617100045{_n:03}", _n, 1)  # too few

_SEEN: Final = Day(22)
_SEEN.answered(120, _SEEN.at(hours=5), to_number=AUSTRALIA, **cny("4"))
_SEEN.call(_SEEN.at(hours=4), to_number=AUSTRALIA)
_SEEN.answered(60, _SEEN.at(hours=4), to_number=BRITAIN)
_SEEN.call(_SEEN.at(days=-10), to_number=BRITAIN)  # known for ten days
_SEEN.call(_SEEN.at(days=-31), to_number=AUSTRALIA)  # longer ago than anybody asks
_SEEN.call(to_number=mobile(1))
_SEEN.call(_SEEN.at(days=-1), to_number=mobile(1))
_SEEN.call(to_number=AUSTRALIA, account="travels")
_SEEN.call(_SEEN.at(days=-29), to_number=AUSTRALIA, account="travels")
_SEEN.call(direction=Direction.INBOUND, from_number="+358501234567", to_number=mobile(1))

_PREMIUM: Final = Day(23)
for _n in range(3):
    _PREMIUM.answered(300, to_number=PREMIUM, agent_id="mallory", **cny("9.99"))
_PREMIUM.answered(300, to_number=BRITAIN, agent_id="ann", **cny("0.50"))
_PREMIUM.call(direction=Direction.INBOUND, from_number=PREMIUM, to_number=mobile(1))

_SEQUENCE: Final = Day(24)
for _n in range(12):
    _SEQUENCE.call(from_number=mobile(91), to_number=mobile(500 + _n))  # the fraud
    _SEQUENCE.call(from_number=mobile(91), to_number=mobile(500 + _n))  # each twice
    _SEQUENCE.call(from_number=mobile(92), to_number=mobile(600 + 2 * _n))  # a list of customers
    _SEQUENCE.call(from_number=mobile(93), to_number=mobile(700 + _n % 5))  # five phones of one office
_SEQUENCE.call(from_number=mobile(91), to_number=mobile(900))

_CODES: Final = Day(25)
for _n in range(25):
    _code: dict[str, Any] = {"call_type": "voice_code", **cny("0.04")}
    _CODES.call(to_number=f"+8617100001{_n:03}", **_code)  # the fraud: two of 27 are answered
    _CODES.answered(5, to_number=f"+8617100012{_n:03}", **_code)  # people who wait for their code
    if _n < 2:
        _CODES.answered(5, to_number=f"+8617100001{_n:03}", **_code)
    if _n < 19:
        _CODES.call(to_number=f"+8617100023{_n:03}", **_code)  # too few
    _CODES.call(to_number=f"+8617100034{_n:03}")  # calls, not codes

_OVERLAP: Final = Day(26)
for _n in range(3):
    _OVERLAP.answered(600, _OVERLAP.at(hours=9, minutes=_n), from_number=mobile(81))  # the fraud
    _OVERLAP.answered(50, _OVERLAP.at(hours=9, minutes=_n), from_number=mobile(82))  # one after the other
    _OVERLAP.answered(60, _OVERLAP.at(hours=9, minutes=_n), from_number=mobile(83))  # answered as the one before ends
    _OVERLAP.call(_OVERLAP.at(hours=9), from_number=mobile(84))  # three at once, and nobody answers
    _OVERLAP.answered(600, _OVERLAP.at(hours=9), from_number=mobile(85 + _n))

_BEHIND: Final = Day(27)
for _n in range(6):
    _BEHIND.call(_BEHIND.at(hours=9, minutes=_n), privacy_number=mobile(71), to_number=mobile(_n))  # the fraud
    _BEHIND.call(_BEHIND.at(hours=9 + _n), privacy_number=mobile(72), to_number=mobile(_n))  # six in six hours
    _BEHIND.call(_BEHIND.at(hours=9, minutes=_n), privacy_number=mobile(73), to_number=mobile(1))  # always the same
    _BEHIND.call(_BEHIND.at(hours=9, minutes=_n), to_number=mobile(_n))  # without a privacy number

_NIGHT: Final = Day(28)  # a Monday in UTC; Shanghai is eight hours ahead
_NIGHT.answered(60, _NIGHT.at(hours=15), account="night", **cny("8"))  # 23:00
_NIGHT.answered(60, _NIGHT.at(hours=3), account="night", **cny("2"))  # 11:00
_NIGHT.answered(60, _NIGHT.at(days=5, hours=4), account="weekend", **cny("1.5"))  # Saturday at noon
_NIGHT.answered(60, _NIGHT.at(hours=3), account="day", **cny("100"))
_NIGHT.answered(60, _NIGHT.at(hours=16), account="day", **cny("10"))  # Tuesday, 00:00
_NIGHT.answered(60, _NIGHT.at(days=4, hours=13), account="day", **cny("10"))  # Friday, 21:00

_LIMIT: Final = Day(29)
_LIMIT.answered(121 * 60, vendor_call_id="too long")
_LIMIT.answered(30 * 60, vendor_call_id="longer than its binding", quality_flags=(Flag.OVER_MAX,))
_LIMIT.call(_LIMIT.at(hours=21), vendor_call_id="still open", is_final=False, phase=0, end_at=None)
_LIMIT.answered(120 * 60, vendor_call_id="just so")
_LIMIT.call(_LIMIT.at(hours=23), vendor_call_id="begun just now", is_final=False, phase=0, end_at=None)
_LIMIT.call(_LIMIT.at(hours=1), vendor_call_id="closed without an end", is_final=False, phase=1, end_at=None)

_BURST: Final = Day(30)
for _n in range(10):
    _BURST.call(_BURST.at(hours=9, seconds=5 * _n), from_number=mobile(61), to_number=mobile(_n))  # the fraud
    _BURST.call(
        _BURST.at(hours=9, seconds=30 + 5 * _n), from_number=mobile(62), to_number=mobile(_n)
    )  # over two minutes
    _BURST.call(_BURST.at(hours=9, seconds=5 * _n), from_number=mobile(100 + _n))  # ten callers
for _n in range(9):
    _BURST.call(_BURST.at(hours=9, seconds=_n), from_number=mobile(63), to_number=mobile(_n))  # one too few

CASES: Final = (
    Case(
        question="wangiri", day=_WANGIRI, columns="account callers_range calls callers called first_at last_at",
        expected=[("main", "+861710000xxxx", 12, 12, 12, _WANGIRI.at(hours=3), _WANGIRI.at(hours=3, minutes=11))],
    ),
    Case(
        question="first_seen_countries", day=_SEEN, columns="account country calls talk_min cost currencies first_at",
        expected=[("main", "AU", 2, 2.0, Decimal(4), "CNY", _SEEN.at(hours=4))],
    ),
    Case(
        question="premium_numbers", day=_PREMIUM, columns="account prefix prefix_name prefix_kind agent_id calls talk_min cost",
        expected=[("main", "+4490", "Premium of Britain", "premium", "mallory", 3, 15.0, Decimal("29.97"))],
    ),
    Case(
        question="sequential_numbers", day=_SEQUENCE, columns="account caller called run_length run_from run_to",
        expected=[("main", "+86131****0091", 13, 12, mobile(500), mobile(511))],
    ),
    Case(
        question="code_pumping", day=_CODES, columns="account called_range codes numbers answer_rate cost currencies",
        expected=[("main", "+861710000xxxx", 27, 25, 2 / 27, Decimal("1.08"), "CNY")],
    ),
    Case(
        question="overlapping_calls", day=_OVERLAP, columns="account caller answered at_once at_once_at",
        expected=[("main", "+86131****0081", 3, 3, _OVERLAP.at(hours=9, minutes=2, seconds=10))],
    ),
    Case(
        question="many_behind_one_number", day=_BEHIND, columns="account privacy_number window_at calls parties",
        expected=[("main", "+86131****0071", _BEHIND.at(hours=9), 6, 6)],
    ),
    Case(
        question="night_spend", day=_NIGHT, days=7, params={"time_zone": "Asia/Shanghai"}, columns="account currency cost cost_off share calls_off",
        expected=[
            ("night", "CNY", Decimal(10), Decimal(8), 0.8, 1),
            ("weekend", "CNY", Decimal("1.5"), Decimal("1.5"), 1.0, 1),
        ],
    ),
    Case(
        question="calls_over_limit", day=_LIMIT, columns="vendor_call_id is_open talk_min over_its_binding",
        expected=[
            ("too long", 0, 121.0, 0),
            ("longer than its binding", 0, 30.0, 1),
            ("still open", 1, None, 0),
        ],
    ),
    Case(
        question="bursts", day=_BURST, columns="account caller minute_at calls called",
        expected=[("main", "+86131****0061", _BURST.at(hours=9), 10, 10)],
    ),
)  # fmt: skip
