"""One item, several contents: which one is shown, what the others fill in, and when they contradict each other.

A vendor sends a record again to correct it, to complete it, or by mistake with other values. The answer depends only on
the set of contents, never on the order of their arrival. Precedence: a final content before one that is not; the vendor's
own update clock; else of final contents the first received, of unfinished ones the last. This page knows no calls.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from processors.dedupe import NEVER_AGAIN, Seen
from processors.versions import record_version
from schemas.facts import EPOCH, Disposition, Fact, FactType, Flag, Leg, RecordingState


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that an item was ever said to be."""

    fact: Fact
    """As it was first received."""
    seen: Seen = NEVER_AGAIN
    late: bool = False
    """It came after its call was closed."""


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """All contents of one fact_id, sorted by digest."""

    contents: tuple[Content, ...]
    more: int = 0
    """Contents beyond the bound: counted, and not kept."""

    @property
    def height(self) -> int:
        """How much was merged: grows with everything that can change what is shown."""
        return len(self.contents) + self.more + sum(content.seen.height for content in self.contents)

    @property
    def extras(self) -> int:
        """Duplicates."""
        return sum(content.seen.extras for content in self.contents)


CONFLICTS: Final = ("answer_at", "end_at", "vendor_duration_s", "billable_s", "cost", "from_number", "to_number")
"""Two final contents that differ here are a conflict: somebody has to look before it is billed."""
DISAGREEMENTS: Final = ("setup_at", "alerting_at", "display_number", "privacy_number", "conference_id", "currency")
"""Two final contents that differ here are flagged, and bill alike."""

_TOGETHER: Final = (
    ("from_number", "from_raw", "from_kind"),
    ("to_number", "to_raw", "to_kind"),
    ("display_number", "display_raw", "display_kind"),
    ("privacy_number", "privacy_raw", "privacy_kind"),
    ("billable_s", "billable_source"),
    ("cost", "currency", "cost_source"),
)
"""Fields that only mean something together: filled as one, from one content."""
_ALONE: Final = (
    "account_id", "vendor_call_id", "session_id", "conference_id", "binding_id", "direction", "setup_at", "alerting_at",
    "answer_at", "end_at", "pdd_ms", "ring_ms", "talk_ms", "vendor_duration_s", "hangup_party", "agent_id", "agent_name",
    "leg", "leg_number", "event_at", "binding_state", "bound_at", "unbound_at", "revised_at",
)  # fmt: skip
_CAUSE: Final = ("disposition", "hangup_cause", "q850", "sip_code", "hangup_reason", "cause_confidence")
_LEG_TIMES: Final = ("number", "setup_at", "alerting_at", "answer_at", "end_at")
_LEG_CAUSE: Final = ("disposition", "hangup_reason", "q850", "sip_code")


def best_first(contents: Iterable[Content]) -> list[Content]:
    """The contents in order of precedence, readings that a newer mapping replaced last."""
    found = tuple(contents)
    newest: dict[tuple[str, int, int, int], int] = {}
    for content in found:
        at = _place(content.fact)
        newest[at] = max(newest.get(at, 0), content.fact.adapter_version)
    return sorted(found, key=lambda content: (_replaced(content, newest), *_precedence(content)))


def shown(item: Item) -> Fact:
    """The item as it is shown inside a timeline: its version does not count."""
    contents = item.contents
    first = contents[0]
    if len(contents) == 1 and not first.late and not item.more:
        return first.fact
    return _merged(best_first(contents), folded=item.more > 0)


def normalized(item: Item) -> Fact:
    """The item as it goes to `calls.normalized`: merged, with its version."""
    fact, facts = shown(item), [content.fact for content in item.contents]
    version = record_version(
        item.height,
        final=fact.is_final,
        newest=max(each.received_at for each in facts),
        mapping=max(each.adapter_version for each in facts),
    )
    return fact if fact.version == version else msgspec.structs.replace(fact, version=version)


def shown_as_one(items: Iterable[Item]) -> Fact | None:
    """Several items that describe the same call, as if they were contents of one; None of no items."""
    found = tuple(items)
    if not found:
        return None
    if len(found) == 1:
        return shown(found[0])
    contents = best_first(content for item in found for content in item.contents)
    return _merged(contents, folded=any(item.more for item in found))


def conflicting(one: Fact, other: Fact) -> bool:
    """Whether two final records contradict each other in what is billed."""
    return _both_final(one, other) and any(_differ(one, other, name) for name in CONFLICTS)


def _place(fact: Fact) -> tuple[str, int, int, int]:
    return fact.raw_topic, fact.raw_partition, fact.raw_offset, fact.raw_element


def _replaced(content: Content, newest: dict[tuple[str, int, int, int], int]) -> bool:
    """Whether the same raw element was read again by a newer version of its vendor's mapping."""
    return content.fact.adapter_version < newest[_place(content.fact)]


