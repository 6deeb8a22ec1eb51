"""Questions of sales: who calls whom, and with what success."""

from decimal import Decimal
from typing import Any, Final

from schemas.facts import Direction, Flag
from tests.contract.queries.made_days import OURS, Case, Day, mobile
from tests.contract.views.samples import cny

_IN: Final[dict[str, Any]] = {"direction": Direction.INBOUND, "to_number": OURS}

_AGENTS: Final = Day(8)
for _minutes in (2, 1, 0.5):
    _AGENTS.answered(_minutes * 60, agent_id="ann")
_AGENTS.call(agent_id="ann")
_AGENTS.answered(600, agent_id="bob")
_AGENTS.call(agent_id="bob", is_final=False)
_AGENTS.call(agent_id="bob", call_type="conference")
_AGENTS.call()

_HOURS: Final = Day(9)  # nine in Shanghai is one in UTC
for _n in range(4):
    _HOURS.call(_HOURS.at(hours=1, minutes=_n))
_HOURS.answered(9, _HOURS.at(hours=1))
_HOURS.answered(9, _HOURS.at(hours=16))
_HOURS.call(_HOURS.at(hours=16))
_HOURS.answered(9, _HOURS.at(hours=17), from_number=mobile(1), **_IN)

_ATTEMPTS: Final = Day(10)
_ATTEMPTS.answered(9, _ATTEMPTS.at(hours=1), to_number=mobile(1))
_ATTEMPTS.call(_ATTEMPTS.at(hours=2), to_number=mobile(1))
_ATTEMPTS.call(_ATTEMPTS.at(hours=1), to_number=mobile(2))
_ATTEMPTS.call(_ATTEMPTS.at(hours=2), to_number=mobile(2))
_ATTEMPTS.answered(9, _ATTEMPTS.at(hours=3), to_number=mobile(2))
_ATTEMPTS.call(_ATTEMPTS.at(hours=1), to_number=mobile(3))
_ATTEMPTS.answered(9, _ATTEMPTS.at(hours=1), to_number=mobile(4))

_BEFORE: Final = Day(11)
for _n in range(3):
    _BEFORE.answered(60, _BEFORE.at(days=_n), account="grows")
_BEFORE.call(_BEFORE.at(days=-1), account="grows")
for _n in range(5):
    _BEFORE.answered(30, _BEFORE.at(days=-1 - _n), account="shrinks")
_BEFORE.call(_BEFORE.at(days=-8), account="shrinks")
_BEFORE.answered(6, _BEFORE.at(days=1), account="shrinks")

_COUNTRIES: Final = Day(12)
_COUNTRIES.answered(60, to_number=mobile(1), **cny("0.1"))
_COUNTRIES.call(to_number=mobile(2), **cny("0.05"))
_COUNTRIES.answered(60, to_number=mobile(2), quality_flags=(Flag.CONFLICT_FINAL,), **cny("9"))
_COUNTRIES.answered(90, to_number="+447700900123", **cny("2.5"))
_COUNTRIES.call(to_number="+61491570156")
_COUNTRIES.call(to_number="8001")
_COUNTRIES.call(from_number="+12025550100", **_IN)

CASES: Final = (
    Case(
        question="agents", day=_AGENTS, columns="account agent_id calls answered answer_rate talk_min",
        expected=[("main", "ann", 4, 3, 0.75, 3.5), ("main", "bob", 1, 1, 1.0, 10.0)],
    ),
    Case(
        question="answer_rate_by_hour", day=_HOURS, params={"time_zone": "Asia/Shanghai"},
        columns="local_hour calls answered answer_rate", expected=[(0, 2, 1, 0.5), (9, 5, 1, 0.2)],
    ),
    Case(
        question="attempts_until_answer", day=_ATTEMPTS, columns="attempt called share",
        expected=[(0, 1, 0.25), (1, 2, 0.5), (3, 1, 0.25)],
    ),
    Case(
        question="accounts_against_before", day=_BEFORE, days=7, columns="account calls calls_before change talk_min talk_min_before",
        expected=[("shrinks", 1, 5, -4, 0.1, 2.5), ("grows", 3, 1, 2, 3.0, 0.0)],
    ),
    Case(
        question="countries_called", day=_COUNTRIES, columns="country currency calls answered talk_min cost",
        expected=[
            ("CN", "CNY", 3, 2, 2.0, Decimal("0.15")),
            ("", "", 1, 0, 0.0, None),
            ("AU", "", 1, 0, 0.0, None),
            ("GB", "CNY", 1, 1, 1.5, Decimal("2.5")),
        ],
    ),
)  # fmt: skip
