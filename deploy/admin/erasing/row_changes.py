"""The rows that an erasure changes, and the statements that change them. Pure.

No statement has the number in it: ClickHouse keeps the text of every mutation in clear (`system.mutations`, its files,
Keeper), longer than anybody would think. So rows are read, the same rule as on the way of a record decides what goes,
and the statements name identities, columns and places alone.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from schemas.enums import Flag
from schemas.privacy.blanking import GONE_TOO, MAPS, NUMBERS, RAWS, TEXTS, Place
from sinks.columns import Table
from sinks.rows import BINDINGS, CALL_EVENTS, CDR, SHOWN_AS, TIMELINES

STATEMENT_BYTES: Final = 100_000
"""Bytes of identities in one statement: servers read a quarter of a megabyte, and Keeper stores one."""
_SEARCHED: Final = (*NUMBERS, *sorted(RAWS), *TEXTS, *MAPS, *GONE_TOO)
_STORED: Final[Mapping[str, str]] = {shown: stored for stored, shown in SHOWN_AS.items() if shown}
_FLAGGED: Final = f"arraySort(arrayDistinct(arrayPushBack(quality_flags, '{Flag.ERASED}')))"


class RowKind(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of one table: their identity, their receipt, and the columns in which a number may stand."""

    table: str
    identity: tuple[str, ...]
    """Columns that name one version of a row, the row's own first."""
    types: tuple[str, ...]
    receipt: str
    columns: tuple[str, ...]
    tokens: tuple[str, ...]
    """Columns with a number's token, which stays where its clear form was kept for fewer days."""
    stand_ins: frozenset[str]
    """Columns with a number's token or masked form."""

    @property
    def key(self) -> str:
        """The identity as SQL."""
        return f"({', '.join(self.identity)})"


def _kind(table: Table[Any], identity: str, identity_type: str, receipt: str) -> RowKind:
    types = {SHOWN_AS.get(column.name, column.name): column.type for column in table.columns}
    return RowKind(
        table=table.name,
        identity=("slot_at", identity, "version"),
        types=("DateTime('UTC')", identity_type, "UInt64"),
        receipt=receipt,
        columns=tuple(name for name in _SEARCHED if name in types),
        tokens=tuple(f"{_base(name)}_token" for name in NUMBERS if f"{_base(name)}_token" in types),
        stand_ins=frozenset(name for name in types if name.endswith(("_token", "_masked"))),
    )


def _base(name: str) -> str:
    """Returns what the names of a number's token and masked form begin with."""
    return name.removesuffix("_number") if name.endswith("_number") else name


KINDS: Final = (
    _kind(CDR, "record_id", "UUID", "received_at"),
    _kind(CALL_EVENTS, "record_id", "UUID", "received_at"),
    _kind(BINDINGS, "record_id", "UUID", "received_at"),
    _kind(TIMELINES, "row_hash", "UInt64", "first_received_at"),
)

Assignments = tuple[tuple[str, str], ...]
"""Columns with the expressions of their new values."""


