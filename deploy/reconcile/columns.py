"""The columns of a file: guessed from its first rows, shown as a map that people edit, and read from one. Pure.

A file is read in one of two ways. Where its columns are the vendor's own fields, the vendor's mapping reads each row,
so that a record has the identity and the values that it has when it is pushed. Otherwise each column has one of a few
meanings, which are enough to compare and not enough to import.
"""

import json
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from deploy.reconcile.column_words import CALL_ID, FROM, MEANINGS, START, START_DATE, TO, meaning_of, says_bill
from deploy.reconcile.rows.bounds import Numbered, Row, UnreadableFile
from schemas.body.member_keys import Names, spelt_as
from schemas.vendor_kit.contract import Callback, Vendor

HEAD_ROWS: Final = 20
"""The rows among which the one with the headings is looked for: files begin with titles and periods."""
_LEAST_FIELDS: Final = 3
_PROBE: Final = "probe0001"


class Column(msgspec.Struct, frozen=True):
    """One column of a file; `meaning` is a vendor's field or one of `MEANINGS`, "" for a column that is not read."""

    heading: str
    meaning: str = ""


class FileMap(msgspec.Struct, frozen=True, kw_only=True):
    """The way in which the rows of a file are read."""

    reads: Literal["fields", "meanings"]
    callback: str = ""
    """The vendor's callback whose fields the columns are."""
    holder: str = ""
    """The key of the envelope that holds such elements, "" for elements that stand alone."""
    header: int = 1
    """The row with the headings; 0: there is none, and the columns are called 1, 2, 3."""
    columns: tuple[Column, ...] = ()
    constants: Mapping[str, str] = {}
    """Fields that are alike in all rows and stand in none."""
    ids: tuple[str, ...] = ()
    """The fields that may name the call; it follows from callback and holder."""

    @property
    def meanings(self) -> frozenset[str]:
        """All that the file says of a call."""
        return frozenset(column.meaning for column in self.columns if column.meaning) | self.constants.keys()


class _Fields(msgspec.Struct, frozen=True):
    """The fields of one kind of payload."""

    callback: Callback
    holder: str
    names: frozenset[str]
    spelling: Names
    ids: frozenset[str]


def guessed(rows: Sequence[Numbered], vendor: Vendor) -> FileMap:
    """Returns the map of a file by its first rows; raises `UnreadableFile` when no row has headings that are known."""
    candidates = [(number, headings_of(row)) for number, row in rows[:HEAD_ROWS]]
    best: tuple[int, FileMap | None] = (0, None)
    for number, headings in candidates:
        for fields in _kinds(vendor):
            columns = _once(Column(name, _field(name, fields)) for name in headings)
            named = {column.meaning for column in columns if column.meaning}
            if len(named) >= _LEAST_FIELDS and named & fields.ids and len(named) > best[0]:
                found = FileMap(
                    reads="fields",
                    callback=fields.callback.name,
                    holder=fields.holder,
                    header=number,
                    columns=columns,
                    ids=tuple(sorted(fields.ids)),
                )
                best = (len(named), found)
    if best[1] is not None:
        return best[1]
    for number, headings in candidates:
        columns = _once(Column(name, meaning_of(name)) for name in headings)
        named = {column.meaning for column in columns if column.meaning}
        if _tells_calls(named) and len(named) > best[0]:
            best = (len(named), FileMap(reads="meanings", header=number, columns=columns))
    if best[1] is None:
        raise UnreadableFile("no row of the file has headings that are known: --show-map prints a map to fill in")
    return best[1]


def empty(rows: Sequence[Numbered]) -> FileMap:
    """Returns a map to be filled in: the first row has the headings, and none of them is known."""
    number, row = rows[0] if rows else (0, [])
    return FileMap(reads="meanings", header=number, columns=tuple(map(Column, headings_of(row))))


def _tells_calls(named: Iterable[str]) -> bool:
    known = set(named)
    return CALL_ID in known or (bool(known & {START, START_DATE}) and bool(known & {FROM, TO}))


def headings_of(row: Row) -> list[str]:
    """Returns the headings of a row, each different: a second "时间" is "时间#2"."""
    seen: dict[str, int] = {}
    found = []
    for at, cell in enumerate(row, 1):
        name = " ".join(cell.split())[:200] or f"{at}"
        seen[name] = seen.get(name, 0) + 1
        found.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return found


def _once(columns: Iterable[Column]) -> tuple[Column, ...]:
    """Returns the columns with each meaning at one: that of a bill before others, and of several the first."""
    given = tuple(columns)
    chosen: dict[str, int] = {}
    for at, column in enumerate(given):
        held = chosen.setdefault(column.meaning, at)
        if says_bill(column.heading) and not says_bill(given[held].heading):
            chosen[column.meaning] = at
    return tuple(column if chosen[column.meaning] == at else Column(column.heading) for at, column in enumerate(given))


def _field(heading: str, fields: _Fields) -> str:
    name = spelt_as(heading, fields.spelling)
    return name if name in fields.names else ""


def _kinds(vendor: Vendor) -> Iterable[_Fields]:
    """Yields the fields that may stand side by side: those of all kinds that one envelope, or none, holds."""
    for callback in vendor.callbacks:
        held_by: dict[str, set[str]] = {}
        inside = {kind: holder for holder, kinds in callback.holders.items() for kind in kinds}
        for kind, documented in callback.documented.items():
            held_by.setdefault(inside.get(kind, ""), set()).update(documented)
        for holder, names in held_by.items():
            spelling = callback.words.held[holder] if holder else callback.words.top
            known = frozenset(names) | (frozenset(callback.also) & spelling.exact)
            ids = frozenset(name for name in known if callback.key(_probing(holder, name)) == _PROBE)
            yield _Fields(callback, holder, known, spelling, ids)


