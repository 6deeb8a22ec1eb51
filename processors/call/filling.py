"""Filling: the fields that one content of a record takes over from another that agrees with it.

A final content takes no outcome and no amount from an unfinished one: those were interim. Spans are taken over only
together with the instants that they lie between. Pure; this module must not know which contents agree.
"""

from typing import Any, Final

import msgspec

from processors.call.agreement import answered, blank, cause_known
from schemas.call_fields import OUTCOME, SPANS, fields_of, groups
from schemas.facts import Disposition, Fact, FactType, Leg

_TOGETHER: Final = groups()
"""Fields that only mean something together: filled as one, from one content."""
_ALONE: Final = fields_of("gap")
_CAUSE: Final = fields_of("cause")
_LEG_TIMES: Final = ("number", "setup_at", "alerting_at", "answer_at", "end_at")
_LEG_CAUSE: Final = ("disposition", "hangup_reason", "q850", "sip_code")


def fill(best: Fact, other: Fact) -> dict[str, Any]:
    """Return the fields that `other` knows and `best` does not."""
    partly = best.fact_type is FactType.RECORD and best.is_final and not other.is_final
    filled: dict[str, Any] = {}
    for name in _ALONE:
        if blank(getattr(best, name)) and not blank(getattr(other, name)):
            filled[name] = getattr(other, name)
    if partly and answered(best) is not True:
        filled.pop("answer_at", None)
    for names in _TOGETHER:
        if all(blank(getattr(best, name)) for name in names[:2]) and not all(
            blank(getattr(other, name)) for name in names[:2]
        ):
            filled.update({name: getattr(other, name) for name in names})
    for name, instants in SPANS.items():
        ours = [filled.get(at, getattr(best, at)) for at in instants]
        if getattr(best, name) is None and ours == [getattr(other, at) for at in instants]:
            filled[name] = getattr(other, name)
    better_cause = not partly and _fill_cause(best, other, filled)
    legs = _fill_legs(best.legs, other.legs, better_cause=better_cause, partly=partly)
    if legs != best.legs:
        filled["legs"] = legs
    if partly:
        return {name: value for name, value in filled.items() if name not in OUTCOME}
    return {name: value for name, value in filled.items() if value != getattr(best, name)}


def _fill_cause(best: Fact, other: Fact, filled: dict[str, Any]) -> bool:
    """Take over a cause that is better known; returns whether it is."""
    better = cause_known(lambda name: getattr(other, name)) > cause_known(lambda name: getattr(best, name))
    if better:
        filled.update({name: getattr(other, name) for name in _CAUSE})
    if better and (best.disposition is Disposition.ANSWERED or blank(other.disposition)):
        del filled["disposition"]
    elif blank(best.disposition) and not blank(other.disposition):
        filled["disposition"] = other.disposition
    return better


def _fill_legs(legs: tuple[Leg, ...], others: tuple[Leg, ...], *, better_cause: bool, partly: bool) -> tuple[Leg, ...]:
    if not legs:
        return others
    return tuple(_fill_leg(leg, others, better_cause=better_cause, partly=partly) for leg in legs)


def _fill_leg(leg: Leg, others: tuple[Leg, ...], *, better_cause: bool, partly: bool) -> Leg:
    for other in others:
        if other.role is not leg.role or (leg.number and other.number and leg.number != other.number):
            continue
        ended = leg.disposition not in {Disposition.UNKNOWN, Disposition.IN_PROGRESS, Disposition.ANSWERED}
        names = [
            name
            for name in _LEG_TIMES
            if getattr(leg, name) is None
            and getattr(other, name) is not None
            and not (name == "answer_at" and ended)
            and not (name == "end_at" and partly)
        ]
        unknown = not leg.hangup_reason and leg.q850 is None
        if (unknown or better_cause) and not partly and leg.disposition is not Disposition.ANSWERED:
            names += [name for name in _LEG_CAUSE if not blank(getattr(other, name))]
        if names:
            leg = msgspec.structs.replace(leg, **{name: getattr(other, name) for name in names})
    return leg
