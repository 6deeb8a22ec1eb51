"""The timeline of a two-party call from its record and its states: parties, milestones, amounts, disposition.

Times and numbers: the record's before the states'. Disposition: times, then the record's text, then the states. Money
and billed seconds: the record's alone. A final record without an answer outweighs a pushed answer, which is only
flagged. This module must not know versions, phases or conferences.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from processors.call.moments import believed, of_record, window_of
from processors.column_bounds import LONGEST
from processors.timeline.legs import SKEW, ObservedLeg, complete, guess_roles, leg_of, observed_legs, split_by_time
from processors.timeline.states_only import Pair, by_states, last_release
from schemas.call_fields import CallFields
from schemas.facts import Disposition, Fact, Flag, Leg, NumberKind, RecordingState, Role
from schemas.reading.field_readers import named_reader, reader

# An enum looks a member up each time it is named.
_X: Final = Role.X
_B: Final = Role.B
_A: Final = Role.A
_AVAILABLE: Final = RecordingState.AVAILABLE
_NONE: Final = NumberKind.NONE
_UNKNOWN: Final = Disposition.UNKNOWN
_IN_PROGRESS: Final = Disposition.IN_PROGRESS
_ANSWERED: Final = Disposition.ANSWERED

COMMON: Final = CallFields.__struct_fields__
"""Fields that a fact and a timeline name alike."""
common: Final = named_reader(COMMON)
"""Returns the fields that a timeline takes over from a fact unchanged."""
_OWN_TEXTS: Final = ("custom_ref", "agent_id", "agent_name", "account_id", "binding_id", "recording_url")
"""Fields of a state that each of a call's may have or lack."""
_own_texts: Final = reader(_OWN_TEXTS)
_OF_A_CAUSE: Final = ("hangup_cause", "q850", "sip_code", "hangup_reason", "cause_confidence", "hangup_party")
_cause_of: Final = named_reader(_OF_A_CAUSE)
_MILLISECOND: Final = timedelta(milliseconds=1)
_PARTIES: Final = (_A, _B)
_UNDECIDED: Final = (_UNKNOWN, _IN_PROGRESS)
_NO_REASON: Final = (_ANSWERED, *_UNDECIDED)


def call_view(record: Fact | None, states: Sequence[Fact], *, closed: bool) -> dict[str, Any]:
    """Build the fields of the timeline; `closed`: nothing more is awaited. There is a record or a state."""
    if record is not None and not states:
        view = common(record)
        view["disposition"] = _unless_closed(record.disposition, closed=closed)
        return view
    flags: set[Flag] = set().union(*[fact.quality_flags for fact in states])
    pushed = [fact.event_at for fact in states]
    states = believed(states, (window_of(of_record(record)) if record else None) or window_of(pushed), flags)
    if record is None:
        pairs = _pairs_of_states(states)
        view = _from_states(states, pairs)
    else:
        flags.update(record.quality_flags)
        pairs = _pairs_of_record(record, states, flags)
        view = common(record)
    final = record is not None and record.is_final
    over = final or closed or all(observed.released for _, observed in pairs if observed)
    rang = _rang_last([leg for leg, _ in pairs])
    view.update(_milestones(record, pairs, rang, over=over))
    view.update(_amounts(record, pairs, rang, view, flags))
    view["disposition"] = _disposition(record, pairs, view["answer_at"], closed=closed)
    view["legs"] = tuple([leg for leg, _ in pairs])
    view["display_number"] = _displayed(view, states)
    flags |= _doubts(record, pairs, over=over, closed=closed)
    view["quality_flags"] = tuple(sorted(flags))
    return view


def span_ms(earlier: datetime | None, later: datetime | None, flags: set[Flag]) -> int | None:
    """Return the milliseconds between two instants; None when one is missing, they are in reverse or too far apart."""
    if earlier is None or later is None:
        return None
    span = later - earlier
    if span > LONGEST:
        flags.add(Flag.RANGE_ERROR)
        return None
    if later < earlier:
        if earlier - later > SKEW:
            flags.add(Flag.TIME_ORDER)
        return None
    return span // _MILLISECOND


