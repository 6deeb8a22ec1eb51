"""Which items of one Kafka key make one call: a vendor may use one id for two calls, and two accounts may share one.

One timeline per (door, family, account). The door is the configured account that let an item in: what came by one never joins
what came by another. States push no family of their own that a record could share: they join the callback, else the only
other call there is of their door. The first group in order has the key itself as timeline id, so that an ordinary call's id
never moves; the others have a suffix.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from processors.call.contents import Item
from processors.call.folding import leg_key
from schemas.facts import Fact, FactType, Kind

CALLBACK: Final = "callback"
CONFERENCE: Final = "conference"
VOICE: Final = "voice"

_FAMILY: Final = {
    Kind.CALLBACK_CDR: CALLBACK,
    Kind.CALLBACK_STATE: CALLBACK,
    Kind.CONFERENCE_LEG: CONFERENCE,
    Kind.PRIVACY_AX: "privacy",
    Kind.SOFTPHONE_CDR: "softphone",
    Kind.VOICE_OTP: VOICE,
}
_Calls = dict[tuple[str, str], list[Item]]
"""By (family, account)."""


class CallGroup(msgspec.Struct, frozen=True, kw_only=True):
    """The items of one call."""

    family: str
    account: str
    door: str
    suffix: str
    """What the timeline id has beyond the call key: "" of the first group."""
    records: tuple[Item, ...]
    states: tuple[Item, ...]


def group(items: Iterable[Item]) -> tuple[CallGroup, ...]:
    """The calls among a key's items, in their fixed order; bindings and decisions are no calls."""
    doors: dict[str, tuple[_Calls, list[Item]]] = {}
    for item in items:
        if item.fact_type not in {FactType.RECORD, FactType.STATE}:
            continue
        fact = item.sample
        records, states = doors.setdefault(fact.account, ({}, []))
        if fact.fact_type is FactType.RECORD:
            records.setdefault((_FAMILY.get(fact.kind, str(fact.kind)), fact.account_id), []).append(item)
        else:
            states.append(item)
    # A door of its own comes before none: what anybody may send takes no row from what came by an account's address.
    found = [
        (door, name, records.get(name, ()), joined.get(name, ()))
        for door in sorted(doors, key=lambda door: (not door, door))
        for records, joined in ((doors[door][0], _with_homes(doors[door][1], doors[door][0])),)
        for name in sorted({*records, *joined})
    ]
    return tuple(
        CallGroup(
            family=family,
            account=account,
            door=door,
            suffix="" if not index else f"#{family}|{account}" + (f"|{door}" if len(doors) > 1 else ""),
            records=tuple(sorted(records, key=_by_id)),
            states=tuple(sorted(states, key=_by_id)),
        )
        for index, (door, (family, account), records, states) in enumerate(found)
    )


def _by_id(item: Item) -> str:
    return item.sample.fact_id


def _with_homes(states: list[Item], records: _Calls) -> _Calls:
    """The group that each state belongs to; a state's account may be the URL's, a record's its own."""
    if not states:
        return {}
    callbacks = sorted(name for name in records if name[0] == CALLBACK)
    if len(callbacks) <= 1:
        home = callbacks[0] if callbacks else next(iter(records)) if len(records) == 1 else (CALLBACK, "")
        return {home: states}
    joined: _Calls = {}
    for item in states:
        joined.setdefault(_own(item.sample, callbacks, records), []).append(item)
    return joined


def _own(state: Fact, callbacks: list[tuple[str, str]], records: _Calls) -> tuple[str, str]:
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
