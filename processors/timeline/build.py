"""Timelines of a call's state: a pure function of the merged facts and of the timeouts.

Equal versions mean equal content: no clock is read (`versions`). This module must not know how facts arrive.
"""

from typing import Final

from processors.call.moments import started_at
from processors.call.precedence import shown, shown_as_one
from processors.call.slots import slot_for
from processors.call.state import FINAL, OPEN, REOPENED, TIMED_OUT, CallState
from processors.column_bounds import clock
from processors.timeline.conference import conference_view
from processors.timeline.grouping import CONFERENCE, VOICE, CallGroup, group
from processors.timeline.two_party import call_view
from processors.versions import call_version, completeness, standing
from schemas.facts import Fact, FactType, Flag
from schemas.timeline import Timeline

_CALL_TYPES: Final = {CONFERENCE: "conference", VOICE: "voice_code"}
_CALL: Final = "call"
_IN_CALLS: Final = frozenset({FactType.RECORD, FactType.STATE})


def timelines_of(state: CallState) -> tuple[Timeline, ...]:
    """Build the current version of every timeline of the call; none for bindings."""
    late = state.late
    timed_out = state.timed_out >= state.contents
    found = group(state.items.values())
    if not found:
        return ()
    # Over all that is under the key, as merge_count is: a fact may move to another group of the key, whose row must not
    # fall behind.
    facts = [content.fact for item in state.items.values() for content in item.contents]
    weight = completeness(facts), standing(facts)
    return tuple([_timeline(state, one, weight, late=late, timed_out=timed_out) for one in found])


def _timeline(state: CallState, found: CallGroup, weight: tuple[int, int], *, late: bool, timed_out: bool) -> Timeline:
    """Build one timeline; `weight` is completeness and standing of all under the key."""
    items = found.records + found.states
    facts = [content.fact for item in items for content in item.contents]
    states = [*map(shown, found.states)]
    closed = late or timed_out
    if found.family == CONFERENCE and found.records:
        view = conference_view([shown(item) for item in found.records], states, closed=closed)
    else:
        view = call_view(shown_as_one(found.records), states, closed=closed)
    if late or state.overflow:
        own_flags = {flag for flag, is_set in ((Flag.LATE, late), (Flag.OVERFLOW, state.overflow)) if is_set}
        view["quality_flags"] = tuple(sorted({*view["quality_flags"], *own_flags}))
    phase = REOPENED if late else FINAL if view["is_final"] else TIMED_OUT if timed_out else OPEN
    received = [fact.received_at for fact in facts]
    came_first = clock(min(received))
    mapping = max([fact.adapter_version for fact in facts])
    first = _first(found)
    slot = slot_for(state.slots, found.account, facts)
    complete, stands = weight
    view.update(
        timeline_id=first.call_key + found.suffix,
        call_key=first.call_key,
        kind=first.kind,
        has_record=bool(found.records),
        has_states=bool(found.states),
        phase=phase,
        fact_count=len(facts) + sum([item.more for item in items]),
        first_received_at=came_first,
        last_received_at=clock(max(received)),
        version=call_version(state.merge_count, phase, stands, mapping, complete),
        account=found.account,
        call_type=_CALL_TYPES.get(found.family, _CALL),
        started_at=started_at(view) or came_first,
        slot_at=slot.slot_at,
        slot_certain=slot.certain,
    )
    return Timeline(**view)


def _first(found: CallGroup) -> Fact:
    fact = (found.records or found.states)[0].sample
    assert fact.fact_type in _IN_CALLS, "bindings and decisions are no calls"
    return fact
