"""Reads ordinary JSON with msgspec, which takes a quarter of the time of the careful reader in `json_text`. Pure.

It gives a document only where the careful reader would give the same one. msgspec hides a key that comes twice, but
each key and each text has two quotes: with more quotes than the document needs, one is hidden. Numbers that the careful
reader may treat otherwise are left to it, too, and all that is no standard JSON.
"""

from collections.abc import Callable
from decimal import Decimal, DecimalException
from functools import lru_cache
from typing import Any, Final

import msgspec

_ORDINARY: Final = frozenset({str, bool, type(None), Decimal})
_HOLDERS: Final = (dict, list)
_MOST_DIGITS: Final = 15
_DEEPEST: Final = 8


def read_plain(text: str, digits: int) -> Any:
    """Returns the document in a text; None where the careful reader must read it, whose numbers have most `digits`."""
    is_escaped = "\\" in text
    if is_escaped and "\\\\" in text:  # then a backslash before a quote may be a character itself
        return None
    try:
        document = _decode_by(digits)(text)
        texts = _texts_in(document, 10 ** min(digits - 1, _MOST_DIGITS), 0)
    except (msgspec.MsgspecError, ValueError, RecursionError, DecimalException):
        return None
    quotes = text.count('"') - (text.count('\\"') if is_escaped else 0)
    return document if quotes == 2 * texts else None


def _texts_in(value: Any, below: int, depth: int) -> int:
    """Counts keys and texts; raises ValueError for what is not ordinary."""
    if type(value) is dict:
        found, values = len(value), list(value.values())
    else:
        found, values = 0, value if type(value) is list else [value]
    kinds = list(map(type, values))
    found += kinds.count(str)
    for kind in set(kinds) - _ORDINARY:
        if kind in _HOLDERS and depth < _DEEPEST:
            found += sum(_texts_in(one, below, depth + 1) for one in values if type(one) is kind)
        elif kind is not int or not _are_between(-below, [one for one in values if type(one) is int], below):
            raise ValueError("not ordinary")
    return found


def _are_between(low: int, numbers: list[int], high: int) -> bool:
    return low < min(numbers) and max(numbers) < high


@lru_cache(maxsize=8)
def _decode_by(digits: int) -> Callable[[str], Any]:
    def exact(number: str) -> Decimal:
        value = Decimal(number)
        if len(number) > digits or abs(value.adjusted()) >= digits:
            raise ValueError("not ordinary")
        return value

    return msgspec.json.Decoder(float_hook=exact).decode
