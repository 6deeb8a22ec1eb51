"""Makes the steps that read an Avro schema's fields of many records. Pure.

It reads what our writers write, as `schemas/reading/record_readers.py` does; all else, and lists of many members, it
leaves unread. It is held against the codec in `tests/unit/sinks/test_typed_records.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np

from sinks.scanning.cursor import Cursor
from sinks.scanning.leaves import NOTHING, Leaf, Lists, Longs, Texts
from sinks.scanning.source import Flags, Numbers

Read = Callable[[Cursor], Leaf]


class Step(msgspec.Struct, frozen=True):
    """A function that reads the next field of all records."""

    read: Read
    is_text: bool = False
    is_optional: bool = False

    def none(self, count: int) -> Leaf:
        """Returns the values of so many records that have none."""
        nothing = np.zeros(count, np.int64)
        present = np.zeros(count, np.bool_) if self.is_optional else None
        return Texts(nothing, nothing, present) if self.is_text else Longs(nothing, present)


class ListStep(msgspec.Struct, frozen=True):
    """A function that reads the next lists, or mappings, of all records."""

    read: Callable[[Cursor], Lists]


_MOST_MEMBERS: Final = 16
"""Members of a list from which on its record is unread: each takes steps of its own."""
_OPTIONAL: Final = ("null", "and a type")
_PRESENT: Final = 2
_MOST_OCTETS: Final = 8
_MOST_AMOUNT: Final = 10**18


def steps(schema: Mapping[str, Any]) -> dict[str, Step | ListStep]:
    """Returns the step of each field, in their order. Raises `TypeError` for a type that none of our schemas has."""
    return {field["name"]: _step(field["type"]) for field in schema["fields"]}


def _step(kind: Any) -> Step | ListStep:
    if isinstance(kind, Mapping) and kind["type"] == "map":
        return _list({"key": _plain("string"), "value": _plain(kind["values"])})
    if isinstance(kind, Mapping) and kind["type"] == "array":
        items = kind["items"]
        if isinstance(items, Mapping) and items["type"] == "record":
            return _list({field["name"]: _plain(field["type"]) for field in items["fields"]})
        return _list({"": _plain(items)})
    return _plain(kind)


def _plain(kind: Any) -> Step:
    if isinstance(kind, list) and kind[:1] == ["null"] and len(kind) == len(_OPTIONAL):
        return _optional(_plain(kind[1]))
    name = (kind["type"], kind.get("logicalType")) if isinstance(kind, Mapping) else kind
    if isinstance(name, list) or name not in _PLAIN:
        raise TypeError(f"no step for {kind}")
    return _PLAIN[name]


def _text(cursor: Cursor) -> Texts:
    return Texts(*cursor.text())


def _long(cursor: Cursor) -> Longs:
    return Longs(cursor.long())


def _truth(cursor: Cursor) -> Longs:
    found = cursor.octet()
    if found.max() > 1:
        cursor.leave(found > 1)
    return Longs(found.astype(np.int64))


def _amount(cursor: Cursor) -> Longs:
    """Reads amounts in millionths, of up to eight bytes."""
    starts, sizes = cursor.text()
    if sizes.max() > _MOST_OCTETS:
        cursor.leave(sizes > _MOST_OCTETS)
        sizes = np.minimum(sizes, _MOST_OCTETS)
    found = cursor.source.eights[starts].byteswap().view(np.int64) >> (
        8 * np.minimum(_MOST_OCTETS - sizes, _MOST_OCTETS - 1)
    )
    found[sizes == 0] = 0
    if found.min() <= -_MOST_AMOUNT or found.max() >= _MOST_AMOUNT:
        cursor.leave((found <= -_MOST_AMOUNT) | (found >= _MOST_AMOUNT))
    return Longs(found)


_PLAIN: Final[Mapping[Any, Step]] = {
    "string": Step(_text, is_text=True),
    "long": Step(_long),
    "boolean": Step(_truth),
    # Eight bytes, and no more are read, are 1,100 years before or after 1970: all of them are instants of `datetime`.
    ("long", "timestamp-micros"): Step(_long),
    ("bytes", "decimal"): Step(_amount),
}


def _optional(step: Step) -> Step:
    def read(cursor: Cursor) -> Leaf:
        kinds = cursor.octet()
        if not kinds.any():
            return optional.none(len(kinds))
        present = kinds == _PRESENT
        if present.all():
            return step.read(cursor)
        cursor.leave(~present & (kinds != 0))
        rows = np.flatnonzero(present)
        if not len(rows):
            return optional.none(len(kinds))
        part = cursor.of(rows)
        found = step.read(part)
        cursor.join(part, rows)
        return _scattered(found, rows, present)

    optional = Step(read, is_text=step.is_text, is_optional=True)
    return optional


def _scattered(found: Leaf, rows: Numbers, present: Flags) -> Leaf:
    def all_of(values: Numbers) -> Numbers:
        made = np.zeros(len(present), np.int64)
        made[rows] = values
        return made

    if isinstance(found, Texts):
        return Texts(all_of(found.starts), all_of(found.sizes), present)
    return Longs(all_of(found.values), present)


def _list(members: Mapping[str, Step]) -> ListStep:
    """Returns what reads lists, or mappings, in one block, as our writers write them."""

    def read(cursor: Cursor) -> Lists:
        counts = cursor.length()
        if not counts.any():
            return Lists(counts, {name: step.none(0) for name, step in members.items()})
        cursor.leave(counts > _MOST_MEMBERS)
        counts[cursor.unread] = 0
        firsts = np.cumsum(counts) - counts
        places, found = [NOTHING], {name: [step.none(0)] for name, step in members.items()}
        for number in range(int(counts.max())):
            rows = np.flatnonzero(counts > number)
            part = cursor.of(rows)
            for name, step in members.items():
                found[name].append(step.read(part))
            cursor.join(part, rows)
            places.append(firsts[rows] + number)
        rows = np.flatnonzero(counts)
        if len(rows):
            part = cursor.of(rows)
            part.leave(part.octet() != 0)
            cursor.join(part, rows)
        order = np.argsort(np.concatenate(places))
        return Lists(counts, {name: _together(leaves).of(order) for name, leaves in found.items()})

    return ListStep(read)


def _together(leaves: Sequence[Leaf]) -> Leaf:
    present: Flags | None = None
    if any(leaf.present is not None for leaf in leaves):
        present = np.concatenate(
            [np.ones(len(leaf), np.bool_) if leaf.present is None else leaf.present for leaf in leaves]
        )
    texts = [leaf for leaf in leaves if isinstance(leaf, Texts)]
    if texts:
        starts, sizes = ([getattr(leaf, name) for leaf in texts] for name in ("starts", "sizes"))
        return Texts(np.concatenate(starts), np.concatenate(sizes), present)
    return Longs(np.concatenate([leaf.values for leaf in leaves if isinstance(leaf, Longs)]), present)
