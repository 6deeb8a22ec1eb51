"""Reads strict JSON into a document, within bounds: the values in a text are counted before any of them is made.

Numbers stay exact: whole ones as int, others as Decimal; one with more digits than `limits.number_digits`, or whose
exponent asks for more, stays the text that it was sent as. Must not know a vendor. Pure: no I/O, no clock.
"""

import json
import re
from collections.abc import Mapping
from decimal import Decimal, DecimalException
from functools import lru_cache
from typing import Any, Final

from schemas.body.plain_json import read_plain
from schemas.config.limits import DEFAULT, Limits
from schemas.errors import Undecodable
from schemas.facts import Flag

_PIECE_CHARS: Final = 64 * 1024
_SPACE: Final = re.compile(r"[ \t\r\n]*")
NOTHING: Final[Mapping[str, Any]] = {}
_KEPT_REPEATS: Final = 16


class Marked(dict[str, Any]):
    """An object with oddities; `flags` name them."""

    __slots__ = ("flags",)

    def __init__(self, members: dict[str, Any], flags: frozenset[Flag]) -> None:
        super().__init__(members)
        self.flags = flags


def read(text: str, limits: Limits = DEFAULT, *, strict: bool = True) -> Any:
    """Reads one document of standard JSON (not strict: with control characters in texts).

    Raises ValueError when it is none, Undecodable `limit` when it is too large.
    """
    check_size(text, limits)
    if strict and (document := read_plain(text, limits.number_digits)) is not None:
        return document
    try:
        return _decoder(limits.number_digits, strict).decode(text)
    except RecursionError as exc:
        raise too_deep(limits) from exc


def read_all(text: str, limits: Limits) -> list[Any]:
    """Reads documents one after another, with white space or a comma between them; raises like `read`."""
    check_size(text, limits)
    decoder = _decoder(limits.number_digits, False)
    found: list[Any] = []
    at = _after_space(text, 0)
    while at < len(text):
        if len(found) == limits.elements:
            raise too_many(limits)
        try:
            document, at = decoder.raw_decode(text, at)
        except RecursionError as exc:
            raise too_deep(limits) from exc
        found.append(document)
        at = _after_space(text, at)
        if text.startswith(",", at):
            at = _after_space(text, at + 1)
    return found


def check_size(text: str, limits: Limits) -> None:
    """Raises Undecodable `limit` when a text has more values than a body may have.

    Each value has a comma or a bracket before it, so those are counted.
    """
    if len(text) <= limits.values or _starts(text) < limits.values:
        return
    bare = text.replace("\\\\", "").replace('\\"', "")
    inside, values = 0, 0
    for start in range(0, len(bare), _PIECE_CHARS):
        parts = bare[start : start + _PIECE_CHARS].split('"')
        values += _starts("".join(parts[inside::2]))
        inside ^= (len(parts) - 1) & 1
        if values >= limits.values:
            raise Undecodable(f"more than {limits.values} values", code="limit")


def _starts(text: str) -> int:
    return text.count(",") + text.count("{") + text.count("[")


def too_deep(limits: Limits) -> Undecodable:
    """Returns the error for a body with too many levels."""
    return Undecodable(f"nested more than {limits.nesting} deep", code="limit")


def too_many(limits: Limits) -> Undecodable:
    """Returns the error for a body with too many elements."""
    return Undecodable(f"more than {limits.elements} elements", code="limit")


def with_repeats(pairs: list[tuple[str, Any]]) -> Marked:
    """Returns an object for pairs with repeated keys: the last value counts, the earlier ones are `key#1`, `key#2`."""
    members: dict[str, Any] = {}
    repeats: dict[str, int] = {}
    for name, value in pairs:
        if name in members:
            keep(members, repeats, name, members.pop(name))
        members[name] = value
    return Marked(members, frozenset({Flag.DUP_KEY}))


def keep(
    members: dict[str, Any], repeats: dict[str, int], name: str, value: Any, taken: Mapping[str, Any] = NOTHING
) -> None:
    """Keeps an unused value under the next free `name#1`, `name#2`; beyond the first sixteen none is kept."""
    number = repeats.get(name, 0) + 1
    while f"{name}#{number}" in members or f"{name}#{number}" in taken:
        number += 1
    repeats[name] = number
    if number <= _KEPT_REPEATS:
        members[f"{name}#{number}"] = value


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


@lru_cache(maxsize=8)
def _decoder(digits: int, strict: bool) -> json.JSONDecoder:  # noqa: FBT001  # a cache's key
    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        return made if len(made) == len(pairs) else with_repeats(pairs)

    def whole(number: str) -> int | str:
        return int(number) if len(number) <= digits else number

    def exact(number: str) -> Decimal | str:
        if len(number) > digits:
            return number
        try:
            value = Decimal(number)
        except DecimalException:
            return number
        return value if abs(value.adjusted()) < digits else number

    return json.JSONDecoder(
        object_pairs_hook=members, parse_int=whole, parse_float=exact, parse_constant=_no_constant, strict=strict
    )


def _no_constant(word: str) -> Any:
    raise json.JSONDecodeError("not a JSON number", word, 0)
