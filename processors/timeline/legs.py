"""From state pushes to legs: who is rung, when, and what contradicts what.

A leg's number decides its role once the record is there. Before that, of exactly two numbers the one that was rung first is
A, as a callback rings its caller first; where the pushes that tell which one that was are missing, roles are unknown. Per state
the earliest instant counts, of releases the latest. The record's times stand above the states'; states alone give setup and alerting. This module must not know versions.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

import msgspec

from processors.call.folding import NEVER, leg_key
from schemas.facts import Disposition, Fact, Flag, Leg, NumberKind, Role, State

SKEW: Final = timedelta(seconds=5)
"""States come from several clocks with a resolution of seconds: less than this out of order is no news."""
_NO_STATES: Final[frozenset[State]] = frozenset()
_STATES: Final = (State.SETUP, State.ALERTING, State.ANSWER, State.RELEASE)
_RANG: Final = frozenset({State.SETUP, State.ALERTING})
_RANK: Final = {state: rank for rank, state in enumerate(_STATES)}


class ObservedLeg(msgspec.Struct, frozen=True, kw_only=True):
    """What the states say of one leg."""

    number: str
    """E.164, else as sent."""
    raw: str
    """As sent."""
    setup_at: datetime | None = None
    alerting_at: datetime | None = None
    answer_at: datetime | None = None
    end_at: datetime | None = None
    states: frozenset[State] = _NO_STATES
    """Those seen, also without a readable instant."""
    last: Fact | None = None
    """The release that ended it: names the reason."""

    @property
    def instants(self) -> tuple[datetime | None, ...]:
        """In the order of rank."""
        return self.setup_at, self.alerting_at, self.answer_at, self.end_at

    @property
    def in_order(self) -> bool:
        """Whether the instants agree with the rank, within the skew."""
        known = [at for at in self.instants if at is not None]
        return all(later - earlier >= -SKEW for earlier, later in pairwise(known))

    @property
    def answered(self) -> bool:
        """An answer that is not after the release: that one is kept, and not believed."""
        if State.ANSWER not in self.states:
            return False
        return self.answer_at is None or self.end_at is None or self.answer_at - self.end_at <= SKEW

    @property
    def released(self) -> bool:
        """Whether its release came."""
        return State.RELEASE in self.states

    def lacks_a_state(self, record_leg: Leg | None) -> bool:
        """Whether a state that must have been is missing: asked when the call is over."""
        if State.ANSWER in self.states:
            return not {State.SETUP, State.ALERTING} <= self.states
        if not self.released:
            return False
        return State.SETUP not in self.states or (record_leg is not None and record_leg.answer_at is not None)


def rungs(states: Iterable[Fact]) -> dict[str, ObservedLeg]:
    """One leg per number that was rung, in the order of the numbers."""
    by_leg: dict[str, list[Fact]] = {}
    for fact in states:
        by_leg.setdefault(leg_key(fact), []).append(fact)
    return {number: _rung(number, by_leg[number]) for number in sorted(by_leg)}


def _rung(number: str, facts: Sequence[Fact]) -> ObservedLeg:
    first: dict[State, datetime] = {}
    end: datetime | None = None
    last: Fact | None = None
    for fact in facts:
        at = fact.event_at
        if fact.state is State.RELEASE:
            if last is None or _release_order(fact) > _release_order(last):
                last = fact
            end = max(end, at) if end and at else at or end
        elif at is not None and (fact.state not in first or at < first[fact.state]):
            first[fact.state] = at
    return ObservedLeg(
        number=number,
        raw=min(fact.leg for fact in facts),
        setup_at=first.get(State.SETUP),
        alerting_at=first.get(State.ALERTING),
        answer_at=first.get(State.ANSWER),
        end_at=end,
        states=frozenset(fact.state for fact in facts),
        last=last,
    )


def _release_order(fact: Fact) -> tuple[bool, float, str]:
    return fact.event_at is not None, fact.event_at.timestamp() if fact.event_at else 0.0, fact.fact_id


def split_by_time(states: Sequence[Fact]) -> tuple[ObservedLeg, ObservedLeg | None]:
    """Two legs on one number (a caller who calls herself): of each state the first is A's, the others are B's."""
    timed = sorted(states, key=_event_order)
    seen: set[State] = set()
    ours: list[Fact] = []
    theirs: list[Fact] = []
    for fact in timed:
        (theirs if fact.state in seen else ours).append(fact)
        seen.add(fact.state)
    number = leg_key(timed[0])
    return _rung(number, ours), _rung(number, theirs) if theirs else None


def _event_order(fact: Fact) -> tuple[bool, float, int, str]:
    at = fact.event_at
    return at is None, at.timestamp() if at else 0.0, _RANK.get(fact.state, len(_STATES)), fact.fact_id


def guess_roles(found: dict[str, ObservedLeg]) -> dict[Role, ObservedLeg]:
    """Roles while no record names the parties: of exactly two A is the one that was rung first, where that can be told."""
    if len(found) != 2:
        return {}
    first, second = sorted(found.values(), key=_first_active)
    return {Role.A: first, Role.B: second} if _rung_before(first, second) else {}


def _first_active(rung: ObservedLeg) -> tuple[tuple[datetime, ...], str]:
    """B is called after A has answered: whatever is known of both tells; a release tells nothing."""
    known = tuple(at or NEVER for at in rung.instants[:-1])
    return (min(known), *known), rung.number


def _rung_before(first: ObservedLeg, second: ObservedLeg) -> bool:
    """Whether both were set up, both answered, or the one was heard of before the other's setup."""
    if first.setup_at and second.setup_at:
        return True
    if first.answer_at and second.answer_at:
        return first.answer_at < second.answer_at
    heard = min((at for at in first.instants[:-1] if at), default=None)
    return heard is not None and second.setup_at is not None and heard < second.setup_at