def _probing(holder: str, name: str) -> bytes:
    """Returns a body with one field, by which the callback tells if that field is the call's id."""
    element = {name: _PROBE}
    return json.dumps({holder: [element]} if holder else element).encode()


def callback_of(vendor: Vendor, name: str) -> Callback:
    """Returns a vendor's callback; raises `UnreadableFile` for one that it has not."""
    for callback in vendor.callbacks:
        if callback.name == name:
            return callback
    raise UnreadableFile(f"{vendor.name} has no callback {name!r}, but: {', '.join(c.name for c in vendor.callbacks)}")


def written(found: FileMap, vendor: Vendor) -> str:
    """Returns a map as TOML for people to edit."""
    lines = [
        "# How the rows of the file are read. A column that is not named here is not read.",
        f'# reads = "fields": the columns are fields of {vendor.name}, and its own mapping reads them.',
        '# reads = "meanings": each column is one of',
        *(f"#   {meaning}: {sentence}" for meaning, sentence in MEANINGS.items()),
        f"reads = {_quoted(found.reads)}",
        *((f"callback = {_quoted(found.callback)}",) if found.callback else ()),
        *((f"holder = {_quoted(found.holder)}",) if found.holder else ()),
        f"header = {found.header}  # the row with the headings; 0: there is none, and the columns are called 1, 2, 3",
        "",
        "[columns]",
        *(
            f"{'' if column.meaning else '# '}{_quoted(column.heading)} = {_quoted(column.meaning)}"
            for column in found.columns
        ),
        "",
        "[constants]  # fields that are alike in all rows and stand in none",
        *(f"{_quoted(name)} = {_quoted(value)}" for name, value in found.constants.items()),
    ]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    # Of the characters that TOML wants escaped JSON leaves one out.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def read_map(text: str, rows: Sequence[Numbered], vendor: Vendor) -> FileMap:
    """Returns the map in a TOML text for a file with these first rows; raises `UnreadableFile`."""
    try:
        given: dict[str, Any] = tomllib.loads(text)
        map_ = msgspec.convert(given, _Written)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as exc:
        raise UnreadableFile(f"the map cannot be read: {exc}") from exc
    row = next((cells for number, cells in rows if number == map_.header), None) if map_.header else []
    if row is None:
        raise UnreadableFile(f"row {map_.header}, which the map calls the headings, is not among the first of the file")
    width = max((len(cells) for _, cells in rows), default=0)
    headings = headings_of(row) if map_.header else [str(at + 1) for at in range(width)]
    if unknown := sorted(map_.columns.keys() - set(headings)):
        raise UnreadableFile(f"the file has no column {unknown[0]!r}")
    named = [*filter(None, map_.columns.values()), *map_.constants]
    if twice := sorted(name for name, count in Counter(named).items() if count > 1):
        raise UnreadableFile(f"the map names {twice[0]!r} more than once: one column, or one constant, can be that")
    return FileMap(
        reads=map_.reads,
        callback=map_.callback,
        holder=map_.holder,
        header=map_.header,
        columns=tuple(Column(name, map_.columns.get(name, "")) for name in headings),
        constants=map_.constants,
        ids=_ids_of(map_, named, vendor) if map_.reads == "fields" else _require_meanings(map_, named),
    )


def _require_meanings(map_: "_Written", named: Sequence[str]) -> tuple[str, ...]:
    """Raises `UnreadableFile` for meanings that there are not, or that tell no calls apart; returns no fields."""
    if wrong := sorted(set(named) - MEANINGS.keys()):
        raise UnreadableFile(f"{wrong[0]!r} is none of: {', '.join(MEANINGS)}")
    if CALL_ID in map_.constants or not _tells_calls(map_.columns.values()):
        raise UnreadableFile(f"a map names a column for {CALL_ID}, or for {START} and one of the numbers")
    return ()


def _ids_of(map_: "_Written", named: Sequence[str], vendor: Vendor) -> tuple[str, ...]:
    """Returns the fields that may name the call; raises `UnreadableFile` for fields that the vendor has not."""
    callback_of(vendor, map_.callback)
    kinds = [one for one in _kinds(vendor) if one.callback.name == map_.callback]
    fields = next((one for one in kinds if one.holder == map_.holder), None)
    if fields is None:
        raise UnreadableFile(
            f"records of {map_.callback} stand in no {map_.holder!r}, but in: {', '.join(repr(one.holder) for one in kinds)}"
        )
    if wrong := sorted(set(named) - fields.names):
        raise UnreadableFile(f"{wrong[0]!r} is no field of {vendor.name}, but: {', '.join(sorted(fields.names))}")
    if fields.ids.isdisjoint(map_.columns.values()):
        raise UnreadableFile(f"a map names a column for the call's id: {', '.join(sorted(fields.ids))}")
    return tuple(sorted(fields.ids))


class _Written(msgspec.Struct, forbid_unknown_fields=True):
    """A map as it stands in its file."""

    reads: Literal["fields", "meanings"]
    columns: dict[str, str]
    callback: str = ""
    holder: str = ""
    header: int = 1
    constants: dict[str, str] = {}
