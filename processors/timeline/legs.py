"""Legs observed by state pushes: the parties called, their milestones, and contradictions with the record.

A leg's number decides its role once the record is there. Before that, of exactly two numbers the one that was called
first is A, as a callback calls its caller first; where the pushes that show the order are missing, roles are unknown.
The earliest instant of a state counts, of releases the latest. The record's times take precedence over the states';
only states give setup and alerting. This module must not know versions.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

import msgspec

from processors.call.folding import NEVER, leg_key
from schemas.facts import Disposition, Fact, Flag, Leg, NumberKind, Role, State

# An enum looks a member up each time it is named.
_ANSWER: Final = State.ANSWER
_RELEASE: Final = State.RELEASE
_SETUP: Final = State.SETUP
_ALERTING: Final = State.ALERTING
_A: Final = Role.A
_B: Final = Role.B
_ANSWERED: Final = Disposition.ANSWERED
_IN_PROGRESS: Final = Disposition.IN_PROGRESS
_UNKNOWN: Final = Disposition.UNKNOWN
_NO_ANSWER: Final = Disposition.NO_ANSWER
_NONE: Final = NumberKind.NONE
_E164: Final = NumberKind.E164
_MASKED: Final = NumberKind.MASKED
_UNVERIFIED: Final = NumberKind.UNVERIFIED

_NO_REASON: Final = (_UNKNOWN, _ANSWERED, _IN_PROGRESS)
_NOT_OVER: Final = (_ANSWERED, _IN_PROGRESS)
SKEW: Final = timedelta(seconds=5)
"""Tolerance: states come from several clocks with a resolution of seconds, so smaller disorder means nothing."""
_NO_STATES: Final[frozenset[State]] = frozenset()
_STATES: Final = (State.SETUP, State.ALERTING, State.ANSWER, State.RELEASE)
_RANG: Final = frozenset({State.SETUP, State.ALERTING})
_RANK: Final = {state: rank for rank, state in enumerate(_STATES)}


class ObservedLeg(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One leg as its state pushes show it."""

    number: str
    """The number in E.164, else as sent."""
    raw: str
    """The number as sent."""
    setup_at: datetime | None = None
    alerting_at: datetime | None = None
    answer_at: datetime | None = None
    end_at: datetime | None = None
    states: frozenset[State] = _NO_STATES
    """The states that came, also without a readable instant."""
    last: Fact | None = None
    """The release that ended the leg and names the reason."""

    @property
    def instants(self) -> tuple[datetime | None, ...]:
        """The leg's instants in the order of rank."""
        return self.setup_at, self.alerting_at, self.answer_at, self.end_at

    @property
    def in_order(self) -> bool:
        """True when the instants agree with the rank, within the skew."""
        known = [at for at in self.instants if at is not None]
        return known == sorted(known) or all(later - earlier >= -SKEW for earlier, later in pairwise(known))

    @property
    def answered(self) -> bool:
        """True for an answer that is not after the release; one that is after it is kept and not believed."""
        if _ANSWER not in self.states:
            return False
        return self.answer_at is None or self.end_at is None or self.answer_at - self.end_at <= SKEW

    @property
    def released(self) -> bool:
        """True when the release came."""
        return _RELEASE in self.states

    def lacks_a_state(self, record_leg: Leg | None) -> bool:
        """True when a state that must have occurred is missing; meaningful once the call is over."""
        if _ANSWER in self.states:
            return not self.states.issuperset(_RANG)
        if not self.released:
            return False
        return _SETUP not in self.states or (record_leg is not None and record_leg.answer_at is not None)


def observed_legs(states: Iterable[Fact]) -> dict[str, ObservedLeg]:
    """Build one leg per number that was called, in the order of the numbers."""
    by_leg: dict[str, list[Fact]] = {}
    for fact in states:
        by_leg.setdefault(leg_key(fact), []).append(fact)
    return {number: _observed_leg(number, by_leg[number]) for number in sorted(by_leg)}


def _observed_leg(number: str, facts: Sequence[Fact]) -> ObservedLeg:
    first: dict[State, datetime] = {}
    end: datetime | None = None
    last: Fact | None = None
    for fact in facts:
        at, state = fact.event_at, fact.state
        if state is _RELEASE:
            if last is None or _release_order(fact) > _release_order(last):
                last = fact
            end = max(end, at) if end and at else at or end
        elif at is not None and (state not in first or at < first[state]):
            first[state] = at
    return ObservedLeg(
        number=number,
        raw=min([fact.leg for fact in facts]),
        setup_at=first.get(_SETUP),
        alerting_at=first.get(_ALERTING),
        answer_at=first.get(_ANSWER),
        end_at=end,
        states=frozenset([fact.state for fact in facts]),
        last=last,
    )