def leg_of(role: Role, rung: ObservedLeg) -> Leg:
    """A leg that only states know."""
    reason = rung.last
    return Leg(
        role=role,
        number=rung.number,
        number_raw=rung.raw,
        number_kind=_kind(rung.number),
        setup_at=rung.setup_at,
        alerting_at=rung.alerting_at,
        answer_at=rung.answer_at,
        end_at=rung.end_at,
        disposition=rung_disposition(rung),
        hangup_reason=reason.hangup_reason if reason else "",
        q850=reason.q850 if reason else None,
        sip_code=reason.sip_code if reason else None,
    )


def rung_disposition(rung: ObservedLeg) -> Disposition:
    """How a leg ended by its states alone: who was not seen ringing was not seen not to answer."""
    if rung.answered:
        return Disposition.ANSWERED
    if not rung.released:
        return Disposition.IN_PROGRESS
    said = rung.last.disposition if rung.last else Disposition.UNKNOWN
    if said not in {Disposition.UNKNOWN, Disposition.ANSWERED, Disposition.IN_PROGRESS}:
        return said
    return Disposition.UNKNOWN if _RANG.isdisjoint(rung.states) else Disposition.NO_ANSWER


def _kind(number: str) -> NumberKind:
    if number.startswith("+"):
        return NumberKind.E164
    return NumberKind.MASKED if "*" in number else NumberKind.UNVERIFIED


def complete(leg: Leg, rung: ObservedLeg | None, *, final: bool, flags: set[Flag]) -> Leg:
    """The record's leg with what only the states know; a final record's silence about an answer stands."""
    if rung is None:
        return leg
    if final and leg.answer_at is None and rung.answered:
        flags.add(Flag.STATE_VS_TIME)
    return msgspec.structs.replace(
        leg,
        number=leg.number or rung.number,
        setup_at=leg.setup_at or rung.setup_at,
        alerting_at=leg.alerting_at or rung.alerting_at,
        answer_at=leg.answer_at or (None if final else rung.answer_at),
        end_at=leg.end_at or rung.end_at,
        disposition=_leg_disposition(leg, rung, final=final),
        hangup_reason=leg.hangup_reason or (rung.last.hangup_reason if rung.last else ""),
    )


def _leg_disposition(leg: Leg, rung: ObservedLeg, *, final: bool) -> Disposition:
    if leg.disposition is not Disposition.UNKNOWN:
        return leg.disposition
    if leg.answer_at is not None:
        return Disposition.ANSWERED
    said = rung_disposition(rung)
    return Disposition.UNKNOWN if final and said in {Disposition.ANSWERED, Disposition.IN_PROGRESS} else said
