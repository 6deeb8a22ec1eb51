"""Which items of one Kafka key make one call: a vendor may use one id for two calls, and two accounts may share one.

One timeline per (family, account). States push no family of their own that a record could share: they join the callback,
else the only other call there is. The first group in order has the key itself as timeline id, so that an ordinary call's id
never moves; the others have a suffix.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from processors.folding import leg_key
from processors.merge import Item
from schemas.facts import Fact, FactType, Kind

CALLBACK: Final = "callback"
CONFERENCE: Final = "conference"

_FAMILY: Final = {
    Kind.CALLBACK_CDR: CALLBACK,
    Kind.CALLBACK_STATE: CALLBACK,
    Kind.CONFERENCE_LEG: CONFERENCE,
    Kind.PRIVACY_AX: "privacy",
    Kind.SOFTPHONE_CDR: "softphone",
    Kind.VOICE_OTP: "voice",
}


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """The items of one call."""

    family: str
    account: str
    suffix: str
    """What the timeline id has beyond the call key: "" of the first group."""
    records: tuple[Item, ...]
    states: tuple[Item, ...]


def group(items: Iterable[Item]) -> tuple[Group, ...]:
    """The calls among a key's items, in their fixed order; bindings are no calls."""
    records: dict[tuple[str, str], list[Item]] = {}
    states: list[Item] = []
    for item in items:
        fact = item.contents[0].fact
        if fact.fact_type is FactType.RECORD:
            records.setdefault((_FAMILY.get(fact.kind, str(fact.kind)), fact.account_id), []).append(item)
        elif fact.fact_type is FactType.STATE:
            states.append(item)
    joined = _with_homes(states, records)
    return tuple(
        Group(
            family=family,
            account=account,
            suffix=f"#{family}|{account}" if index else "",
            records=tuple(sorted(records.get((family, account), ()), key=_by_id)),
            states=tuple(sorted(joined.get((family, account), ()), key=_by_id)),
        )
        for index, (family, account) in enumerate(sorted({*records, *joined}))
    )


def _by_id(item: Item) -> str:
    return item.contents[0].fact.fact_id


def _with_homes(states: list[Item], records: dict[tuple[str, str], list[Item]]) -> dict[tuple[str, str], list[Item]]:
    """The group that each state belongs to; a state's account may be the URL's, a record's its own."""
    if not states:
        return {}
    callbacks = sorted(name for name in records if name[0] == CALLBACK)
    if len(callbacks) <= 1:
        home = callbacks[0] if callbacks else next(iter(records)) if len(records) == 1 else (CALLBACK, "")
        return {home: states}
    joined: dict[tuple[str, str], list[Item]] = {}
    for item in states:
        joined.setdefault(_own(item.contents[0].fact, callbacks, records), []).append(item)
    return joined


def _own(state: Fact, callbacks: list[tuple[str, str]], records: dict[tuple[str, str], list[Item]]) -> tuple[str, str]:
    """Of several callbacks under one id: the one of the state's account, else with its number, else the first."""
    leg = leg_key(state)
    for name in callbacks:
        if name[1] == state.account_id:
            return name
    for name in callbacks:
        facts = [content.fact for item in records[name] for content in item.contents]
        if any(leg in {fact.from_number, fact.to_number} for fact in facts):
            return name
    return callbacks[0]
