"""Records of one table on their way into it: columns as long as nothing more is asked of them, otherwise objects. Pure.

It is a sequence of the objects, each of which is made when it is looked at.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, overload

import numpy as np

from schemas.privacy.tokens import NumberTokens
from sinks.columns import Table
from sinks.error_classes import unfit
from sinks.scanning.derived import Odd
from sinks.scanning.scanned import Scanned
from sinks.scanning.source import Numbers
from sinks.slots import slot_of
from sinks.writing.native_block import Block
from sinks.writing.scanned_block import ScannedBlock

log: Final = logging.getLogger(__name__)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_OBJECT: Final = -1
"""The place of a record that is an object."""


class Records(Sequence[Any]):
    """Records in their order, and what each comes from."""

    def __init__(
        self,
        origins: Sequence[Any],
        objects: Mapping[int, Any],
        scanned: Scanned | None = None,
        places: Numbers | None = None,
        made: Callable[[Any], Any] | None = None,
    ) -> None:
        """Takes the objects by their numbers; all others are at `places` among the scanned records.

        `made` returns the object of an origin.
        """
        self.origins = origins
        self.objects = dict(sorted(objects.items()))
        """The objects that there are, by their numbers."""
        self._scanned = scanned
        self._places = np.full(len(origins), _OBJECT) if places is None else places
        self._made = made
        self._columns: tuple[Numbers, Scanned] | None = None

    @classmethod
    def of(cls, objects: Sequence[Any], origins: Sequence[Any] = ()) -> "Records":
        """Returns records that are all objects; the very same ones where they are records already."""
        if isinstance(objects, Records):
            return objects
        return cls(origins or [None] * len(objects), dict(enumerate(objects)))

    def __len__(self) -> int:
        return len(self.origins)

    @overload
    def __getitem__(self, at: int) -> Any: ...
    @overload
    def __getitem__(self, at: slice) -> "Records": ...
    def __getitem__(self, at: int | slice) -> Any:
        if isinstance(at, slice):
            return self._some(range(len(self))[at])
        number = range(len(self))[at]
        if number in self.objects:
            return self.objects[number]
        if self._made is None:
            raise TypeError("a record that is no object, and of which none can be made")
        return self._made(self.origins[number])

    def __iter__(self) -> Iterator[Any]:
        return (self[number] for number in range(len(self)))

    def _some(self, numbers: Sequence[int]) -> "Records":
        objects = {new: self.objects[old] for new, old in enumerate(numbers) if old in self.objects}
        origins = [self.origins[number] for number in numbers]
        return Records(origins, objects, self._scanned, self._places[np.array(numbers, np.int64)], self._made)

    @property
    def columns(self) -> tuple[Numbers, Scanned | None]:
        """The numbers of the records that are no objects, and their columns; None where there are none."""
        if self._columns is None:
            numbers = np.flatnonzero(self._places != _OBJECT)
            if self._scanned is None or not len(numbers):
                return numbers, None
            self._columns = numbers, self._scanned.of(self._places[numbers])
        return self._columns

    def as_objects(self, numbers: Iterable[int]) -> "Records":
        """Returns the same records, those of these numbers as objects; raises `RowsRefused` where one makes none."""
        try:
            return self.changed({number: self[number] for number in numbers})
        except Exception as exc:  # no record may end the process: it becomes a dead letter
            raise unfit("of any object", exc) from exc

    def changed(self, objects: Mapping[int, Any]) -> "Records":
        """Returns the records with these objects in the place of others; None leaves one out."""
        if not objects:
            return self
        places = self._places.copy()
        places[[*objects]] = _OBJECT
        changed = Records(self.origins, {**self.objects, **objects}, self._scanned, places, self._made)
        gone = {number for number, one in objects.items() if one is None}
        return changed._some([number for number in range(len(self)) if number not in gone]) if gone else changed

    def slots(self) -> set[datetime]:
        """Returns the slots of all records."""
        _, scanned = self.columns
        found = set(map(slot_of, self.objects.values()))
        return found if scanned is None else found | {*map(instant, np.unique(scanned.longs("slot_at").values))}

    def block(self, table: Table[Any], tokens: NumberTokens) -> bytes:
        """Returns the records as blocks of a table's rows; raises `RowsRefused` naming a column that holds one not."""
        records, block = self, b""
        while True:
            numbers, scanned = records.columns
            if scanned is None:
                break
            try:
                block = ScannedBlock(scanned, tokens).of(table)
                break
            except Odd as odd:
                records = records.as_objects(numbers[odd.rows].tolist() or numbers.tolist())
            except Exception as exc:  # noqa: BLE001  # each record is then written on its own
                log.error("columns of %s cannot be written: %s", table.label, type(exc).__name__)  # noqa: TRY400 - the exception's text may quote values
                records = records.as_objects(numbers.tolist())
        objects = [*records.objects.values()]
        return block + Block(objects, tokens).of(table) if objects or not block else block


def instant(microseconds: int) -> datetime:
    """Returns the instant so many microseconds after the beginning of 1970."""
    return _EPOCH + timedelta(0, 0, int(microseconds))
