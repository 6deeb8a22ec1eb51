"""Bounds of a call's state: a source that sends without end is folded away, and what is shown stays right.

A leg's states keep the earliest setup, alerting and answer and the latest release, which is all that a timeline shows;
an item keeps its best contents; a call keeps `ITEMS_PER_CONTENT` times as many items, which is room for a conference of
two thousand. Everything was published one by one before it is folded. This module must not know about time.
"""

from collections import defaultdict
from datetime import UTC, datetime
from typing import Final

from processors.call.contents import Content, Item, best_first, decision_of, item_of, newest_first
from processors.call.duplicates import Arrival, arrival_of
from schemas.facts import EPOCH, Fact, FactType, State

ITEMS_PER_CONTENT: Final = 32
NEVER: Final = datetime(9999, 12, 31, tzinfo=UTC)
"""Placeholder for an unknown instant where the earliest counts."""


def fold_item(item: Item, limit: int) -> tuple[Item, list[Arrival]]:
    """Keep the item's best `limit` contents and newest decisions; returns it with the arrivals of the others."""
    if max(len(item.contents), len(item.resolutions)) <= limit:
        return item, []
    decision = decision_of(item)
    ranked = best_first(item.contents, [decision.kept] if decision else ())
    decisions = newest_first(item.resolutions)
    dropped = ranked[limit:] + decisions[limit:]
    return item_of((*ranked[:limit], *decisions[:limit]), item.more + len(dropped)), _arrivals(dropped)


def fold_items(items: dict[str, Item], added: Fact, limit: int) -> tuple[dict[str, Item], list[Arrival]]:
    """Drop the item that must go now that `added` is among them; returns the others with its arrivals."""
    if len(items) <= limit:
        return items, []
    name = _to_go(items, added, limit)
    if name is None:
        return items, []
    return {key: item for key, item in items.items() if key != name}, _arrivals(items[name].every)


def leg_key(fact: Fact) -> str:
    """Return the key of a state's leg within its call: its E.164 number, else the number as sent."""
    return fact.leg_number or fact.leg


def _to_go(items: dict[str, Item], added: Fact, limit: int) -> str | None:
    if added.fact_type is FactType.STATE:
        leg = leg_key(added)
        same_leg = [
            (name, fact)
            for name, fact in ((name, item.sample) for name, item in items.items())
            if fact.fact_type is FactType.STATE and leg_key(fact) == leg
        ]
        if len(same_leg) > limit:
            return _least_informative(same_leg)
    if len(items) > limit * ITEMS_PER_CONTENT:
        return max(items, key=lambda name: (items[name].sample.received_at, name))
    return None


def _least_informative(same_leg: list[tuple[str, Fact]]) -> str:
    by_state: defaultdict[State, list[tuple[datetime, str]]] = defaultdict(list)
    for name, fact in same_leg:
        untimed = EPOCH if fact.state is State.RELEASE else NEVER
        by_state[fact.state].append((fact.event_at or untimed, name))
    state = max(by_state, key=lambda state: (len(by_state[state]), state))
    events = by_state[state]
    if state is State.RELEASE:
        return min(events)[1]
    return max(events)[1]


def _arrivals(contents: list[Content] | tuple[Content, ...]) -> list[Arrival]:
    return [arrival for content in contents for arrival in (arrival_of(content.fact), *content.arrivals.others)]