def _precedence(content: Content) -> tuple[bool, float, float, str]:
    fact = content.fact
    received = fact.received_at.timestamp()
    return (
        not fact.is_final,
        -(fact.revised_at or EPOCH).timestamp(),
        received if fact.is_final or fact.fact_type is not FactType.RECORD else -received,
        fact.content_digest,
    )


def _merged(contents: Sequence[Content], *, folded: bool) -> Fact:
    best, *others = [content.fact for content in contents]
    changes: dict[str, Any] = {}
    flags = set(best.quality_flags)
    for other in others:
        filled = _fill(best, changes, other)
        if filled:
            flags.update(other.quality_flags)
        changes.update(filled)
    facts = (best, *others)
    changes.update(_recording(facts))
    flags |= _contradictions(facts)
    if any(content.late for content in contents):
        flags.add(Flag.LATE)
    if folded:
        flags.add(Flag.OVERFLOW)
    return msgspec.structs.replace(
        best,
        **changes,
        custom_ref=_first_ref(facts),
        extras=_extras(facts),
        quality_flags=tuple(sorted(flags)),
        received_at=min(fact.received_at for fact in facts),
    )


def _blank(value: object) -> bool:
    return value is None or value in {"", "unknown"}


def _fill(best: Fact, changes: dict[str, Any], other: Fact) -> dict[str, Any]:
    """What `other` knows and the contents before it do not."""

    def now(name: str) -> Any:
        return changes[name] if name in changes else getattr(best, name)

    filled: dict[str, Any] = {}
    for name in _ALONE:
        if _blank(now(name)) and not _blank(getattr(other, name)):
            filled[name] = getattr(other, name)
    for names in _TOGETHER:
        if all(_blank(now(name)) for name in names[:2]) and not all(_blank(getattr(other, name)) for name in names[:2]):
            filled.update({name: getattr(other, name) for name in names})
    better_cause = _cause_known(lambda name: getattr(other, name)) > _cause_known(now)
    if better_cause:
        filled.update({name: getattr(other, name) for name in _CAUSE})
    if better_cause and (now("disposition") is Disposition.ANSWERED or _blank(other.disposition)):
        del filled["disposition"]
    elif _blank(now("disposition")) and not _blank(other.disposition):
        filled["disposition"] = other.disposition
    legs = _fill_legs(now("legs"), other.legs, better_cause=better_cause)
    if legs != now("legs"):
        filled["legs"] = legs
    return filled


def _cause_known(read: Callable[[str], Any]) -> int:
    """2: in the vendor's own words, 1: derived from something else, 0: not at all."""
    if read("hangup_cause"):
        return 2
    return int(bool(read("hangup_reason")) or read("q850") is not None)


def _fill_legs(legs: tuple[Leg, ...], others: tuple[Leg, ...], *, better_cause: bool) -> tuple[Leg, ...]:
    if not legs:
        return others
    return tuple(_fill_leg(leg, others, better_cause=better_cause) for leg in legs)


def _fill_leg(leg: Leg, others: tuple[Leg, ...], *, better_cause: bool) -> Leg:
    for other in others:
        if other.role is not leg.role or (leg.number and other.number and leg.number != other.number):
            continue
        names = [name for name in _LEG_TIMES if getattr(leg, name) is None and getattr(other, name) is not None]
        unknown = not leg.hangup_reason and leg.q850 is None
        if (unknown or better_cause) and leg.disposition is not Disposition.ANSWERED:
            names += [name for name in _LEG_CAUSE if not _blank(getattr(other, name))]
        if names:
            leg = msgspec.structs.replace(leg, **{name: getattr(other, name) for name in names})
    return leg


def _recording(facts: Sequence[Fact]) -> dict[str, Any]:
    """The newest address that anybody gave; where nobody did, the first thing known of it."""
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


def _contradictions(facts: Sequence[Fact]) -> set[Flag]:
    flags: set[Flag] = set()
    if len({fact.custom_ref for fact in facts if fact.custom_ref}) > 1:
        flags.add(Flag.FIELD_CONFLICT)
    read = {_place(fact): fact for fact in sorted(facts, key=lambda fact: fact.adapter_version)}
    final = [
        fact
        for fact in facts
        if fact.is_final
        and fact.fact_type is FactType.RECORD
        and read[_place(fact)].adapter_version == fact.adapter_version
    ]
    for names, flag in ((CONFLICTS, Flag.CONFLICT_FINAL), (DISAGREEMENTS, Flag.FIELD_CONFLICT)):
        if any(len({getattr(fact, name) for fact in final} - {None, ""}) > 1 for name in names):
            flags.add(flag)
    return flags


def _both_final(one: Fact, other: Fact) -> bool:
    again = _place(one) == _place(other) and one.adapter_version != other.adapter_version
    return one.is_final and other.is_final and one.fact_type is other.fact_type is FactType.RECORD and not again


def _differ(one: Fact, other: Fact, name: str) -> bool:
    ours, theirs = getattr(one, name), getattr(other, name)
    return not _blank(ours) and not _blank(theirs) and bool(ours != theirs)
