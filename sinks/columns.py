"""A table's columns as data: the type of each in ClickHouse, and the value that a record has for it. Pure.

Beside each clear phone number stand its token, for joins, and its masked form, for display. A leg that has a number of
its call says which, and has no number, token or masked form of its own; its instants count from those of the call.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final, Generic, Literal, TypeVar

import msgspec

from schemas.facts import Leg
from schemas.privacy.masks import masked
from schemas.privacy.tokens import NumberTokens
from schemas.reading.remembered import Remembered
from sinks.scanning import derived
from sinks.scanning.leaves import Longs, Texts
from sinks.scanning.scanned import Coded, Scanned
from sinks.slots import slot_of

T = TypeVar("T")

WORD: Final = "LowCardinality(String)"
TEXT: Final = "String"
PHONE: Final = "Nullable(String)"
TIME: Final = "Nullable(DateTime64(6, 'UTC'))"
CLOCK: Final = "DateTime64(3, 'UTC')"
MAP: Final = "Map(LowCardinality(String), String)"
AMOUNT: Final = "Nullable(UInt32)"
CODE: Final = "Nullable(UInt16)"
_CACHED: Final = 32_768
mask: Final = lru_cache(_CACHED)(masked)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
MICROSECONDS: Final = Remembered[datetime, int](lambda instant: (instant - _EPOCH) // _MICROSECOND, 1 << 12)
"""The microseconds since 1970 of instants, which come again in several columns and records."""
NO_TOKENS: Final = NumberTokens("")
"""The tokens without a key: every one is empty."""


Shows = Literal["", "token", "masked"]
"""The form in which a column has phone numbers; "" for all values as they are."""
Each = Callable[[Sequence[Any], Sequence[Any]], list[Any]]
"""Takes members, and with each its record."""
OfScanned = Callable[[Scanned], Texts | Longs | Coded]
"""Takes scanned records, and returns a value of each, or of each of their members."""


def _no_members(_records: Sequence[Any], _members: Sequence[Any]) -> list[Any]:
    raise TypeError("a column of records has no members")


def _one(_record: Any) -> int:
    return 1


class Column(msgspec.Struct, Generic[T], frozen=True):
    """One column, its type in ClickHouse, and the function that reads its value from a record."""

    name: str
    type: str
    value: Callable[[T], Any]
    field: str = ""
    """The record's field that `value` reads; "" where it is more than a field."""
    scanned: OfScanned | None = None
    """Returns the same values of scanned records, or of their members; None where those of `field` are."""
    shows: Shows = ""
    members: str = ""
    """The field of which the column has a value of every member; "" for a column with a value of the record."""
    each: Each = _no_members
    """Returns the value of each member, which may depend on its record; not for a column of records."""


class Table(msgspec.Struct, Generic[T], frozen=True):
    """One table that keeps all versions of a row."""

    name: str
    columns: tuple[Column[T], ...]
    rows_of: Callable[[T], int] = _one
    """Returns the number of rows that a record makes."""
    written: Callable[["Table[T]", Sequence[T]], bytes] | None = None
    """Returns the blocks of records whose columns are packed already."""

    def count(self, records: Sequence[T]) -> int:
        """Returns the number of rows that records make."""
        return len(records) if self.rows_of is _one else sum(map(self.rows_of, records))

    @property
    def label(self) -> str:
        """The name of the view that people query, which is also the metrics' label."""
        return self.name.removesuffix("_versions").removesuffix("_by_slot")


def fields(kind: str, names: str) -> tuple[Column[Any], ...]:
    """Returns a column of this type for each name, with the record's field of that name."""
    return tuple(Column(name, kind, attrgetter(name), field=name) for name in names.split())


def of_members(
    parent: str, name: str, kind: str, each: Each, shows: Shows = "", scanned: OfScanned | None = None
) -> Column[Any]:
    """Returns the column with a value of every member of the tuple `parent`, which may depend on the record."""
    of_record: Callable[[Any], Sequence[Any]] = attrgetter(parent)

    def value(record: Any) -> list[Any]:
        members = of_record(record)
        return each([record] * len(members), members)

    return Column(f"{parent}.{name}", f"Array({kind})", value, scanned=scanned, shows=shows, members=parent, each=each)


def nested(parent: str, name: str, kind: str, shows: Shows = "", field: str = "") -> Column[Any]:
    """Returns the column with one field, by default that of its name, of every member of the tuple `parent`."""
    get: Callable[[Any], Any] = attrgetter(field or name)
    path = f"{parent}.{field or name}"
    each: Each = lambda _records, members: [*map(get, members)]  # noqa: E731 - used once
    return of_members(parent, name, kind, each, shows, lambda scanned: scanned.leaf(path))


def of_leg(name: str, kind: str) -> Column[Any]:
    """Returns the column with a field of every leg."""
    return nested("legs", name, kind)


def leg_instant(name: str) -> Column[Any]:
    """Returns the column with an instant of every leg, in microseconds from the call's own, which is mostly near."""
    get: Callable[[Any], datetime | None] = attrgetter(f"{name}_at")

    def offset(record: Any, leg: Leg) -> int | None:
        at = get(leg)
        return None if at is None else MICROSECONDS[at] - MICROSECONDS[get(record) or slot_of(record)]

    each: Each = lambda records, legs: [*map(offset, records, legs)]  # noqa: E731 - used once
    return of_members("legs", f"{name}_us", "Nullable(Int64)", each, scanned=derived.leg_instant(f"{name}_at"))


def _party(record: Any, leg: Leg) -> str:
    number = leg.number
    if number is None:
        return ""
    return "from" if number == record.from_number else "to" if number == record.to_number else ""


def parties(records: Sequence[Any], legs: Sequence[Leg]) -> list[str]:
    """Returns which number of its call each leg has: it is then stored once, with its token and its masked form."""
    return [*map(_party, records, legs)]


def own_numbers(records: Sequence[Any], legs: Sequence[Leg]) -> list[str | None]:
    """Returns the numbers of the legs that have none of their call's."""
    return [None if _party(record, leg) else leg.number for record, leg in zip(records, legs, strict=True)]


def stand_ins(names: str) -> tuple[Column[Any], ...]:
    """Returns the columns with the token and the masked form of each phone number."""
    columns: list[Column[Any]] = []
    for name in names.split():
        field = f"{name}_number"
        columns.append(Column(f"{name}_token", TEXT, attrgetter(field), field=field, shows="token"))
        columns.append(Column(f"{name}_masked", TEXT, attrgetter(field), field=field, shows="masked"))
    return tuple(columns)


def nested_stand_ins(parent: str, name: str, number: str) -> tuple[Column[Any], ...]:
    """Returns the same for a phone number of every member of the tuple `parent`."""
    return (
        nested(parent, f"{name}_token", TEXT, "token", number),
        nested(parent, f"{name}_masked", TEXT, "masked", number),
    )
