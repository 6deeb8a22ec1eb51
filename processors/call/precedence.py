"""One item with several contents: the one that is shown, what the others fill in, and whether they conflict.

A vendor sends a record again to correct it, to complete it, or by mistake with other values. The answer depends only on
the set of contents, never on the order of their arrival. The best content (`contents`) is shown whole: others fill what
it leaves open as long as they agree with it and with each other (`agreement`); nothing is taken from those that
contradict it, and all of them stay readable beside it. This module knows no calls.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from processors.call.agreement import Disagreement, compatible, disagreement
from processors.call.contents import Content, ContentDecision, Item, best_first, current, decision_of
from processors.call.filling import fill
from processors.versions import completeness, first_version, record_version, standing
from schemas.facts import EPOCH, Fact, Flag, RecordContent, RecordingState

_OF_A_CONTENT: Final = tuple(name for name in RecordContent.__struct_fields__ if name not in {"digest", "is_shown"})
"""Fields that a fact and a record's content name alike."""
_MOST_LATELY: Final = 64
_lately: Final[dict[int, tuple[Item, tuple[Fact, tuple[RecordContent, ...]]]]] = {}
"""The items that were merged last, by their identity, as nothing changes an item, with what came of it."""


def shown(item: Item) -> Fact:
    """Merge the item as a timeline shows it; its version does not count there. The item has at least one content."""
    contents = item.contents
    first = contents[0]
    if len(contents) == 1 and not first.late and not item.more:
        return first.fact
    return _merged_once(item)[0]


def normalized(item: Item) -> Fact:
    """Merge the item as it goes to `calls.normalized`, with its version and the contents that contradict each other."""
    contents = item.contents
    first = contents[0]
    if len(contents) == 1 and not (item.resolutions or first.late or item.more or first.arrivals.shuffled):
        fact = first.fact  # as nearly all
        version = first_version(fact, fact.adapter_version)
        if fact.version == version and not fact.contents:
            return fact
        return msgspec.structs.replace(fact, version=version, contents=())
    facts = [content.fact for content in contents]
    fact, readable = (shown(item), ()) if len(facts) == 1 else _merged_once(item)
    version = record_version(
        item.merge_count,
        complete=completeness(facts),
        final=fact.is_final,
        stands=standing(facts),
        mapping=max(each.adapter_version for each in facts),
    )
    if fact.version == version and not readable and not fact.contents:
        return fact
    return msgspec.structs.replace(fact, version=version, contents=readable)


def shown_as_one(items: Iterable[Item]) -> Fact | None:
    """Merge several items that describe the same call as if they were contents of one; None when there are none."""
    found = tuple(items)
    if not found:
        return None
    return shown(found[0]) if len(found) == 1 else _merged(found)[0]


def _merged_once(item: Item) -> tuple[Fact, tuple[RecordContent, ...]]:
    """Merge one item; the record is made of it and soon after the timeline, which costs as much as ten usual facts."""
    known = _lately.get(id(item))
    if known is None or known[0] is not item:
        if len(_lately) >= _MOST_LATELY:
            _lately.clear()
        known = _lately[id(item)] = item, _merged((item,))
    return known[1]


def _merged(items: Sequence[Item]) -> tuple[Fact, tuple[RecordContent, ...]]:
    """Merge the contents; returns the result and those that contradict each other."""
    contents = [content for item in items for content in item.contents]
    decisions = [decision for item in items if (decision := decision_of(item))]
    ordered = best_first(current(contents), [decision.kept for decision in decisions])
    best, *others = facts = [content.fact for content in ordered]
    used = [best]
    fact, flags = best, set(best.quality_flags)
    for other in others:
        if not compatible(fact, other):
            continue
        used.append(other)
        if filled := fill(fact, other):
            flags.update(other.quality_flags)
            fact = msgspec.structs.replace(fact, **filled)
    found = disagreement(facts)
    flags |= _flags(found, ordered, decisions)
    if any(content.late for content in contents):
        flags.add(Flag.LATE)
    if any(item.more for item in items):
        flags.add(Flag.OVERFLOW)
    fact = msgspec.structs.replace(
        fact,
        **_recording(used),
        custom_ref=best.custom_ref or _first_ref(used),
        extras=_extras(used),
        quality_flags=tuple(sorted(flags)),
    )
    return fact, _readable(facts) if found.final or found.reason else ()


def _flags(found: Disagreement, ordered: Sequence[Content], decisions: Sequence[ContentDecision]) -> set[Flag]:
    flags: set[Flag] = set()
    if decisions and (found.final or found.reason):
        flags.add(Flag.CONFLICT_RESOLVED)
        open_still = disagreement(_undecided(ordered, decisions))
        found = msgspec.structs.replace(found, final=open_still.final, reason=open_still.reason)
    if found.final:
        flags.add(Flag.CONFLICT_FINAL)
    if found.reason or found.minor:
        flags.add(Flag.FIELD_CONFLICT)
    return flags


def _undecided(ordered: Sequence[Content], decisions: Sequence[ContentDecision]) -> list[Fact]:
    """The contents that may still contradict each other after the decisions: those kept, and those received since.

    A decision covers the contents that were known then. One that came before there was anything to decide covers all.
    """
    by_item = {decision.kept.fact.fact_id: decision for decision in decisions}
    left: list[Fact] = []
    for content in ordered:
        decision = by_item.get(content.fact.fact_id)
        if decision is None or content == decision.kept or _is_newer(content.fact, ordered, decision):
            left.append(content.fact)
    return left


def _is_newer(fact: Fact, ordered: Sequence[Content], decision: ContentDecision) -> bool:
    decided_at = decision.resolution.received_at
    if fact.received_at <= decided_at:
        return False
    known_then = [
        content.fact
        for content in ordered
        if content.fact.fact_id == fact.fact_id and content.fact.received_at <= decided_at
    ]
    return decision.kept.fact in known_then and len(known_then) > 1


def _readable(facts: Sequence[Fact]) -> tuple[RecordContent, ...]:
    """List each final content and each other one that contradicts the first, which is the one shown."""
    return tuple(
        RecordContent(
            digest=fact.content_digest,
            is_shown=place == 0,
            **{name: getattr(fact, name) for name in _OF_A_CONTENT},
        )
        for place, fact in enumerate(facts)
        if fact.is_final or not compatible(facts[0], fact)
    )


def _recording(facts: Sequence[Fact]) -> dict[str, Any]:
    """Choose the newest recording address; without any, the first known state of the recording."""
    with_url = [fact for fact in facts if fact.recording_url]
    known = [fact for fact in facts if fact.recording_state is not RecordingState.UNKNOWN]
    if with_url:
        source = max(with_url, key=lambda fact: (fact.revised_at or EPOCH, fact.received_at, fact.content_digest))
    elif known:
        source = known[0]
    else:
        return {}
    return {name: getattr(source, name) for name in ("recording_state", "recording_url", "recording_expires_at")}


def _first_ref(facts: Sequence[Fact]) -> str:
    given: list[tuple[datetime, str, str]] = [
        (fact.received_at, fact.content_digest, fact.custom_ref) for fact in facts if fact.custom_ref
    ]
    return min(given)[2] if given else ""


def _extras(facts: Sequence[Fact]) -> dict[str, str]:
    extras: dict[str, str] = {}
    for fact in reversed(facts):
        extras.update(fact.extras)
    return dict(sorted(extras.items()))
