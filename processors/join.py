"""The joiner's decisions: one fact or one deadline in, the call's new state and what to publish out. Pure.

`now_ms` is the record clock of the facts partition, never the wall clock, and nothing depends on whether a due timeout
was carried out before or after a fact: so a replay decides alike. The outcome is how the fact counts: fact (new),
update or conflict (a new content of a known item), duplicate (a known content at a new place of the raw log), replayed
(at a known place: nothing new, the current version goes out again), timeout, expired; told for news of a large call
that waited (`store/telling.py`).
"""

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from processors.call.agreement import conflicting
from processors.call.contents import Content, Item, item_of
from processors.call.duplicates import Arrival, Arrivals, add, arrival_of, is_folded, knows, mark_folded
from processors.call.folding import fold_item, fold_items
from processors.call.precedence import normalized
from processors.call.slots import Slots, slot_for, sure_since, with_slot
from processors.call.state import CallState, Tally, merge_states, new_item, tally_of
from processors.column_bounds import bounded
from processors.timeline.build import timelines_of
from schemas.config.settings import JoinSettings
from schemas.facts import Fact, FactType
from schemas.timeline import Timeline

# An enum looks a member up each time it is named.
_RESOLUTION: Final = FactType.RESOLUTION

JoinOutcome = Literal["fact", "update", "conflict", "duplicate", "replayed", "timeout", "expired", "told"]
_MS: Final = 1000