def _pairs_of_states(states: Sequence[Fact]) -> list[Pair]:
    found = observed_legs(states)
    guessed = guess_roles(found)
    if guessed:
        return [(leg_of(role, observed), observed) for role, observed in guessed.items()]
    return [(leg_of(_X, observed), observed) for observed in found.values()]


def _pairs_of_record(record: Fact, states: Sequence[Fact], flags: set[Flag]) -> list[Pair]:
    """Pair the record's legs with their states, then add the observed legs that belong to no party."""
    legs = record.legs or _parties(record)
    found = observed_legs(states)
    numbers = [leg.number for leg in legs if leg.number]
    given: dict[int, ObservedLeg | None] = {}
    if len(legs) == 2 and len(numbers) == 2 and numbers[0] == numbers[1] and numbers[0] in found:
        flags.add(Flag.SAME_NUMBER)
        number = numbers[0]
        del found[number]
        given[0], given[1] = split_by_time([fact for fact in states if (fact.leg_number or fact.leg) == number])
    else:
        for index, leg in enumerate(legs):
            given[index] = found.pop(leg.number or leg.number_raw, None)
    pairs: list[Pair] = [
        (complete(leg, given[index], final=record.is_final, flags=flags), given[index])
        for index, leg in enumerate(legs)
    ]
    return pairs + [(leg_of(_X, observed), observed) for observed in found.values()]


def _parties(record: Fact) -> tuple[Leg, ...]:
    """Make legs for a record that has none: one per number, with the record's times on the called party's."""
    called = Leg(
        role=_B,
        number=record.to_number,
        number_raw=record.to_raw,
        number_kind=record.to_kind,
        setup_at=record.setup_at,
        alerting_at=record.alerting_at,
        answer_at=record.answer_at,
        end_at=record.end_at,
        disposition=record.disposition,
    )
    caller = Leg(role=_A, number=record.from_number, number_raw=record.from_raw, number_kind=record.from_kind)
    # An erased number leaves its kind behind.
    return tuple(leg for leg in (caller, called) if leg.number or leg.number_raw or leg.number_kind)


def _from_states(states: Sequence[Fact], pairs: Sequence[Pair]) -> dict[str, Any]:
    """Build the fields of a call without a record: common fields, the parties, and the last release's reason."""
    first = min(states, key=lambda fact: (fact.received_at, fact.fact_id))
    view = common(first)
    if len({*map(_own_texts, states)}) > 1:  # mostly all say the same
        for name in _OWN_TEXTS:
            view[name] = min([value for fact in states if (value := getattr(fact, name))], default="")
    if view["recording_url"]:
        view["recording_state"] = _AVAILABLE
    by_role = {leg.role: leg for leg, _ in pairs}
    for side, role in (("from", _A), ("to", _B)):
        leg = by_role.get(role)
        view[f"{side}_number"] = leg.number if leg else None
        view[f"{side}_kind"] = leg.number_kind if leg else _NONE
    last = last_release(pairs)
    if last is not None:
        view.update(_cause_of(last))
    view["is_final"] = False
    return view


def _milestones(
    record: Fact | None, pairs: Sequence[Pair], rang: Leg | None, *, over: bool
) -> dict[str, datetime | None]:
    legs = [leg for leg, _ in pairs]
    final = record is not None and record.is_final
    answer = record.answer_at if record else None
    end = record.end_at if record else None
    if answer is None and not final:
        answer = _believed_answer(pairs)
    if end is None and over:
        end = max((leg.end_at for leg in legs if leg.end_at), default=None)
    setup = record.setup_at if record else None
    alerting = record.alerting_at if record else None
    return {
        "setup_at": setup or min((leg.setup_at for leg in legs if leg.setup_at), default=None),
        "alerting_at": alerting or (rang.alerting_at if rang else None),
        "answer_at": answer,
        "end_at": end,
    }


