"""Decodes Kafka records of the sink's topics: many of one schema into columns, all others each to an object. Pure."""

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import compress
from typing import Any, Final

import numpy as np

from schemas import topics
from schemas.codec import HEAD_BYTES, Codec, Codecs, PublishedSchema, schema_text
from schemas.dead_letter import DeadLetter
from schemas.errors import Undecodable
from schemas.facts import Fact
from schemas.ledger.entries import decode_entries
from schemas.timeline import Timeline
from sinks.columns import Table
from sinks.flush.batch import Origin
from sinks.flush.sink_dead_letter import dead_letter_of
from sinks.rows import DEAD_LETTERS, TABLE_OF_TYPE, TIMELINES, table_of
from sinks.scanning.scanned import Scanned
from sinks.scanning.scanner import Part, Scanner
from sinks.scanning.source import Numbers
from sinks.writing.ledger import LEDGER
from sinks.writing.records import Records

log: Final = logging.getLogger(__name__)

Tables = Sequence[tuple[Table[Any], Records]]
Made = Callable[[Origin], Any]

TOPICS: Final = (topics.NORMALIZED.name, topics.TIMELINES.name, topics.DEAD.name, topics.LEDGER.name)
"""The topics that the sink consumes."""
MANY: Final = 300
"""Records from which on columns take less than objects: a column takes some steps, however few records there are."""


def read(topic: str, value: bytes | None, codecs: Codecs) -> tuple[Table[Any], Any] | None:
    """Returns the table and the typed record; None for a tombstone of a compacted topic. Raises `Undecodable`."""
    if is_tombstone(topic, value):
        return None
    return _READERS[topic](value, codecs)


def is_tombstone(topic: str, value: bytes | None) -> bool:
    """True for a record of a compacted topic that makes no row."""
    return value is None and topic == topics.TIMELINES.name


def _fact(value: bytes | None, codecs: Codecs) -> tuple[Table[Any], Any]:
    fact = codecs.fact.decode(value)
    return table_of(fact), fact


def _timeline(value: bytes | None, codecs: Codecs) -> tuple[Table[Any], Any]:
    timeline = codecs.timeline.decode(value)
    if not timeline.timeline_id:
        raise Undecodable("a timeline without an id", code="schema")
    return TIMELINES, timeline


def _dead_letter(value: bytes | None, codecs: Codecs) -> tuple[Table[Any], Any]:
    return DEAD_LETTERS, codecs.dead_letter.decode(value)


def _entries(value: bytes | None, _codecs: Codecs) -> tuple[Table[Any], Any]:
    return LEDGER, decode_entries(value)


def gathered(origins: Mapping[str, Sequence[Origin]], codecs: Codecs) -> tuple[Tables, list[DeadLetter]]:
    """Returns the records of each table, and the dead letters of what is none; takes the records of each topic."""
    tables: list[tuple[Table[Any], Records]] = []
    dead_letters: list[DeadLetter] = []
    for topic, came in origins.items():
        parts = _scanned(topic, came, codecs)
        left = np.ones(len(came), np.bool_)
        for _, numbers, _ in parts:
            left[numbers] = False
        objects: dict[str, tuple[Table[Any], dict[int, Any]]] = {}
        for number in np.flatnonzero(left).tolist():
            found = _read(came[number], codecs, dead_letters)
            if found is not None:
                objects.setdefault(found[0].name, (found[0], {}))[1][number] = found[1]
        for table, numbers, scanned in parts:
            _, own = objects.pop(table.name, (table, {}))
            tables.append((table, _together(came, numbers, scanned, own, _made(topic, codecs))))
        tables += [(table, Records.of([*own.values()], [came[n] for n in own])) for table, own in objects.values()]
    return tables, dead_letters