class JoinResult(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The effect of one fact or one deadline."""

    state: CallState | None
    """The call's new state; None: forget the call."""
    outcome: JoinOutcome
    normalized: Fact | None = None
    """The item's current version, if it is to be published."""
    shown: CallState | None = None
    """The state whose timelines are to be published; of several results for one call only the last one's matter."""
    first_place: bool = False
    """True for a fact that is replayed from the place at which its content was received first."""

    @property
    def timelines(self) -> tuple[Timeline, ...]:
        """Build the current version of every timeline of the call; none when nothing is published."""
        return timelines_of(self.shown) if self.shown else ()


def step(
    state: CallState | None, fact: Fact, now_ms: int, settings: JoinSettings, sure_since_s: float | None = None
) -> JoinResult:
    """Join one fact into its call's state, None for a call that is not known.

    `sure_since_s` is that of `with_slot`, None where the record clock alone says it.
    """
    fact = bounded(fact)
    since_s = sure_since(now_ms, settings.horizon_s) if sure_since_s is None else sure_since_s
    if state is None or now_ms >= state.touched_ms + settings.horizon_s * _MS:
        return _new_call(fact, now_ms, settings, since_s)
    slots = with_slot(state.slots, fact, state.items.values(), now_ms, since_s)
    if slots is not state.slots:
        state = msgspec.structs.replace(state, slots=slots)
    item = state.items.get(fact.fact_id)
    known = _content(item, fact.content_digest)
    if item is not None and known is not None:
        first, arrival = arrival_of(known.fact), arrival_of(fact)
        if knows(first, known.arrivals, arrival) or is_folded(state.folded_up_to, arrival):
            return _publish(state, "replayed", item, first_place=first.same_place(arrival))
        return _duplicate(state, item, known, fact, add(first, known.arrivals, arrival))
    if state.overflow and is_folded(state.folded_up_to, arrival_of(fact)):
        return _publish(state, "replayed", item or new_item(fact))
    return _add_content(state, item, fact, now_ms, settings)


def timeout(state: CallState, now_ms: int, settings: JoinSettings) -> JoinResult:
    """Carry out what is due at `now_ms`; called when `now_ms >= state.deadline_ms`."""
    open_until = _open_until(state.tally, state.contents, state.timed_out, state.touched_ms, settings)
    if now_ms >= state.touched_ms + settings.horizon_s * _MS:
        unpublished = open_until is not None
        last = msgspec.structs.replace(state, timed_out=state.contents)
        return JoinResult(state=None, outcome="expired", shown=last if unpublished else None)
    if open_until is None or now_ms < open_until:
        return JoinResult(state=_with_deadline(state, settings), outcome="timeout")
    closed = _with_deadline(msgspec.structs.replace(state, timed_out=state.contents), settings)
    return JoinResult(state=closed, outcome="timeout", shown=closed)


def merge_stored(left: CallState, right: CallState, settings: JoinSettings) -> CallState:
    """Merge two stored states of one call: the later one contains the earlier, unless a zombie wrote one of them."""
    return _with_deadline(merge_states(left, right), settings)


def _new_call(fact: Fact, now_ms: int, settings: JoinSettings, sure_since_s: float) -> JoinResult:
    item = new_item(fact)
    slots = with_slot({}, fact, (), now_ms, sure_since_s)
    tally = tally_of((item,))
    state = CallState(
        items={fact.fact_id: item},
        contents=1,
        duplicates=0,
        merge_count=1,
        touched_ms=now_ms,
        deadline_ms=_deadline_ms(tally, 1, 0, now_ms, settings),
        slots=slots,
        tally=tally,
    )
    return _publish(state, "fact", item)


def _add_content(state: CallState, item: Item | None, fact: Fact, now_ms: int, settings: JoinSettings) -> JoinResult:
    """Add a content that is not known: a new item, or another version of one."""
    late = _is_late(state, fact, now_ms, settings)
    gone: Sequence[Arrival] = ()
    if item is None:
        grown = new_item(fact, late=late)
    else:
        contents = (*item.every, Content(fact=fact, late=late))
        grown, gone = fold_item(item_of(contents, item.more), settings.max_contents)
    items, gone_too = fold_items({**state.items, fact.fact_id: grown}, fact, settings.max_contents)
    tally = tally_of(items.values()) if gone_too else state.tally.changed(item, grown)
    count, timed_out = state.contents + 1, state.timed_out
    if fact.fact_type is _RESOLUTION and timed_out >= state.contents:
        timed_out = count  # a decision brings no news of the call
    touched_ms = max(state.touched_ms, now_ms)
    learned = msgspec.structs.replace(
        state,
        items=items,
        tally=tally,
        contents=count,
        merge_count=state.merge_count + 1,
        timed_out=timed_out,
        touched_ms=touched_ms,
        deadline_ms=_deadline_ms(tally, count, timed_out, touched_ms, settings),
    )
    if gone or gone_too:
        folded = mark_folded(state.folded_up_to, *gone, *gone_too)
        learned = msgspec.structs.replace(learned, folded_up_to=folded, overflow=True)
    return _publish(learned, _outcome(item, fact), grown)


def _is_late(state: CallState, fact: Fact, now_ms: int, settings: JoinSettings) -> bool:
    """True when the fact comes after the call was closed; a call of which only a decision is known never was."""
    return (
        now_ms >= state.touched_ms + settings.close_after_s * _MS
        and fact.fact_type in {FactType.RECORD, FactType.STATE}
        and any(item.contents for item in state.items.values())
    )


def _outcome(item: Item | None, fact: Fact) -> JoinOutcome:
    if item is None or not item.contents or fact.fact_type is _RESOLUTION:
        return "fact"
    return "conflict" if any(conflicting(content.fact, fact) for content in item.contents) else "update"


def _duplicate(
    state: CallState, item: Item, known: Content, fact: Fact, added: tuple[Arrival, Arrivals, tuple[Arrival, ...]]
) -> JoinResult:
    """Record one more arrival; nothing is published unless it was received before all others."""
    first, arrivals, gone = added
    earlier = first == arrival_of(fact)
    content = msgspec.structs.replace(known, fact=fact if earlier else known.fact, arrivals=arrivals)
    grown = item_of((content if each is known else each for each in item.every), item.more)
    learned = msgspec.structs.replace(
        state,
        items={**state.items, fact.fact_id: grown},
        duplicates=state.duplicates + 1,
        merge_count=state.merge_count + arrivals.merge_count - known.arrivals.merge_count,
        folded_up_to=mark_folded(state.folded_up_to, *gone) if gone else state.folded_up_to,
    )
    return _publish(learned, "duplicate", grown) if earlier else JoinResult(state=learned, outcome="duplicate")


def _content(item: Item | None, digest: str) -> Content | None:
    if item is None:
        return None
    return next((content for content in item.every if content.fact.content_digest == digest), None)


def _publish(state: CallState, outcome: JoinOutcome, item: Item, *, first_place: bool = False) -> JoinResult:
    row = _placed(normalized(item), state.slots) if item.contents else None
    return JoinResult(state=state, outcome=outcome, normalized=row, shown=state, first_place=first_place)


def _placed(fact: Fact, slots: Slots) -> Fact:
    """Return the fact in its call's slot; nearly always it is there already, and its bytes go on as they are."""
    slot = slot_for(slots, fact.account, [fact])
    if fact.slot_at == slot.slot_at and fact.slot_certain == slot.certain:
        return fact
    return msgspec.structs.replace(fact, slot_at=slot.slot_at, slot_certain=slot.certain)


def _open_until(tally: Tally, contents: int, timed_out: int, touched_ms: int, settings: JoinSettings) -> int | None:
    """The record clock until which more facts are awaited; None when none are."""
    if timed_out >= contents or tally.late or tally.settled:
        return None
    return touched_ms + (settings.close_after_s if tally.records else settings.provisional_after_s) * _MS


def _deadline_ms(tally: Tally, contents: int, timed_out: int, touched_ms: int, settings: JoinSettings) -> int:
    forget = touched_ms + settings.horizon_s * _MS
    open_until = _open_until(tally, contents, timed_out, touched_ms, settings)
    return forget if open_until is None or forget < open_until else open_until


def _with_deadline(state: CallState, settings: JoinSettings) -> CallState:
    deadline = _deadline_ms(state.tally, state.contents, state.timed_out, state.touched_ms, settings)
    return state if deadline == state.deadline_ms else msgspec.structs.replace(state, deadline_ms=deadline)


__all__ = ["CallState", "JoinOutcome", "JoinResult", "merge_states", "merge_stored", "step", "timeout"]
