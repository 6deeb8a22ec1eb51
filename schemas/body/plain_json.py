"""Reads ordinary JSON with msgspec, which takes a quarter of the time of the careful reader in `json_text`. Pure.

It gives a document only where the careful reader would give the same one. msgspec hides a key that comes twice, but
each key and each text has two quotes: with more quotes than the document needs, one is hidden. Numbers that the careful
reader may treat otherwise are left to it, too, and all that is no standard JSON.
"""

from collections.abc import Callable, Collection
from decimal import Decimal, DecimalException
from functools import lru_cache
from typing import Any, Final

import msgspec

_ORDINARY: Final = frozenset({str, bool, type(None), Decimal})
_HOLDERS: Final = (dict, list)
_MOST_DIGITS: Final = 15
_DEEPEST: Final = 8
NOT_PLAIN: Final = (msgspec.MsgspecError, ValueError, RecursionError, DecimalException)
"""The errors of what decodes."""
_MOST_KINDS: Final = 256
"""Most types of one object that are remembered, and most objects."""


def read_plain(text: str, digits: int) -> Any:
    """Returns the document in a text; None where the careful reader must read it, whose numbers have most `digits`."""
    is_escaped = "\\" in text
    if is_escaped and "\\\\" in text:  # then a backslash before a quote may be a character itself
        return None
    decode, ordinary = decode_by(digits)
    try:
        document = decode(text)
        texts = _texts_in(document, ordinary, 0)
    except NOT_PLAIN:
        return None
    quotes = text.count('"') - (text.count('\\"') if is_escaped else 0)
    return document if quotes == 2 * texts else None


def _texts_in(value: Any, ordinary: range, depth: int) -> int:
    """Counts keys and texts; raises ValueError for what is not ordinary, as a whole number that is not in a range."""
    values: Collection[Any]
    if type(value) is dict:
        found, values = len(value), value.values()
    else:
        found, values = 0, value if type(value) is list else (value,)
    kinds = tuple(map(type, values))
    texts, others = KINDS[kinds]
    found += texts
    for kind in others:
        if kind is int:
            if not all(map(ordinary.__contains__, [one for one in values if type(one) is int])):
                raise ValueError("not ordinary")
        elif kind in _HOLDERS and depth < _DEEPEST:
            for one in values:
                if type(one) is kind:
                    found += _texts_in(one, ordinary, depth + 1)
        else:
            raise ValueError("not ordinary")
    return found


class _Kinds(dict[tuple[type, ...], tuple[int, frozenset[type]]]):
    """The number of texts among types, and which of these must be looked into; the elements of a vendor have few."""

    def __missing__(self, kinds: tuple[type, ...]) -> tuple[int, frozenset[type]]:
        found = kinds.count(str), frozenset(kinds) - _ORDINARY
        if len(kinds) <= _MOST_KINDS:
            if len(self) >= _MOST_KINDS:
                self.clear()
            self[kinds] = found
        return found


KINDS: Final = _Kinds()


@lru_cache(maxsize=8)
def decode_by(digits: int) -> tuple[Callable[[str | bytes], Any], range]:
    """Returns what decodes, and the whole numbers that are ordinary."""
    below = 10 ** min(digits - 1, _MOST_DIGITS)

    def exact(number: str) -> Decimal:
        value = Decimal(number)
        if len(number) > digits or abs(value.adjusted()) >= digits:
            raise ValueError("not ordinary")
        return value

    return msgspec.json.Decoder(float_hook=exact).decode, range(1 - below, below)
