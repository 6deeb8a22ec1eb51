"""Differences between the ledger's expectations and the rows of the views, in sentences for people."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Final

import msgspec

from deploy.simulator.expectation import FLAG, Columns
from tests.oracle.expected import Counts, Expected, Row

Actual = Mapping[str, object]
"""One row of a view by column name; legs as arrays under `legs.role`, `legs.number`, ..."""

_KEYS: Final = {
    "v_cdr": ("vendor", "kind", "vendor_call_id"),
    "call_events": ("vendor", "vendor_call_id"),
    "v_bindings": ("vendor", "binding_id"),
    "v_timelines": ("vendor", "vendor_call_id"),
}
_DIGITS: Final = re.compile(r"[^0-9]")


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One value or row that is not as expected."""

    view: str
    key: tuple[str, ...]
    column: str = ""
    expected: object = None
    actual: object = None

    def __str__(self) -> str:
        where = f"{self.view} {' / '.join(self.key)}" + (f" .{self.column}" if self.column else "")
        return f"{where}: expected {_shown(self.column, self.expected)}, found {_shown(self.column, self.actual)}"


def compare(
    expected: Expected,
    *,
    cdr: Iterable[Actual] | None = None,
    events: Iterable[Actual] | None = None,
    bindings: Iterable[Actual] | None = None,
    timelines: Iterable[Actual] | None = None,
    dead: Iterable[Actual] | None = None,
) -> list[Difference]:
    """Returns all differences of the views that are given; `dead` are rows with at least `vendor` and `code`."""
    found: list[Difference] = []
    views = (
        ("v_cdr", expected.cdr, cdr),
        ("call_events", expected.events, events),
        ("v_bindings", expected.bindings, bindings),
        ("v_timelines", expected.timelines, timelines),
    )
    for view, wanted, actual in views:
        if actual is not None:
            found += _compare_rows(view, wanted, actual)
    return found if dead is None else found + _compare_dead(expected, dead)


def compare_counts(expected: Expected, actual: Mapping[str, Counts]) -> list[Difference]:
    """Returns how the system's books (guarantee 7) differ from the ledger's; `actual` comes from its metrics."""
    found = []
    for vendor, wanted in expected.counts.items():
        count = actual.get(vendor, Counts())
        names = ("facts",) if wanted.pulled else ("elements", "facts", "duplicates", "dead", "filtered")
        for name in names:
            low = getattr(wanted, name)
            if not low <= getattr(count, name) <= low + wanted.unsure:
                found.append(_differs("counts", (vendor,), name, low, getattr(count, name)))
        if not count.balanced:
            parts = count.facts + count.duplicates + count.dead + count.filtered
            found.append(_differs("counts", (vendor,), "balance", count.elements, parts))
    return found


def _compare_rows(view: str, wanted: Sequence[Row], actual: Iterable[Actual]) -> list[Difference]:
    shown: dict[tuple[str, ...], list[Actual]] = defaultdict(list)
    for row in actual:
        shown[tuple(_text(row.get(name)) for name in _KEYS[view])].append(row)
    asked: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for want in wanted:
        asked[want.key].append(want)
    found: list[Difference] = []
    for key, rows in asked.items():
        found += _compare_group(view, key, rows, shown.pop(key, []))
    found += [_differs(view, key, "", "no row", f"{len(rows)} rows") for key, rows in shown.items()]
    return found


def _compare_group(view: str, key: tuple[str, ...], wanted: list[Row], shown: list[Actual]) -> list[Difference]:
    """The differences of one key: each wanted row takes the shown row nearest to it, those that claim most first."""
    optional = sum(row.optional for row in wanted)
    if optional:
        low, high = len(wanted) - optional, len(wanted)
        return [] if low <= len(shown) <= high else [_differs(view, key, "", f"{low} to {high} rows", len(shown))]
    if len(wanted) != len(shown):
        return [_differs(view, key, "", f"{len(wanted)} rows", f"{len(shown)} rows")]
    found: list[Difference] = []
    for want in sorted(wanted, key=lambda want: -len(want.columns)):
        by_row = [_compare_row(view, want, row) for row in shown]
        nearest = min(range(len(shown)), key=lambda index: len(by_row[index]))
        found += by_row[nearest]
        shown = [row for index, row in enumerate(shown) if index != nearest]
    return found


