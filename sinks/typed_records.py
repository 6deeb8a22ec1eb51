"""Decodes a Kafka record of the sink's topics to a typed record and its table. Pure."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from schemas import topics
from schemas.codec import Codecs
from schemas.errors import Undecodable
from schemas.ledger.entries import decode_entries
from sinks.columns import Table
from sinks.rows import DEAD_LETTERS, TIMELINES, table_of
from sinks.writing.ledger import LEDGER

TOPICS: Final = (topics.NORMALIZED.name, topics.TIMELINES.name, topics.DEAD.name, topics.LEDGER.name)
"""The topics that the sink consumes."""


def read(topic: str, value: bytes | None, codecs: Codecs) -> tuple[Table[Any], Any] | None:
    """Returns the table and the typed record; None for a tombstone of a compacted topic. Raises `Undecodable`."""
    if value is None and topic == topics.TIMELINES.name:
        return None
    return _READERS[topic](value, codecs)


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


_READERS: Final[Mapping[str, Callable[[bytes | None, Codecs], tuple[Table[Any], Any]]]] = {
    topics.NORMALIZED.name: _fact,
    topics.TIMELINES.name: _timeline,
    topics.DEAD.name: _dead_letter,
    topics.LEDGER.name: _entries,
}
