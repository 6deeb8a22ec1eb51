"""The timeline of a conference: one leg for each participant's record, spans and sums over all of them.

Money, billed seconds and the vendor's seconds are sums, as every participant is billed; the talk is from the first
answer to the last end, leaving out instants that cannot be of this conference (`moments`), which stay on their leg. A
state push belongs to a participant only if exactly one has its number. This module must not know versions.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any, Final, TypeVar

import msgspec

from processors.call.folding import NEVER
from processors.call.moments import CallWindow, believed, of_legs, window_of
from processors.column_bounds import total, total_money
from processors.timeline.legs import complete, leg_of, observed_legs
from processors.timeline.two_party import common, span_ms
from schemas.facts import Direction, Disposition, Fact, Flag, Leg, NumberKind, RecordingState, Role

_NO_CONFERENCE: Final = ("conference_id", "0")
"""Some platforms write this where there is no conference."""
_OF_NO_PARTICIPANT: Final = ("from_number", "to_number", "display_number", "privacy_number")
T = TypeVar("T")


def conference_view(records: Sequence[Fact], states: Sequence[Fact], *, closed: bool) -> dict[str, Any]:
    """Build the fields of the timeline; `closed`: nothing more is awaited. There is at least one record."""
    if len(records) == 1:
        flags = {Flag.PEER_UNKNOWN, *records[0].quality_flags}
    else:
        flags = {flag for fact in records for flag in fact.quality_flags}
    flags.update(flag for fact in states for flag in fact.quality_flags)
    ordered = sorted(records, key=lambda fact: (fact.received_at, fact.fact_id))
    view = common(ordered[0])
    if len(records) > 1:
        view.update(dict.fromkeys(_OF_NO_PARTICIPANT))
        view.update(from_kind=NumberKind.NONE, to_kind=NumberKind.NONE)
    named = [(leg, fact.is_final) for fact in records for leg in _legs_of(fact)]
    window = window_of(of_legs(leg for leg, _ in named))
    states = believed(states, window or window_of(fact.event_at for fact in states), flags)
    legs = _legs(named, states, flags)
    if states:
        window = window_of(of_legs(legs))
    answer = min(_held(window, (leg.answer_at for leg in legs), flags), default=None)
    end = max(_held(window, (leg.end_at for leg in legs), flags), default=None)
    view.update(
        direction=Direction.CONFERENCE,
        legs=legs,
        setup_at=min(_held(window, (leg.setup_at for leg in legs), flags), default=None),
        alerting_at=min(_held(window, (leg.alerting_at for leg in legs), flags), default=None),
        answer_at=answer,
        end_at=end,
        talk_ms=span_ms(answer, end, flags),
        vendor_duration_s=total((fact.vendor_duration_s for fact in records), flags),
        billable_s=total((fact.billable_s for fact in records), flags),
        disposition=_disposition(records, answered=any(leg.answer_at for leg in legs), closed=closed),
        is_final=all(fact.is_final for fact in records),
        **_money(records, flags),
        **_texts(ordered, flags),
    )
    view["quality_flags"] = tuple(sorted(flags))
    return view


def _legs(legs: list[tuple[Leg, bool]], states: Sequence[Fact], flags: set[Flag]) -> tuple[Leg, ...]:
    """Complete the records' legs, each with whether its record is final, by the states, and put them in order."""
    orphans: list[Leg] = []
    if states:
        found = observed_legs(states)
        alike = Counter(leg.number or leg.number_raw for leg, _ in legs)
        legs = [
            (complete(leg, found.pop(number, None) if alike[number] == 1 else None, final=final, flags=flags), final)
            for leg, final, number in ((leg, final, leg.number or leg.number_raw) for leg, final in legs)
        ]
        orphans = [leg_of(Role.X, observed) for observed in found.values()]
        if orphans:
            flags.add(Flag.ORPHAN_STATE)
    return (*_in_order([leg for leg, _ in legs]), *orphans)


def _legs_of(fact: Fact) -> tuple[Leg, ...]:
    return fact.legs or (_participant(fact),)


def _participant(fact: Fact) -> Leg:
    called = bool(fact.to_number or fact.to_raw)
    return Leg(
        role=Role.P,
        number=fact.to_number if called else fact.from_number,
        number_raw=fact.to_raw if called else fact.from_raw,
        number_kind=fact.to_kind if called else fact.from_kind,
        setup_at=fact.setup_at,
        alerting_at=fact.alerting_at,
        answer_at=fact.answer_at,
        end_at=fact.end_at,
        disposition=fact.disposition,
        hangup_reason=fact.hangup_reason,
        q850=fact.q850,
        sip_code=fact.sip_code,
    )


def _in_order(legs: Sequence[Leg]) -> list[Leg]:
    """Sort legs by all that they say; beyond the first few fields only where two are alike in these."""
    ordered = sorted(((_leg_order(leg), index) for index, leg in enumerate(legs)))
    if any(one == other for (one, _), (other, _) in pairwise(ordered)):
        return sorted(legs, key=lambda leg: (*_leg_order(leg), msgspec.json.encode(leg)))
    return [legs[index] for _, index in ordered]


def _leg_order(leg: Leg) -> tuple[Any, ...]:
    return leg.answer_at or NEVER, leg.number or "", leg.number_raw, leg.end_at or NEVER


def _known(values: Iterable[T | None]) -> list[T]:
    return [value for value in values if value is not None]


def _held(window: CallWindow | None, instants: Iterable[datetime | None], flags: set[Flag]) -> list[datetime]:
    """List the instants that can be of this conference."""
    known = _known(instants)
    held = [at for at in known if window and window.holds(at)]
    if len(held) < len(known):
        flags.add(Flag.TIME_ORDER)
    return held


def _money(records: Sequence[Fact], flags: set[Flag]) -> dict[str, Any]:
    currencies = sorted({fact.currency for fact in records if fact.cost is not None})
    if len(currencies) > 1:
        flags.add(Flag.FIELD_CONFLICT)
        return {"cost": None, "currency": ""}
    cost = total_money((fact.cost for fact in records), flags)
    return {"cost": cost, "currency": currencies[0] if currencies and cost is not None else ""}


def _texts(ordered: Sequence[Fact], flags: set[Flag]) -> dict[str, Any]:
    """Fields that should be the same on every participant: the first value counts, another one is flagged."""
    texts: dict[str, Any] = {}
    for name in ("conference_id", "custom_ref"):
        known = [text for fact in ordered if (text := getattr(fact, name)) and (name, text) != _NO_CONFERENCE]
        texts[name] = known[0] if known else ""
        if len(set(known)) > 1:
            flags.add(Flag.FIELD_CONFLICT)
    recorded = [fact for fact in ordered if fact.recording_url] or [
        fact for fact in ordered if fact.recording_state is not RecordingState.UNKNOWN
    ]
    if recorded:
        texts.update(recording_state=recorded[0].recording_state, recording_url=recorded[0].recording_url)
    return texts


def _disposition(records: Sequence[Fact], *, answered: bool, closed: bool) -> Disposition:
    found = {fact.disposition for fact in records}
    if answered or Disposition.ANSWERED in found:
        return Disposition.ANSWERED
    if len(found) > 1:
        return Disposition.IN_PROGRESS if Disposition.IN_PROGRESS in found and not closed else Disposition.NO_ANSWER
    only = found.pop()
    return Disposition.UNKNOWN if closed and only is Disposition.IN_PROGRESS else only
