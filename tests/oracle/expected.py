"""Expected rows of the views and counts of the books (guarantee 7), computed from the simulator's ledger.

A row is optional when some element that makes it was never acknowledged: it may be absent or present, and its columns
are not compared.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from deploy.simulator.expectation import Columns, Expectation
from deploy.simulator.sending.ledger import LedgerEntry
from schemas.facts import FactType
from tests.oracle.timelines import timeline

_RECORDING: Final = ("none", "pending", "available")
_COUNTED: Final = frozenset({"vendor_duration_s", "billable_s", "cost", "answer_at", "end_at"})


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One row that a view must show; several rows may share a key."""

    key: tuple[str, ...]
    columns: Columns
    legs: tuple[Columns, ...] = ()
    optional: bool = False


class Counts(msgspec.Struct, kw_only=True):
    """A vendor's elements by outcome."""

    elements: int = 0
    facts: int = 0
    duplicates: int = 0
    dead: int = 0
    filtered: int = 0
    unsure: int = 0
    """Elements sent without a success answer: each count may be higher by as many."""
    pulled: bool = False
    """Elements and duplicates depend on how often the puller asks: only the facts are certain."""

    @property
    def balanced(self) -> bool:
        """True when the books balance (guarantee 7): elements in are facts, duplicates, dead letters or filtered."""
        return self.elements == self.facts + self.duplicates + self.dead + self.filtered


class Expected(msgspec.Struct, kw_only=True):
    """Everything that must have come out."""

    counts: dict[str, Counts]
    dead: dict[str, dict[str, int]]
    """Dead letters by vendor and code."""
    unsure_dead: dict[str, dict[str, int]]
    cdr: tuple[Row, ...]
    """`v_cdr`, keyed by vendor, kind and call id."""
    events: tuple[Row, ...]
    """`call_events`, keyed by vendor and call id."""
    bindings: tuple[Row, ...]
    """`v_bindings`, keyed by vendor and binding id."""
    timelines: tuple[Row, ...]
    """`v_timelines`, keyed by vendor and call id."""


class _Item:
    """All expectations of one identity."""

    def __init__(self) -> None:
        self.contents: dict[str, Expectation] = {}
        self.maybe: set[str] = set()

    def add(self, expectation: Expectation, *, certain: bool) -> bool:
        """Notes one expectation, the acknowledged ones first; returns True when its content is new."""
        new = expectation.content not in self.contents
        self.contents.setdefault(expectation.content, expectation)
        if new and not certain:
            self.maybe.add(expectation.content)
        return new

    @property
    def optional(self) -> bool:
        return bool(self.maybe)


def expect(entries: Iterable[LedgerEntry]) -> Expected:
    """Folds a ledger; the order of its entries does not matter."""
    counts: dict[str, Counts] = defaultdict(Counts)
    dead: dict[str, Counter[str]] = defaultdict(Counter)
    unsure_dead: dict[str, Counter[str]] = defaultdict(Counter)
    items: dict[tuple[str, str], _Item] = defaultdict(_Item)
    acked_first = sorted(entries, key=lambda entry: not entry.acked)
    for entry, expectation in [(one, each) for one in acked_first for each in one.expected]:
        count = counts[expectation.vendor]
        count.pulled |= entry.pulled
        count.unsure += entry.lost_answers
        if expectation.dead:
            unsure_dead[expectation.vendor][expectation.dead] += entry.lost_answers
        new = bool(expectation.identity) and items[expectation.vendor, expectation.identity].add(
            expectation, certain=entry.acked
        )
        if entry.acked:
            count.elements += 1
            count.dead += bool(expectation.dead)
            count.facts += new
            count.duplicates += not expectation.dead and not new
            dead[expectation.vendor][expectation.dead] += bool(expectation.dead)
    known = list(items.values())
    return Expected(
        counts=dict(counts),
        dead={vendor: dict(+codes) for vendor, codes in dead.items()},
        unsure_dead={vendor: dict(+codes) for vendor, codes in unsure_dead.items()},
        cdr=tuple(_row(item, "vendor", "kind", "call") for item in known if _type(item) == FactType.RECORD),
        events=tuple(_row(item, "vendor", "call") for item in known if _type(item) == FactType.STATE),
        bindings=_newest_bindings(known),
        timelines=_timelines(known),
    )


def _type(item: _Item) -> str:
    return next(iter(item.contents.values())).fact_type


def merged(contents: Mapping[str, Expectation]) -> Expectation:
    """Returns one expectation of a fact with several contents: the one that stands, else all that they agree on."""
    versions = list(contents.values())
    whole = max(versions, key=lambda version: version.rank)
    if whole.rank:
        return msgspec.structs.replace(whole, columns=whole.columns | _dispute(versions))
    columns: Columns = {}
    for name in sorted({name for version in versions for name in version.columns}):
        # A column that only one version claims, as a recording that came later, is not disputed by the others.
        values = [version.columns[name] for version in versions if name in version.columns]
        if name == "recording_state":
            columns[name] = max((str(value) for value in values), key=_RECORDING.index)
        elif all(value == values[0] for value in values):
            columns[name] = values[0]
    disputed = any(len({version.columns.get(name) for version in versions}) > 1 for name in _COUNTED)
    columns["conflict_final"] = disputed
    return msgspec.structs.replace(versions[0], columns=columns)


def _dispute(versions: list[Expectation]) -> Columns:
    """The flag that a row must have for a contradiction; where the newest content counts, nothing is claimed."""
    if any(version.disputes for version in versions):
        return {"conflict_final": True}
    return {}


def _row(item: _Item, *key: str) -> Row:
    expectation = merged(item.contents)
    columns = dict(expectation.columns)
    if expectation.fact_type != FactType.RECORD:
        columns.pop("conflict_final", None)
    return Row(key=tuple(getattr(expectation, part) for part in key), columns=columns, optional=item.optional)


def _newest_bindings(items: list[_Item]) -> tuple[Row, ...]:
    """The newest row of each binding: a row of its own, or that of a call over it."""
    rows: dict[tuple[str, str], list[tuple[int, Row]]] = defaultdict(list)
    for item in items:
        for expectation in item.contents.values():
            if not expectation.binding:
                continue
            columns = dict(expectation.binding)
            key, revised = (expectation.vendor, str(columns.pop("binding_id"))), columns.pop("revised_at")
            assert isinstance(revised, int)
            rows[key].append((revised, Row(key=key, columns=columns, optional=item.optional)))
    newest = []
    for versions in rows.values():
        _, row = max(versions, key=lambda version: version[0])
        sure = not any(version.optional for _, version in versions)
        newest.append(row if sure else msgspec.structs.replace(row, optional=True))
    return tuple(newest)


def _timelines(items: list[_Item]) -> tuple[Row, ...]:
    calls: dict[tuple[str, str], list[_Item]] = defaultdict(list)
    for item in items:
        first = next(iter(item.contents.values()))
        if first.fact_type != FactType.BINDING:
            calls[first.vendor, first.call].append(item)
    rows = []
    for key, parts in calls.items():
        columns, legs = timeline([merged(part.contents) for part in parts])
        rows.append(Row(key=key, columns=columns, legs=legs, optional=any(part.optional for part in parts)))
    return tuple(rows)