class FoundRow(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a row with an erased number in it."""

    identity: tuple[Any, ...]
    changes: Assignments


def searched(kind: RowKind, *, texts: bool, shown: bool = False) -> str:
    """Returns the condition that a row with the number fulfils, and few others; `texts`: it is long enough for texts.

    It is one on the table, or with `shown` on its view. The number is in `{core:String}` (digits that every form has),
    `{forms:Array(String)}` and `{tokens:Array(String)}`.
    """
    named = str if shown else _stored
    by_token = [_is_one_of(named(name), "{tokens:Array(String)}") for name in kind.tokens]
    if texts:
        by_number = [_has_core(named(name)) for name in kind.columns if name != "raw_sha256"]
    else:
        numbers = [name for name in kind.columns if name in NUMBERS or name in RAWS]
        by_number = [_is_one_of(named(name), "{forms:Array(String)}") for name in numbers]
    return " OR ".join((*by_number, *by_token))


def read_column(name: str) -> str:
    """Returns the expression that reads a searched column of a table; a leg's number may be stored as its call's."""
    if name == "legs.number":
        chosen = "multiIf(party = 'from', from_number, party = 'to', to_number, own)"
        return f"arrayMap((party, own) -> {chosen}, `legs.party`, `legs.own_number`)"
    return f"`{_stored(name)}`"


def _stored(name: str) -> str:
    return _STORED.get(name, name)


def _is_one_of(name: str, listed: str) -> str:
    return f"arrayExists(each -> has({listed}, ifNull(each, '')), `{name}`)" if "." in name else f"`{name}` IN {listed}"


def places_of_tokens(values: Mapping[str, Any], tokens: frozenset[str]) -> set[Place]:
    """Returns the places of numbers of which a row has no more than the token."""
    found: set[Place] = set()
    for name in NUMBERS:
        value = values.get(f"{_base(name)}_token")
        if isinstance(value, str):
            found |= {(name, None)} if value in tokens else set()
        else:
            found |= {(name, at) for at, token in enumerate(value or ()) if token in tokens}
    return found


def _has_core(name: str) -> str:
    if name in MAPS:
        return f"arrayExists(text -> position(text, {{core:String}}) > 0, mapValues(`{name}`))"
    if "." in name:
        return f"arrayExists(text -> position(ifNull(text, ''), {{core:String}}) > 0, `{name}`)"
    return f"position(ifNull(`{name}`, ''), {{core:String}}) > 0"


def changes(kind: RowKind, places: Iterable[Place]) -> Assignments:
    """Returns how the columns of a row with numbers at these places are to be set."""
    inside: dict[str, list[int | str]] = defaultdict(list)
    scalars: list[str] = []
    for name, at in places:
        for column in map(_stored, (name, *_stand_ins(kind, name))):
            if at is None:
                scalars.append(column)
            else:
                inside[column].append(at)
    made = {column: _nothing(column) for column in scalars}
    for column, members in inside.items():
        listed = ", ".join(literal(each) for each in sorted(members, key=str))
        made[column] = _without_keys(column, listed) if column in MAPS else _without_members(column, members)
    return tuple(sorted({**made, "quality_flags": _FLAGGED}.items()))


def _stand_ins(kind: RowKind, name: str) -> Iterator[str]:
    """Yields the columns with tokens and masked forms of a number's column, and the one that refers to its call's."""
    if name == "legs.number":
        yield "legs.party"
    if name in NUMBERS:
        yield from (each for each in (f"{_base(name)}_token", f"{_base(name)}_masked") if each in kind.stand_ins)


def _nothing(column: str) -> str:
    return "NULL" if SHOWN_AS.get(column, column) in NUMBERS else "''"


def _without_members(column: str, members: Sequence[int | str]) -> str:
    places = ", ".join(str(int(at) + 1) for at in sorted(members))
    return f"arrayMap((value, at) -> if(at IN ({places}), {_nothing(column)}, value), `{column}`, arrayEnumerate(`{column}`))"


def _without_keys(column: str, listed: str) -> str:
    return f"mapApply((name, value) -> (name, if(name IN ({listed}), '', value)), `{column}`)"


def updates(target: str, kind: RowKind, rows: Sequence[FoundRow]) -> Iterator[str]:
    """Yields the statements that change these rows; `target` is the table with what belongs behind its name."""
    alike: dict[Assignments, list[tuple[Any, ...]]] = defaultdict(list)
    for row in rows:
        alike[row.changes].append(row.identity)
    commands = (
        f"UPDATE {', '.join(f'`{column}` = {value}' for column, value in assignments)} WHERE {kind.key} IN ({listed})"
        for assignments, identities in alike.items()
        for listed in chunks(identities)
    )
    # One mutation for many of them: each mutation reads its parts and writes them anew.
    for joined in packed(commands):
        yield f"ALTER TABLE {target} {joined} SETTINGS mutations_sync = 2"


def chunks(identities: Iterable[Sequence[Any]]) -> Iterator[str]:
    """Yields identities as SQL, as many as one statement takes."""
    return packed(f"({', '.join(map(literal, identity))})" for identity in identities)


def packed(texts: Iterable[str]) -> Iterator[str]:
    """Yields texts with commas between them, as many as one statement takes."""
    part: list[str] = []
    size = 0
    for text in texts:
        if part and size + len(text) > STATEMENT_BYTES:
            yield ", ".join(part)
            part, size = [], 0
        part.append(text)
        size += len(text)
    if part:
        yield ", ".join(part)


def literal(value: Any) -> str:
    """Returns a value as SQL."""
    if isinstance(value, int):
        return str(value)
    if isinstance(value, datetime):
        return f"'{value:%Y-%m-%d %H:%M:%S}'"
    escaped = str(value).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def values_of(kind: RowKind, row: Sequence[Any]) -> Mapping[str, Any]:
    """Returns a row's searched columns by name; `row` has the identity first."""
    return dict(zip((*kind.columns, *kind.tokens), row[len(kind.identity) + 2 :], strict=True))