def _read(origin: Origin, codecs: Codecs, dead_letters: list[DeadLetter]) -> tuple[Table[Any], Any] | None:
    """Decodes one record, or adds its dead letter."""
    at = origin.position
    try:
        return read(at.topic, origin.value, codecs)
    except Undecodable as exc:
        dead_letters.append(dead_letter_of(origin, "schema", str(exc)))
    except Exception as exc:  # noqa: BLE001  # no record may end the process
        log.error("%s[%d] %d cannot be read: %s", at.topic, at.partition, at.offset, type(exc).__name__)  # noqa: TRY400 - the exception's text may quote values
        dead_letters.append(dead_letter_of(origin, "internal", type(exc).__name__))
    return None


def _together(
    origins: Sequence[Origin], numbers: Numbers, scanned: Scanned, objects: Mapping[int, Any], made: Made
) -> Records:
    """Returns scanned records and objects in the order in which they came."""
    all_numbers = np.concatenate((numbers, np.fromiter(objects, np.int64, len(objects))))
    order = np.argsort(all_numbers)
    places = np.concatenate((np.arange(len(numbers)), np.full(len(objects), -1)))[order]
    at = np.flatnonzero(places < 0).tolist()
    return Records(
        [origins[number] for number in all_numbers[order].tolist()],
        dict(zip(at, objects.values(), strict=True)),
        scanned,
        places,
        made,
    )


def _made(topic: str, codecs: Codecs) -> Made:
    codec: Codec[Any] = codecs.fact if topic == topics.NORMALIZED.name else codecs.timeline
    return lambda origin: codec.decode(origin.value)


def _scanned(topic: str, origins: Sequence[Origin], codecs: Codecs) -> list[tuple[Table[Any], Numbers, Scanned]]:
    """Returns the columns of each table, and the numbers of their records; nothing of few records."""
    if topic not in _RECORDS or len(origins) < MANY:
        return []
    codec: Codec[Any] = codecs.fact if topic == topics.NORMALIZED.name else codecs.timeline
    values = [origin.value or b"" for origin in origins]
    is_newest = [value[:HEAD_BYTES] in codec.heads for value in values]
    if is_newest.count(True) < MANY:
        return []
    try:
        parts = [*_scanner(codec.newest).parts([*compress(values, is_newest)], HEAD_BYTES)]
        return [*_with_slots(parts, np.flatnonzero(is_newest))]
    except Exception as exc:  # noqa: BLE001  # each record is then read on its own
        log.error("records of %s cannot be read together: %s", topic, type(exc).__name__)  # noqa: TRY400 - as above
        return []


def _with_slots(parts: Sequence[Part], numbers: Numbers) -> Iterator[tuple[Table[Any], Numbers, Scanned]]:
    """Iterates over the columns of each table; a record without a slot or an id is left to be read on its own."""
    for part in parts:
        table = TABLE_OF_TYPE.get(part.word) if part.word else TIMELINES
        if table is None:
            continue
        slot = part.scanned.longs("slot_at").present
        usable = np.ones(len(part.scanned), np.bool_) if slot is None else slot
        if table is TIMELINES:
            usable = usable & (part.scanned.texts("timeline_id").sizes > 0)
        if usable.all() and len(usable):
            yield table, numbers[part.rows], part.scanned
        elif usable.any():
            rows = np.flatnonzero(usable)
            yield table, numbers[part.rows[rows]], part.scanned.of(rows)


@cache
def _scanner(published: PublishedSchema) -> Scanner:
    record, parted_by = (Fact, "fact_type") if published.name == "fact" else (Timeline, "")
    return Scanner(json.loads(schema_text(published)), record, parted_by)


_RECORDS: Final = (topics.NORMALIZED.name, topics.TIMELINES.name)
_READERS: Final[Mapping[str, Callable[[bytes | None, Codecs], tuple[Table[Any], Any]]]] = {
    topics.NORMALIZED.name: _fact,
    topics.TIMELINES.name: _timeline,
    topics.DEAD.name: _dead_letter,
    topics.LEDGER.name: _entries,
}
