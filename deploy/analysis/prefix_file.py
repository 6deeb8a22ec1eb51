"""Reads a file of prefixes: CSV with the columns prefix, name, country and kind. Pure.

All faults are found at once, each with its line, and nothing is read of a file that has any. A prefix may be written
`+8613`, `8613` or `008613`.
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from schemas.errors import CallweaveError

COLUMNS: Final = ("prefix", "name", "country", "kind")
"""The columns that a file may have; the first two it must have."""
_NEEDED: Final = COLUMNS[:2]
MOST_ROWS: Final = 500_000
"""More would not be one insert, and for a moment some of the old prefixes would stand beside some of the new."""
_MOST_FAULTS: Final = 20
_MOST_NAME_CHARS: Final = 200
_PREFIX: Final = re.compile(r"(?:\+|00)?([1-9][0-9]{0,14})")
_COUNTRY: Final = re.compile(r"[A-Za-z]{2}|")
_KIND: Final = re.compile(r"[a-z][a-z0-9_]{0,31}|")


class Prefix(msgspec.Struct, frozen=True, kw_only=True):
    """First digits of numbers, and what is known of the numbers that begin with them."""

    prefix: str
    """The digits with a plus, as `+8613`."""
    name: str
    country: str = ""
    """ISO 3166-1 alpha-2; empty: that of the calling code, if it has one."""
    kind: str = ""
    """One word, as mobile, premium or satellite; empty: not known."""


class PrefixFileError(CallweaveError):
    """A file of prefixes that cannot be used; the message has a line for each fault."""

    code = "usage"


def read_prefixes(data: bytes) -> tuple[Prefix, ...]:
    """Returns the prefixes of a file in its order; raises `PrefixFileError` with all faults."""
    text = _text(data)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    faults: list[str] = []
    found: dict[str, Prefix] = {}
    lines: dict[str, int] = {}
    try:
        header = _header(next(rows, []))
        for values in rows:
            at = rows.line_num
            if not any(value.strip() for value in values):
                continue
            row_faults, one = _row(dict(zip(header, values, strict=False)), len(values), len(header))
            if one is not None and one.prefix in found:
                row_faults.append(f"{one.prefix} stands already in line {lines[one.prefix]}")
            elif one is not None:
                found[one.prefix], lines[one.prefix] = one, at
            faults += (f"line {at}: {fault}" for fault in row_faults)
    except csv.Error as exc:
        faults.append(f"line {rows.line_num}: not CSV: {exc}")
    if not faults and not found:
        faults.append("it has no row under its first line, and would remove every prefix")
    if len(found) > MOST_ROWS:
        faults.append(f"it has {len(found)} prefixes, and at most {MOST_ROWS} can be loaded")
    if faults:
        raise PrefixFileError(_told(faults))
    return tuple(found.values())


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        at = data.count(b"\n", 0, exc.start) + 1
        raise PrefixFileError(_told([f"line {at}: not UTF-8"])) from exc


def _delimiter(text: str) -> str:
    first = text.partition("\n")[0]
    return max(",;\t", key=first.count)


def _header(values: list[str]) -> list[str]:
    names = [value.strip().lower() for value in values]
    faults = [f"line 1: no column {name!r}" for name in _NEEDED if name not in names]
    faults += [f"line 1: no such column as {name!r}" for name in names if name not in COLUMNS]
    faults += [f"line 1: two columns {name!r}" for name in COLUMNS if names.count(name) > 1]
    if faults:
        raise PrefixFileError(_told([*faults, f"the columns are {', '.join(COLUMNS)}"]))
    return names


def _row(values: Mapping[str, str], count: int, wanted: int) -> tuple[list[str], Prefix | None]:
    """Returns the faults of a row, or the prefix that it has."""
    if count != wanted:
        return [f"{count} values for {wanted} columns"], None
    sent = {name: value.strip() for name, value in values.items()}
    country, kind = sent.get("country", ""), sent.get("kind", "").lower()
    digits = _PREFIX.fullmatch(sent["prefix"])
    faults = list(_faults(sent["name"], country, kind))
    if digits is None:
        faults.insert(0, f"{sent['prefix'][:40]!r} is no prefix: + and 1 to 15 digits, the first of them not 0")
    if faults or digits is None:
        return faults, None
    return [], Prefix(prefix=f"+{digits[1]}", name=sent["name"], country=country.upper(), kind=kind)


def _faults(name: str, country: str, kind: str) -> Iterator[str]:
    if not name or not name.isprintable() or len(name) > _MOST_NAME_CHARS:
        yield f"the name must be 1 to {_MOST_NAME_CHARS} characters that can be printed"
    if not _COUNTRY.fullmatch(country):
        yield f"{country[:40]!r} is no country: two letters of ISO 3166-1, as CN, or nothing"
    if not _KIND.fullmatch(kind):
        yield f"{kind[:40]!r} is no kind: one word of letters, digits and _, as mobile, or nothing"


def _told(faults: list[str]) -> str:
    shown = [
        *faults[:_MOST_FAULTS],
        *([f"and {len(faults) - _MOST_FAULTS} more"] if len(faults) > _MOST_FAULTS else []),
    ]
    return "the file of prefixes cannot be used, and nothing was changed:" + "".join(f"\n  {fault}" for fault in shown)
