"""From the bytes that came to a JSON document: the same for all vendors, before anyone asks what it means.

Strict reading first; a repair is tried only where that fails, and every repair is flagged. Numbers stay exact: whole ones
as int, others as Decimal, so that a 29-digit id keeps its digits. Must not know a vendor. Pure: no I/O, no clock.
"""

import json
import re
from collections.abc import Callable
from decimal import Decimal, DecimalException
from typing import Any, Final

import msgspec

from schemas.errors import Undecodable
from schemas.facts import Flag
from schemas.raw import RawCallback
from schemas.vendors._wire import form_value, inflated

_STRING: Final = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)', re.DOTALL)
_TRAILING_COMMA: Final = re.compile(r",(\s*[}\]])")
# Two quotes with nothing but white space between are an empty string, or the place where a comma is missing. An empty
# string's first quote follows one of `{[,:` or white space, so no valid document is changed.
_MISSING_COMMA: Final = re.compile(r'(?<=[^\\:,\[{\s])"(\s*)"(?=[^"\\]*"\s*:)')
_HALF_ESCAPED: Final = re.compile(r"\\u[dD][89a-fA-F]")
_HALF: Final = re.compile("[\ud800-\udfff]")
_KEY_TRIM: Final = " \t\r\n\f\v\u3000\u00a0\ufeff\u200b"
_MAX_DIGITS: Final = 4300  # Python's own limit between text and int


class Decoded(msgspec.Struct, frozen=True, kw_only=True):
    """A body as a document; `flags` hold for each of its elements."""

    document: Any
    flags: frozenset[Flag]


def decode(raw: RawCallback, form_fields: tuple[str, ...], *, inflate_cap_bytes: int) -> Decoded:
    """Read a body; raises Undecodable with `inflate`, `empty`, `charset` or `json`."""
    flags: set[Flag] = set()
    body = inflated(raw.body, raw.content_encoding, inflate_cap_bytes)
    text = _text(form_value(body, raw.content_type, form_fields), flags)
    if not text.strip(_KEY_TRIM + "\0"):
        raise Undecodable("the body is empty", code="empty")
    document = _document(text, flags)
    return Decoded(document=document, flags=frozenset(flags))


def parse_text(text: str) -> Decoded:
    """Read JSON text found inside a document, with the same repairs; raises Undecodable `json`."""
    flags: set[Flag] = set()
    return Decoded(document=_document(text, flags), flags=frozenset(flags))


def _text(body: bytes, flags: set[Flag]) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    try:
        text = body.decode("gb18030")
    except UnicodeDecodeError as exc:
        raise Undecodable("neither UTF-8 nor GB 18030", code="charset") from exc
    flags.add(Flag.CHARSET_REPAIRED)
    return text


def _document(text: str, flags: set[Flag]) -> Any:
    try:
        document = _read_or_repaired(text, flags)
        return _without_halves(document, flags) if _HALF_ESCAPED.search(text) else document
    except RecursionError as exc:
        raise Undecodable("nested too deeply", code="json") from exc


def _read_or_repaired(text: str, flags: set[Flag]) -> Any:
    try:
        return _read(text, flags, strict=True)
    except ValueError as exc:  # kept nowhere: an exception in a variable of its own frame is a cycle
        return _repaired(text, flags, exc)


def _repaired(text: str, flags: set[Flag], why: ValueError) -> Any:
    for repair in _REPAIRS:  # each upon the one before: a body may need several
        text = repair(text)
        attempt = {Flag.REPAIRED_JSON}
        try:
            document = _read(text, attempt, strict=False)
        except ValueError:
            continue
        flags |= attempt
        return document
    place = f"line {why.lineno} column {why.colno}" if isinstance(why, json.JSONDecodeError) else "one of its numbers"
    raise Undecodable(f"not JSON, and no repair helps: {place}", code="json") from why


def _without_tail(text: str) -> str:
    """Line ends and tabs inside strings are let through with this one, too."""
    return text.strip(_KEY_TRIM + "\0;")


def _without_trailing_commas(text: str) -> str:
    """Only outside of strings: what a customer wrote is left as it is."""
    kept: list[str] = []

    def hide(match: re.Match[str]) -> str:
        kept.append(match[0])
        return '"\0"'

    bare = _TRAILING_COMMA.sub(r"\1", _STRING.sub(hide, text))
    strings = iter(kept)
    return re.sub('"\0"', lambda _match: next(strings), bare)


def _with_missing_commas(text: str) -> str:
    return _MISSING_COMMA.sub(r'",\1"', text)


_REPAIRS: Final[tuple[Callable[[str], str], ...]] = (_without_tail, _without_trailing_commas, _with_missing_commas)


def _read(text: str, flags: set[Flag], *, strict: bool) -> Any:
    """Standard JSON and nothing else (not strict: with control characters); raises ValueError or RecursionError."""

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        return _members(pairs, flags)

    options: dict[str, Any] = {
        "object_pairs_hook": members,
        "parse_float": _exact,
        "parse_constant": _no_constant,
        "strict": strict,
    }
    try:
        return json.loads(text, **options)
    except json.JSONDecodeError:
        raise
    except ValueError:  # a whole number of thousands of digits: no amount and no id, kept as the text that it is
        return json.loads(text, parse_int=_int_or_text, **options)


def _members(pairs: list[tuple[str, Any]], flags: set[Flag]) -> dict[str, Any]:
    """An object: keys trimmed; of a repeated key the last value, the earlier ones as `key#1`, `key#2`."""
    members = dict(pairs)
    if len(members) == len(pairs):
        for name in members:
            if name.strip(_KEY_TRIM) != name:
                break
        else:
            return members
    members = {}
    repeats: dict[str, int] = {}
    for sent, value in pairs:
        name = sent.strip(_KEY_TRIM)
        if name != sent:
            flags.add(Flag.KEY_NORMALISED)
        if name in members:
            flags.add(Flag.DUP_KEY)
            repeats[name] = repeats.get(name, 0) + 1
            members[f"{name}#{repeats[name]}"] = members.pop(name)
        members[name] = value
    return members


def _exact(digits: str) -> Decimal | str:
    try:
        return Decimal(digits)
    except DecimalException:
        return digits


def _int_or_text(digits: str) -> int | str:
    return int(digits) if len(digits) < _MAX_DIGITS else digits


def _no_constant(word: str) -> Any:
    raise json.JSONDecodeError("not a JSON number", word, 0)


def _without_halves(value: Any, flags: set[Flag]) -> Any:
    """Put U+FFFD where half of a surrogate pair stands alone: no encoding can carry it on."""
    if isinstance(value, str):
        whole = _HALF.sub("\ufffd", value)
        if whole != value:
            flags.add(Flag.REPAIRED_JSON)
        return whole
    if isinstance(value, list):
        return [_without_halves(item, flags) for item in value]
    if isinstance(value, dict):
        return {_without_halves(name, flags): _without_halves(item, flags) for name, item in value.items()}
    return value
