"""Grouping of a Kafka key's items into calls: a vendor may use one id for two calls, and two accounts may share one.

One timeline per (account, family, account id). The account is the configured one whose address admitted an item; items
of different accounts never join. The account id is the vendor's. State pushes have no family of their own that a record
could share: they join the callback, else the only other call of their account. The first group in order has the key
itself as timeline id, so that an ordinary call's id never moves; the others have a suffix, which names the account in
all groups but those of the first account: what comes by another account moves no id of that one. The first is the
account in the key, as nearly all keys name that of the address, else a configured one.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from processors.call.contents import Item
from processors.call.folding import leg_key
from schemas.facts import Fact, FactType, Kind
from schemas.identity import call_key

# An enum looks a member up each time it is named.
_STATE: Final = FactType.STATE
_RECORD: Final = FactType.RECORD

CALLBACK: Final = "callback"
CONFERENCE: Final = "conference"
VOICE: Final = "voice"

_FAMILY: Final[Mapping[str, str]] = {
    Kind.CALLBACK_CDR: CALLBACK,
    Kind.CALLBACK_STATE: CALLBACK,
    Kind.CONFERENCE_LEG: CONFERENCE,
    Kind.PRIVACY_AX: "privacy",
    Kind.SOFTPHONE_CDR: "softphone",
    Kind.VOICE_OTP: VOICE,
}
_Calls = dict[tuple[str, str], list[Item]]
"""(family, account id) to items."""


class CallGroup(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The items of one call."""

    family: str
    account_id: str
    """The vendor's."""
    account: str
    """The configured account whose address admitted the items; "" for none."""
    suffix: str
    """The part of the timeline id after the call key: "" for the first group."""
    records: tuple[Item, ...]
    states: tuple[Item, ...]


def group(items: Iterable[Item]) -> tuple[CallGroup, ...]:
    """Group a key's items into calls, in their fixed order; bindings and decisions are no calls."""
    by_account: dict[str, tuple[_Calls, list[Item]]] = {}
    for item in items:
        if not item.contents:
            continue
        fact = item.contents[0].fact
        fact_type = fact.fact_type
        if fact_type is not _STATE and fact_type is not _RECORD:
            continue
        found = by_account.get(fact.account)
        if found is None:
            found = by_account[fact.account] = {}, []
        if fact_type is _RECORD:
            found[0].setdefault((_FAMILY.get(fact.kind, str(fact.kind)), fact.account_id), []).append(item)
        else:
            found[1].append(item)
    ordered = [*by_account]
    if len(ordered) > 1:
        ordered.sort(key=lambda account: _account_order(account, by_account[account]))
    groups: list[CallGroup] = []
    for account in ordered:
        records, states = by_account[account]
        joined = _assign_states(states, records)
        names = records.keys() | joined.keys()
        for name in sorted(names) if len(names) > 1 else names:
            family, account_id = name
            groups.append(
                CallGroup(
                    family=family,
                    account_id=account_id,
                    account=account,
                    suffix=_suffix(family, account_id, account, is_first=account == ordered[0]) if groups else "",
                    records=_in_order(records.get(name, ())),
                    states=_in_order(joined.get(name, ())),
                )
            )
    return tuple(groups)


def _account_order(account: str, items: tuple[_Calls, list[Item]]) -> tuple[bool, bool, str]:
    """Sort key of an account. What anybody may send takes no row from what came by an account's own address."""
    records, states = items
    fact = (states or next(iter(records.values())))[0].sample
    named = call_key(fact.vendor, account, fact.vendor_call_id) == fact.call_key
    return not (account and named), not account, account


def _suffix(family: str, account_id: str, account: str, *, is_first: bool) -> str:
    # An id with the separator, which a sender may write, must not look like another account's.
    return f"#{family}|{account_id}" + ("" if is_first and "|" not in account_id else f"|{account}")


def _in_order(items: Sequence[Item]) -> tuple[Item, ...]:
    if len(items) < 2:
        return tuple(items)
    by_id = {item.contents[0].fact.fact_id: item for item in items}
    return tuple([by_id[name] for name in sorted(by_id)])


def _assign_states(states: list[Item], records: _Calls) -> _Calls:
    """Assign each state to a group; a state's account id may come from the URL, a record's from its body."""
    if not states:
        return {}
    callbacks = sorted([name for name in records if name[0] == CALLBACK])
    if len(callbacks) <= 1:
        home = callbacks[0] if callbacks else next(iter(records)) if len(records) == 1 else (CALLBACK, "")
        return {home: states}
    joined: _Calls = {}
    for item in states:
        joined.setdefault(_callback_of(item.sample, callbacks, records), []).append(item)
    return joined


def _callback_of(state: Fact, callbacks: list[tuple[str, str]], records: _Calls) -> tuple[str, str]:
    """Choose among several callbacks under one id: of the state's account id, else with its number, else the first."""
    leg = leg_key(state)
    for name in callbacks:
        if name[1] == state.account_id:
            return name
    for name in callbacks:
        facts = [content.fact for item in records[name] for content in item.contents]
        if any(leg in {fact.from_number, fact.to_number} for fact in facts):
            return name
    return callbacks[0]
