"""Counts, seconds and money of a reconciliation, by class and by currency. Pure."""

from collections import Counter, defaultdict
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from deploy.reconcile.classes import AGREED, Match, Outcome
from deploy.reconcile.records import CallRecord

SHOWN_OF_CLASS: Final = 200
"""Records of a class that a report names; all of them stand in the table."""


class Sums(msgspec.Struct):
    """Sums over the records of one side."""

    records: int = 0
    seconds: int = 0
    money: dict[str, Decimal] = msgspec.field(default_factory=dict)
    """Money by currency; "" where none is named."""

    def add(self, record: CallRecord) -> None:
        """Adds a record."""
        self.records += 1
        self.seconds += record.billed_s or 0
        if record.cost is not None:
            self.money[record.currency] = self.money.get(record.currency, Decimal()) + record.cost


class Totals:
    """The sums of a run, and the first records of each class in which the sides disagree."""

    def __init__(self) -> None:
        self.counts: Counter[Match] = Counter()
        self.theirs = Sums()
        self.ours = Sums()
        self.fields: Counter[str] = Counter()
        """The records of the class differs by field."""
        self.skipped: Counter[str] = Counter()
        """Rows that are no records of the period, by reason."""
        self.shown: dict[Match, list[Outcome]] = defaultdict(list)
        self.notes: Counter[str] = Counter()
        """Records by what is said beside their class; not of those that cannot be read."""

    def add(self, outcome: Outcome) -> None:
        """Counts one record, or one pair."""
        self.counts[outcome.match] += 1
        if outcome.theirs is not None and outcome.match is not Match.UNREADABLE:
            self.theirs.add(outcome.theirs)
        if outcome.ours is not None:
            self.ours.add(outcome.ours)
        if outcome.match is Match.DIFFERS:
            self.fields.update(one.field for one in outcome.differences if not one.is_tolerated)
        if outcome.note and outcome.match is not Match.UNREADABLE:
            self.notes[f"{outcome.match}: {outcome.note}"] += 1
        if outcome.match is not Match.EQUAL and len(self.shown[outcome.match]) < SHOWN_OF_CLASS:
            self.shown[outcome.match].append(outcome)

    @property
    def agrees(self) -> bool:
        """True when every record is equal or within the tolerance."""
        return not self.counts.keys() - AGREED

    @property
    def currencies(self) -> list[str]:
        """The currencies of both sides."""
        return sorted(self.theirs.money.keys() | self.ours.money.keys())


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """A finished run, as it is shown."""

    run_id: str
    file_name: str
    sha256: str
    vendor: str
    account: str
    matched_by: str
    """A sentence about what pairs the records."""
    period: tuple[datetime | None, datetime | None]
    """The first instant and the one after the last, for which the file counts."""
    zone: str
    compared: tuple[str, ...]
    not_compared: tuple[str, ...]
    """Fields of which one side knows nothing, each with which."""
    tolerance_s: Decimal
    tolerance_cost: Decimal
    ran_at: datetime
    totals: Any
    """The sums, of the class `Totals`."""


def lines(result: Result) -> list[str]:
    """Returns the result as lines for a terminal."""
    totals: Totals = result.totals
    begin, end = result.period
    return [
        f"run {result.run_id}: {result.file_name} against {result.vendor} {result.account}",
        f"  matched by {result.matched_by}",
        f"  period {_utc(begin)} to {_utc(end)} UTC",
        f"  compared: {', '.join(result.compared) or 'nothing'}"
        + (f"; not compared: {', '.join(result.not_compared)}" if result.not_compared else ""),
        *(f"  {match:18} {totals.counts[match]:>12,}" for match in Match),
        *(f"  rows left out: {count:,} ({reason})" for reason, count in sorted(totals.skipped.items())),
        *(f"  {count:,} of {note}" for note, count in sorted(totals.notes.items())),
        *(f"  differs in {name}: {count:,}" for name, count in totals.fields.most_common()),
        f"  {'':18} {'theirs':>18} {'ours':>18} {'difference':>18}",
        *(f"  {name:18} {theirs:>18} {ours:>18} {apart:>18}" for name, theirs, ours, apart in sums(totals)),
    ]


def sums(totals: Totals) -> list[tuple[str, str, str, str]]:
    """Returns the rows of the table of sums: what, theirs, ours, the difference."""
    one, other = totals.theirs, totals.ours
    found = [
        ("records", f"{one.records:,}", f"{other.records:,}", f"{one.records - other.records:+,}"),
        ("seconds", f"{one.seconds:,}", f"{other.seconds:,}", f"{one.seconds - other.seconds:+,}"),
    ]
    for currency in totals.currencies:
        theirs, ours = one.money.get(currency, Decimal()), other.money.get(currency, Decimal())
        found.append((currency or "money", f"{theirs:,f}", f"{ours:,f}", f"{theirs - ours:+,f}"))
    return found


def _utc(at: datetime | None) -> str:
    return "unknown" if at is None else f"{at:%Y-%m-%d %H:%M:%S}"