def _rang_last(legs: Sequence[Leg]) -> Leg | None:
    """The leg on which delay and ringing are measured: B once it was called, else A, else the only one."""
    for role in (_B, _A):
        for leg in legs:
            if leg.role is role and (leg.setup_at or leg.alerting_at):
                return leg
    return legs[0] if len(legs) == 1 else None


def _believed_answer(pairs: Iterable[Pair]) -> datetime | None:
    for leg, observed in pairs:
        if leg.role is _B and observed and observed.answered:
            return leg.answer_at
    return None


def _amounts(
    record: Fact | None, pairs: Sequence[Pair], rang: Leg | None, view: dict[str, Any], flags: set[Flag]
) -> dict[str, int | None]:
    """Compute delay (PDD), ringing and talk in milliseconds; the record's own amounts fill the gaps."""
    pdd = ring = None
    if rang is not None:
        pdd = span_ms(rang.setup_at, rang.alerting_at, flags)
        ring = span_ms(rang.alerting_at, rang.answer_at or rang.end_at or view["end_at"], flags)
    talk = record.talk_ms if record else None
    if talk is None and (record is None or Flag.TIME_ORDER not in record.quality_flags):
        talk = span_ms(view["answer_at"], _disconnected_at(pairs, view["end_at"]), flags)
    if record is None:
        return {"pdd_ms": pdd, "ring_ms": ring, "talk_ms": talk}
    return {
        "pdd_ms": record.pdd_ms if pdd is None else pdd,
        "ring_ms": record.ring_ms if ring is None else ring,
        "talk_ms": talk,
    }


def _disconnected_at(pairs: Sequence[Pair], end: datetime | None) -> datetime | None:
    """The instant at which the two parties ceased to be connected: the earlier of their ends, once the call is over."""
    ends = [leg.end_at for leg, _ in pairs if leg.role in _PARTIES and leg.end_at]
    return min(ends) if end and ends else end


def _unless_closed(disposition: Disposition, *, closed: bool) -> Disposition:
    return _UNKNOWN if closed and disposition is _IN_PROGRESS else disposition


def _disposition(
    record: Fact | None, pairs: Sequence[Pair], answer_at: datetime | None, *, closed: bool
) -> Disposition:
    if answer_at is not None:
        return _ANSWERED
    reported = record.disposition if record else _UNKNOWN
    if reported not in _UNDECIDED:
        return reported
    found = by_states([pair for pair in pairs if pair[1]])
    if record is not None and record.is_final:
        return reported if found in _NO_REASON else found
    if record is not None and found in _UNDECIDED:
        found = _IN_PROGRESS
    return _unless_closed(found, closed=closed)


def _displayed(view: dict[str, Any], states: Sequence[Fact]) -> str | None:
    """The number displayed to the called party; None where it is a party's own number."""
    displayed: str | None = view["display_number"]
    if not displayed:
        numbers = [fact.display_number for fact in states if fact.display_number]
        displayed = min(numbers) if numbers else None
    return None if displayed in {view["from_number"], view["to_number"]} else displayed


def _doubts(record: Fact | None, pairs: Sequence[Pair], *, over: bool, closed: bool) -> set[Flag]:
    doubts: set[Flag] = set()
    for leg, observed in pairs:
        if observed and not observed.in_order:
            doubts.add(Flag.TIME_ORDER)
        if over and observed and observed.lacks_a_state(leg if record else None):
            doubts.add(Flag.MISSING_STATE)
        if record is not None and leg.role is _X:
            doubts.add(Flag.ORPHAN_STATE)
    if record is None and closed:
        doubts.add(Flag.ORPHAN_STATE)
    return doubts
