"""A table's columns as data: the type of each in ClickHouse, and the value that a record has for it. Pure.

Beside each clear phone number stand its token, for joins, and its masked form, for display. A leg that has a number of
its call says which, and has no number, token or masked form of its own; its instants count from those of the call.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final, Generic, TypeVar

import msgspec

from schemas.facts import Leg
from schemas.privacy.masks import masked
from schemas.privacy.tokens import NumberTokens
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
_MICROSECOND: Final = timedelta(microseconds=1)
_CACHED: Final = 32_768
mask: Final = lru_cache(_CACHED)(masked)
NO_TOKENS: Final = NumberTokens("")
"""The tokens without a key: every one is empty."""


Each = Callable[[Sequence[Any], Sequence[Any]], list[Any]]
"""Takes members, and with each its record."""


def _no_members(_records: Sequence[Any], _members: Sequence[Any]) -> list[Any]:
    raise TypeError("a column of records has no members")


def _one(_record: Any) -> int:
    return 1


class Column(msgspec.Struct, Generic[T], frozen=True):
    """One column, its type in ClickHouse, and the function that reads its value from a record."""

    name: str
    type: str
    value: Callable[[T], Any]
    tokens: bool = False
    """True where the values are phone numbers, or lists of them, and the row gets their tokens."""
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
    settings: Mapping[str, int] = {}
    """Settings of its inserts, where the server lets its users change them."""

    @property
    def label(self) -> str:
        """The name of the view that people query, which is also the metrics' label."""
        return self.name.removesuffix("_versions").removesuffix("_by_slot")


def fields(kind: str, names: str) -> tuple[Column[Any], ...]:
    """Returns a column of this type for each name, with the record's field of that name."""
    return tuple(Column(name, kind, attrgetter(name)) for name in names.split())


def of_members(
    parent: str, name: str, kind: str, value: Callable[[Any, Any], Any], *, tokens: bool = False
) -> Column[Any]:
    """Returns the column with a value of every member of the tuple `parent`, which may depend on the record."""
    members: Callable[[Any], Sequence[Any]] = attrgetter(parent)
    return Column(
        f"{parent}.{name}",
        f"Array({kind})",
        lambda record: [value(record, member) for member in members(record)],
        tokens=tokens,
        members=parent,
        each=lambda records, all_members: [*map(value, records, all_members)],
    )


def nested(parent: str, name: str, kind: str) -> Column[Any]:
    """Returns the column with one field of every member of the tuple `parent`, as an array."""
    get: Callable[[Any], Any] = attrgetter(name)
    column = of_members(parent, name, kind, lambda _record, member: get(member))
    return msgspec.structs.replace(column, each=lambda _records, members: [*map(get, members)])


def of_leg(name: str, kind: str) -> Column[Any]:
    """Returns the column with a field of every leg."""
    return nested("legs", name, kind)


def leg_instant(name: str) -> Column[Any]:
    """Returns the column with an instant of every leg, in microseconds from the call's own, which is mostly near."""
    get: Callable[[Any], datetime | None] = attrgetter(f"{name}_at")

    def offset(record: Any, leg: Leg) -> int | None:
        at = get(leg)
        return None if at is None else (at - (get(record) or slot_of(record))) // _MICROSECOND

    return of_legs(f"{name}_us", "Nullable(Int64)", offset)


def party(record: Any, leg: Leg) -> str:
    """Returns which number of the call a leg has: it is then stored once, with its token and its masked form."""
    if leg.number is None:
        return ""
    return "from" if leg.number == record.from_number else "to" if leg.number == record.to_number else ""


def own_number(record: Any, leg: Leg) -> str | None:
    """Returns the number of a leg that has none of its call's."""
    return None if party(record, leg) else leg.number


def of_legs(name: str, kind: str, value: Callable[[Any, Leg], Any], *, tokens: bool = False) -> Column[Any]:
    """Returns the column with a value of every leg, which may depend on its call."""
    return of_members("legs", name, kind, value, tokens=tokens)


def stand_ins(names: str) -> tuple[Column[Any], ...]:
    """Returns the columns with the token and the masked form of each phone number."""
    columns: list[Column[Any]] = []
    for name in names.split():
        get: Callable[[Any], str | None] = attrgetter(f"{name}_number")
        columns.append(Column(f"{name}_token", TEXT, get, tokens=True))
        columns.append(Column(f"{name}_masked", TEXT, _masked_by(get)))
    return tuple(columns)


def _masked_by(get: Callable[[Any], str | None]) -> Callable[[Any], str]:
    return lambda record: mask(get(record))


def nested_stand_ins(parent: str, name: str, number: str) -> tuple[Column[Any], ...]:
    """Returns the same for a phone number of every member of the tuple `parent`."""
    get: Callable[[Any], str | None] = attrgetter(number)
    return (
        of_members(parent, f"{name}_token", TEXT, lambda _record, member: get(member), tokens=True),
        of_members(parent, f"{name}_masked", TEXT, lambda _record, member: mask(get(member))),
    )
