"""Spells keys as a vendor's document does: matched exactly, else without the spaces around them, else without case.

Only objects with a vocabulary are touched: the envelope, the elements, and the objects that a vendor declares inside
them. An object that a customer put into a field stays as it is. Must not know a vendor. Pure: no I/O, no clock.
"""

import sys
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from schemas.body.json_text import keep
from schemas.config.limits import Limits
from schemas.facts import Flag

_TRIM: Final = "".join(chr(code) for code in range(0x3001) if chr(code).isspace()) + "\0\u180e\ufeff" + "".join(
    map(chr, (*range(0x200B, 0x2010), *range(0x2060, 0x2065)))
)  # fmt: skip


class Names(msgspec.Struct, frozen=True):
    """The keys that an object may have, and the lookup of their other spellings."""

    exact: frozenset[str] = frozenset()
    folded: Mapping[str, str] = {}


class Words(msgspec.Struct, frozen=True, kw_only=True):
    """The vocabulary of one callback."""

    top: Names = Names()
    """The keys of the outermost object, and of the elements in an outermost list."""
    whole: frozenset[str] = frozenset()
    """The keys of an outermost object that is an element itself: none of an envelope's."""
    held: Mapping[str, Names] = {}
    """The keys of the elements, by the envelope's key that holds them."""
    nested: Mapping[str, Names] = {}
    """The keys of objects inside an element, by the field that holds such an object."""


NO_WORDS: Final = Words()


def words_of(
    documented: Mapping[str, tuple[str, ...]],
    holders: Mapping[str, tuple[str, ...]],
    also: tuple[str, ...],
    nested: Mapping[str, tuple[str, ...]],
) -> Words:
    """Returns the vocabulary of a callback from its declarations (see `Callback`)."""
    inside = {kind for kinds in holders.values() for kind in kinds}
    top = [name for kind, names in documented.items() if kind not in inside for name in names]
    held = {
        holder: [name for kind in kinds for name in documented[kind]] if kinds else top
        for holder, kinds in holders.items()
    }
    outermost = _names([*top, *holders, *also])
    return Words(
        top=outermost,
        whole=outermost.exact.difference(holders),
        held={holder: _names([*names, *also]) for holder, names in held.items()},
        nested={field: _names(names) for field, names in nested.items()},
    )


def spelt(members: Mapping[str, Any], names: Names, limits: Limits) -> tuple[dict[str, Any], set[Flag]]:
    """Returns an object with its keys as `names` spell them, and the flags for it.

    When one key comes in several spellings, the exact one counts, else the first that is not blank; the others are
    kept as `key#1`, `key#2`. Undocumented keys stay as they were sent, without the spaces around them.
    """
    flags: set[Flag] = set()
    made: dict[str, Any] = {}
    repeats: dict[str, int] = {}
    for sent, value in members.items():
        name = spelt_as(sent, names)
        if len(name) > limits.key_chars:
            name = name[: limits.key_chars]
            flags.add(Flag.RANGE_ERROR)
        elif name != sent:
            flags.add(Flag.KEY_NORMALISED)
        if len(made) >= limits.keys and name not in names.exact:
            flags.add(Flag.RANGE_ERROR)
        elif name not in made and (name == sent or name not in members):
            made[name] = value
        else:
            flags.add(Flag.DUP_KEY)
            unused = value
            if name not in members and _is_blank(made[name]) and not _is_blank(value):
                made[name], unused = value, made[name]
            keep(made, repeats, name, unused, members)
    return made, flags


def spelt_as(sent: str, names: Names) -> str:
    """Returns a key as the vocabulary spells it, else as it was sent without the spaces around it."""
    if sent in names.exact:
        return sent
    trimmed = sent.strip(_TRIM)
    # Letters of other scripts fold into ASCII, too (the Kelvin sign into k): only ASCII is matched without case.
    return names.folded.get(trimmed.lower(), trimmed) if trimmed.isascii() else trimmed


def _is_blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and value.strip().lower() in ("", "null"))


def _names(names: Iterable[str]) -> Names:
    every = tuple(dict.fromkeys(map(sys.intern, names)))
    folded: dict[str, str] = {}
    for name in every:
        folded.setdefault(name.lower(), name)
    return Names(frozenset(every), folded)
