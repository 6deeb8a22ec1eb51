"""Sinks one after the other over the model of the tables: they look rows up, die anywhere, and insert late or twice.

Before the tables are moved, sinks of the release before write those without slots.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal

import msgspec

from schemas.facts import EPOCH
from schemas.topics import NORMALIZED, TIMELINES
from sinks.columns import Table
from sinks.flush.placing import Places, identity_of
from sinks.rows import BINDINGS, CALL_EVENTS, CDR, table_of
from sinks.rows import TIMELINES as CALLS
from sinks.slots import slot_of
from tests.property.mixed_releases.crew import Topics
from tests.property.mixed_releases.releases import RELEASES
from tests.property.whole_way.clickhouse import Stored

READ: Final = (NORMALIZED.name, TIMELINES.name)
SLOTTED: Final[tuple[Table[Any], ...]] = (CDR, CALL_EVENTS, CALLS, BINDINGS)
Fate = Literal["commits", "goes on", "dies first", "dies between", "answer is lost"]


class Store:
    """The tables with slots, and those of before, until they are moved."""

    def __init__(self) -> None:
        self.stored = Stored()
        self.moved_at: datetime | None = EPOCH
        """None before the move; `EPOCH` where there was nothing to move."""
        self.looked_up = 0
        self._before: dict[tuple[str, Any], tuple[Table[Any], Any]] = {}

    async def query(self, sql: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Answer a sink."""
        if "rows_moved" in sql:
            return [(len(SLOTTED) if self.moved_at else 0, self.moved_at)]
        self.looked_up += len(values["names"])
        return self.stored.slots(sql, values)

    def write_before(self, table: Table[Any], records: Sequence[Any]) -> None:
        """Insert rows into the tables of before, as the sinks of that release do."""
        for record in records:
            name = (table.name, identity_of(record))
            known = self._before.get(name)
            if known is None or record.version >= known[1].version:
                self._before[name] = table, record

    def move(self, at: datetime) -> int:
        """Move all rows, each into the slot that its own columns give; returns their number."""
        for table, record in self._before.values():
            unslotted = msgspec.structs.replace(record, slot_at=None)
            self.stored.apply(table, [msgspec.structs.replace(record, slot_at=slot_of(unslotted))])
        self.moved_at = at if self._before else EPOCH
        return len(self._before)


class Taker:
    """The sinks of one history: each begins at the committed offsets, with nothing in its memory."""

    def __init__(self, topics: Topics, store: Store, places: type[Places] = Places) -> None:
        self.committed = dict.fromkeys(READ, 0)
        self._topics = topics
        self._store = store
        self._made = places
        self._late: list[tuple[Table[Any], Sequence[Any]]] = []
        self.start()

    @property
    def is_behind(self) -> bool:
        """True while there is something that no sink has committed."""
        return any(self.committed[topic] < len(self._topics.of[topic]) for topic in READ)

    def start(self) -> None:
        """Start a sink, in the place of one that died."""
        self._places = self._made(self._store.query, "calls")
        self._position = dict(self.committed)

    async def turn(self, most: int, fate: Fate) -> None:
        """Let the sink take up to so many records of each topic, and what became of it."""
        taken = {topic: self._topics.of[topic][self._position[topic] :][:most] for topic in READ}
        if fate == "dies first":
            self.start()
            return
        self._position = {topic: at + len(taken[topic]) for topic, at in self._position.items()}
        tables = list(_by_table(taken).values())
        if fate == "dies between":
            tables = tables[: len(tables) // 2]
        for table, records in tables:
            await self._write(table, records, late=fate == "answer is lost")
        if fate == "commits":
            self.committed = dict(self._position)
        elif fate != "goes on":
            self.start()

    async def _write(self, table: Table[Any], records: Sequence[Any], *, late: bool) -> None:
        if self._store.moved_at is None:
            self._store.write_before(table, records)
            return
        placed = await self._places.placed(table, records)
        if late:
            self._late.append((table, placed))
        else:
            self._store.stored.apply(table, placed)

    def arrive(self) -> None:
        """Let inserts arrive whose sinks did not live to see it."""
        for table, records in self._late:
            self._store.stored.apply(table, records)
        self._late.clear()


def _by_table(taken: Mapping[str, Sequence[Any]]) -> dict[str, tuple[Table[Any], list[Any]]]:
    found: defaultdict[str, tuple[Table[Any], list[Any]]] = defaultdict()
    codecs = RELEASES["newest"]
    for topic, messages in taken.items():
        codec: Any = codecs.timeline if topic == TIMELINES.name else codecs.fact
        for message in messages:
            record = codec.decode(message.value)
            table = CALLS if topic == TIMELINES.name else table_of(record)
            found.setdefault(table.name, (table, []))[1].append(record)
    return dict(found)
