"""One item and every content that was ever received for it, in their order of precedence, with the decisions on them.

Precedence: a final content before one that is not. Among final ones a pulled content before a pushed one: a push is a
message that a vendor makes once and never takes back, a page comes from the archive that the vendor bills from. Then
the vendor's own update clock. For pulled contents, and for vendors with such a clock, the newest counts. For pushed
ones the first received counts until somebody decides otherwise, as nobody can tell a correction from a mistake or a
forgery. Among unfinished contents the last received counts. This module knows no calls.
"""

from collections.abc import Iterable

import msgspec

from processors.call.duplicates import NEVER_AGAIN, Arrivals
from schemas.facts import EPOCH, PULLED, Fact, FactType


class Content(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One version of an item as a vendor sent it, or one decision on the item."""

    fact: Fact
    """The fact as it was first received."""
    arrivals: Arrivals = NEVER_AGAIN
    late: bool = False
    """The content came after its call was closed."""


class Item(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """All contents and decisions under one fact_id."""

    contents: tuple[Content, ...]
    """Sorted by digest; none where nothing but a decision came so far."""
    more: int = 0
    """Number of contents and decisions beyond the bound: counted, not kept."""
    resolutions: tuple[Content, ...] = ()
    """Decisions on which content counts, sorted by digest."""

    @property
    def every(self) -> tuple[Content, ...]:
        """All kept contents, then all kept decisions: these are counted, stored and compared with what arrives."""
        return self.contents + self.resolutions if self.resolutions else self.contents

    @property
    def sample(self) -> Fact:
        """Some fact of the item: all contents have its identity, vendor, kind and type."""
        return self.every[0].fact

    @property
    def fact_type(self) -> FactType:
        """The item's type; RESOLUTION as long as nothing but a decision is known."""
        return self.contents[0].fact.fact_type if self.contents else FactType.RESOLUTION

    @property
    def merge_count(self) -> int:
        """The amount that was merged: grows with everything that can change what is shown."""
        every = self.every
        return len(every) + self.more + sum(content.arrivals.merge_count for content in every)

    @property
    def duplicates(self) -> int:
        """The number of arrivals beside the first of each content."""
        return sum(content.arrivals.duplicates for content in self.every)


class ContentDecision(msgspec.Struct, frozen=True, kw_only=True):
    """An operator's decision on which content counts."""

    kept: Content
    resolution: Fact


def item_of(contents: Iterable[Content], more: int = 0) -> Item:
    """Build the item of these contents and decisions."""
    ordered = sorted(contents, key=_digest)
    decisions = tuple(content for content in ordered if content.fact.fact_type is FactType.RESOLUTION)
    if not decisions:
        return Item(contents=tuple(ordered), more=more)
    received = tuple(content for content in ordered if content.fact.fact_type is not FactType.RESOLUTION)
    return Item(contents=received, more=more, resolutions=decisions)


def decision_of(item: Item) -> ContentDecision | None:
    """Return the newest decision that names a known content; one that names an unknown content is ignored."""
    for resolution in newest_first(item.resolutions):
        for content in item.contents:
            if content.fact.content_digest == resolution.fact.keeps:
                return ContentDecision(kept=_newest_reading(content, item.contents), resolution=resolution.fact)
    return None


def newest_first(resolutions: Iterable[Content]) -> list[Content]:
    """Sort decisions, the one that counts first."""
    return sorted(
        resolutions,
        key=lambda content: (content.fact.received_at, *place_of(content.fact), content.fact.content_digest),
        reverse=True,
    )


def best_first(contents: Iterable[Content], kept: Iterable[Content] = ()) -> list[Content]:
    """Sort contents by precedence: those decided for, the others, then readings that a newer mapping replaced."""
    found, decided = tuple(contents), tuple(kept)
    if len(found) == 1:
        return list(found)
    newest = _newest_mappings(found)
    return sorted(
        found,
        key=lambda content: (_is_replaced(content, newest), content not in decided, *_precedence(content)),
    )


def current(contents: Iterable[Content]) -> list[Content]:
    """Drop the readings that a newer version of the vendor's mapping replaced."""
    found = tuple(contents)
    newest = _newest_mappings(found)
    return [content for content in found if not _is_replaced(content, newest)]


def place_of(fact: Fact) -> tuple[str, int, int, int]:
    """Return the raw element that a fact was read from: topic, partition, offset, element."""
    return fact.raw_topic, fact.raw_partition, fact.raw_offset, fact.raw_element


def _newest_mappings(contents: Iterable[Content]) -> dict[tuple[str, int, int, int], int]:
    newest: dict[tuple[str, int, int, int], int] = {}
    for content in contents:
        at = place_of(content.fact)
        newest[at] = max(newest.get(at, 0), content.fact.adapter_version)
    return newest


def _is_replaced(content: Content, newest: dict[tuple[str, int, int, int], int]) -> bool:
    """True when the same raw element was read again by a newer version of its vendor's mapping."""
    return content.fact.adapter_version < newest[place_of(content.fact)]


def _newest_reading(content: Content, contents: Iterable[Content]) -> Content:
    """The latest reading of the content's raw element: a decision outlives a corrected mapping."""
    readings = [other for other in contents if place_of(other.fact) == place_of(content.fact)]
    newest = max(other.fact.adapter_version for other in readings)
    return content if content.fact.adapter_version == newest else best_first(readings)[0]


def _digest(content: Content) -> str:
    return content.fact.content_digest


def _precedence(content: Content) -> tuple[bool, bool, float, float, str]:
    fact = content.fact
    received = fact.received_at.timestamp()
    record = fact.fact_type is FactType.RECORD
    pulled = fact.source in PULLED
    follows = record and (pulled or fact.revised_at is not None or not fact.is_final)
    return (
        not fact.is_final,
        record and not pulled,
        -(fact.revised_at or EPOCH).timestamp(),
        -received if follows else received,
        fact.content_digest,
    )