def _compare_row(view: str, want: Row, row: Actual) -> list[Difference]:
    found = []
    for name, value in want.columns.items():
        actual = _column(row, name)
        if _canonical(name, value) != _canonical(name, actual):
            found.append(_differs(view, want.key, name, value, actual))
    return found + (_compare_legs(view, want, row) if want.legs else [])


def _compare_legs(view: str, want: Row, row: Actual) -> list[Difference]:
    names = sorted(want.legs[0])
    wanted = sorted(_leg(names, leg) for leg in want.legs)
    arrays = [row.get(f"legs.{name}") for name in names]
    count = len(arrays[0]) if isinstance(arrays[0], Sequence) else 0
    whole = all(isinstance(array, Sequence) and len(array) == count for array in arrays)
    columns: list[Columns] = (
        [{name: array[i] for name, array in zip(names, arrays, strict=True)} for i in range(count)]  # type: ignore[index]  # all are sequences here
        if whole
        else []
    )
    shown = sorted(_leg(names, leg) for leg in columns)
    return [] if wanted == shown else [_differs(view, want.key, f"legs({', '.join(names)})", wanted, shown)]


def _leg(names: list[str], leg: Columns) -> tuple[str, ...]:
    return tuple(str(_canonical(name, leg.get(name))) for name in names)


def _compare_dead(expected: Expected, rows: Iterable[Actual]) -> list[Difference]:
    shown: dict[tuple[str, str], int] = defaultdict(int)
    for row in rows:
        shown[_text(row.get("vendor")), _text(row.get("code"))] += 1
    wanted = {(vendor, code): n for vendor, codes in expected.dead.items() for code, n in codes.items()}
    found = []
    for key in sorted(shown.keys() | wanted.keys()):
        low = wanted.get(key, 0)
        if not low <= shown[key] <= low + expected.unsure_dead.get(key[0], {}).get(key[1], 0):
            found.append(_differs("dead_letters", key, "", f"{low} rows", f"{shown[key]} rows"))
    return found


def _column(row: Actual, name: str) -> object:
    flag = _flag(name)
    if flag:
        flags = row.get("quality_flags") or ()
        return isinstance(flags, Iterable) and flag in {_text(each) for each in flags}
    return row.get(name)


def _flag(name: str) -> str:
    """The quality flag that a column of the ledger claims, "" for a column of the view."""
    return name if name == "conflict_final" else name.removeprefix(FLAG) if name.startswith(FLAG) else ""


def _canonical(name: str, value: object) -> object:
    """One form for a value that databases and ledgers write differently."""
    if value is None:
        return None
    if name == "leg":
        return _DIGITS.sub("", _text(value))[-11:]
    if name == "cost":
        return Decimal(str(value)).normalize()
    if name.endswith("_at"):
        return _instant_ms(value)
    return bool(value) if name.startswith(("is_", "has_", "conflict_", FLAG)) else _text(value)


def _instant_ms(value: object) -> object:
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if isinstance(value, datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=UTC)
        return round(aware.timestamp() * 1000)
    return value


def _text(value: object) -> str:
    return str(value.value) if isinstance(value, Enum) else str(value)


def _shown(column: str, value: object) -> str:
    if column.endswith("_at") and isinstance(value, int):
        return f"{datetime.fromtimestamp(value / 1000, UTC):%Y-%m-%d %H:%M:%S.%f}"
    return repr(value)


def _differs(view: str, key: tuple[str, ...], column: str, expected: object, actual: object) -> Difference:
    return Difference(view=view, key=key, column=column, expected=expected, actual=actual)