def _release_order(fact: Fact) -> tuple[bool, float, str]:
    return fact.event_at is not None, fact.event_at.timestamp() if fact.event_at else 0.0, fact.fact_id


def split_by_time(states: Sequence[Fact]) -> tuple[ObservedLeg, ObservedLeg | None]:
    """Split one number into two legs (a caller who calls herself): the first of each state is A's, others are B's."""
    timed = sorted(states, key=_event_order)
    known: set[State] = set()
    ours: list[Fact] = []
    theirs: list[Fact] = []
    for fact in timed:
        (theirs if fact.state in known else ours).append(fact)
        known.add(fact.state)
    number = leg_key(timed[0])
    return _observed_leg(number, ours), _observed_leg(number, theirs) if theirs else None


def _event_order(fact: Fact) -> tuple[bool, float, int, str]:
    at = fact.event_at
    return at is None, at.timestamp() if at else 0.0, _RANK.get(fact.state, len(_STATES)), fact.fact_id


def guess_roles(found: dict[str, ObservedLeg]) -> dict[Role, ObservedLeg]:
    """Guess roles while no record names the parties: of exactly two, A is the one called first, where that is known."""
    if len(found) != 2:
        return {}
    first, second = sorted(found.values(), key=_first_active)
    return {_A: first, _B: second} if _called_before(first, second) else {}


def _first_active(observed: ObservedLeg) -> tuple[tuple[datetime, ...], str]:
    """Sort key of a leg's beginning. B is called after A has answered, so any known instant but the release counts."""
    known = tuple(at or NEVER for at in observed.instants[:-1])
    return (min(known), *known), observed.number


def _called_before(first: ObservedLeg, second: ObservedLeg) -> bool:
    """True when the order is certain: both were set up, both answered, or one was active before the other's setup."""
    if first.setup_at and second.setup_at:
        return True
    if first.answer_at and second.answer_at:
        return first.answer_at < second.answer_at
    active_at = min((at for at in first.instants[:-1] if at), default=None)
    return active_at is not None and second.setup_at is not None and active_at < second.setup_at


def leg_of(role: Role, observed: ObservedLeg) -> Leg:
    """Build a leg of which only states are known."""
    reason = observed.last
    return Leg(
        role=role,
        number=observed.number or None,  # an erased one
        number_raw=observed.raw,
        number_kind=_kind(observed.number),
        setup_at=observed.setup_at,
        alerting_at=observed.alerting_at,
        answer_at=observed.answer_at,
        end_at=observed.end_at,
        disposition=observed_disposition(observed),
        hangup_reason=reason.hangup_reason if reason else "",
        q850=reason.q850 if reason else None,
        sip_code=reason.sip_code if reason else None,
    )


def observed_disposition(observed: ObservedLeg) -> Disposition:
    """Disposition of a leg by its states alone: without setup or alerting a missing answer is no "no answer"."""
    if observed.answered:
        return _ANSWERED
    if not observed.released:
        return _IN_PROGRESS
    reported = observed.last.disposition if observed.last else _UNKNOWN
    if reported not in _NO_REASON:
        return reported
    return _UNKNOWN if _RANG.isdisjoint(observed.states) else _NO_ANSWER


def _kind(number: str) -> NumberKind:
    if not number:
        return _NONE
    if number.startswith("+"):
        return _E164
    return _MASKED if "*" in number else _UNVERIFIED


def complete(leg: Leg, observed: ObservedLeg | None, *, final: bool, flags: set[Flag]) -> Leg:
    """Complete the record's leg by its states; a final record without an answer keeps none."""
    if observed is None:
        return leg
    if final and leg.answer_at is None and observed.answered:
        flags.add(Flag.STATE_VS_TIME)
    return msgspec.structs.replace(
        leg,
        number=leg.number or observed.number or None,
        setup_at=leg.setup_at or observed.setup_at,
        alerting_at=leg.alerting_at or observed.alerting_at,
        answer_at=leg.answer_at or (None if final else observed.answer_at),
        end_at=leg.end_at or observed.end_at,
        disposition=_leg_disposition(leg, observed, final=final),
        hangup_reason=leg.hangup_reason or (observed.last.hangup_reason if observed.last else ""),
    )


def _leg_disposition(leg: Leg, observed: ObservedLeg, *, final: bool) -> Disposition:
    if leg.disposition is not _UNKNOWN:
        return leg.disposition
    if leg.answer_at is not None:
        return _ANSWERED
    shown = observed_disposition(observed)
    return _UNKNOWN if final and shown in _NOT_OVER else shown
