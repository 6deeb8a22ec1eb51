"""ClickHouse as the sink sees it: tables that keep every row, views that show the highest version of each key.

An insert may be applied although its answer is lost, and late. What a key is, the migrations say. It must not know the
sink.
"""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from importlib import resources
from typing import Any, Final, cast

from schemas.errors import Unavailable
from schemas.facts import EPOCH
from sinks.columns import Table
from sinks.flush.placing import identity_of
from sinks.rows import TABLES
from sinks.writing.ledger import LEDGER
from tests.property.whole_way.broker import Weather, refuse, settle
from tests.property.whole_way.loop import Process
from tests.support.kafka.ledger_rows import Key, merged, rows_of
from tests.support.kafka.ledger_rows import Row as Entry

_TABLE: Final = re.compile(
    r"CREATE TABLE IF NOT EXISTS \{\{database\}\}\.(\w+).*?ENGINE = \{\{replacing\}\}.*?ORDER BY \(([^)]*)\)", re.DOTALL
)
_MODIFIED: Final = re.compile(
    r"ALTER TABLE \{\{database\}\}\.(\w+) \{\{on_cluster\}\}[^;]*?MODIFY ORDER BY \(([^)]*)\)", re.DOTALL
)
Row = tuple[int, Any]
"""Version and record."""


def _sorting_keys() -> dict[str, tuple[str, ...]]:
    files = sorted(resources.files("sinks").joinpath("migrations").iterdir(), key=lambda file: file.name)
    text = "\n".join(file.read_text("utf-8") for file in files if file.name.endswith(".sql"))
    definitions = [
        *_TABLE.findall(text),
        *_MODIFIED.findall(text),
    ]  # a later migration's definition comes last of it comes last
    return {name: tuple(part.strip() for part in columns.split(",")) for name, columns in definitions}


def _reader(table: Table[Any]) -> Callable[[Any], tuple[Any, ...]]:
    # The table computes the hash of a call by itself; `tests/contract/views/slots` compares it with ours.
    columns = {column.name: column.value for column in table.columns}
    # A row is looked up by what ClickHouse makes of its id, whose text has several forms.
    columns |= {"row_hash": identity_of, "record_id": identity_of}
    parts = [columns[name] for name in _KEYS[table.name]]
    return lambda record: tuple([part(record) for part in parts])


_KEYS: Final = _sorting_keys()
_READERS: Final = {table.name: _reader(table) for table in TABLES}
_VERSIONS: Final = {
    table.name: next(column.value for column in table.columns if column.name == "version") for table in TABLES
}


def key_of(table: Table[Any], record: Any) -> tuple[Any, ...]:
    """The key columns of each table."""
    return _READERS[table.name](record)


class Stored:
    """Rows by their sorting keys, as they are merged."""

    def __init__(self) -> None:
        self.views: dict[str, dict[tuple[Any, ...], Row]] = {table.name: {} for table in TABLES}
        self.contradictions = 0
        """Rows that differ from an earlier one of the same version."""
        self._said: dict[tuple[Any, ...], Any] = {}
        self.ledger: dict[Key, Entry] = {}
        """The entries that count."""

    def slots(self, sql: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Return the slots of the named rows, as far as they are on the days that are asked for."""
        (table,) = re.findall(r"FROM \w+\.(\w+) ", sql)
        wanted, days = set(values["names"]), values.get("days")
        slots: dict[Any, datetime] = {}
        for slot, identity in self.views[table]:
            if identity in wanted and (days is None or slot.date() in days):
                slots[identity] = min(slot, slots.get(identity, slot))
        return list(slots.items())

    def apply(self, table: Table[Any], records: Sequence[Any]) -> None:
        """Insert rows; of one key the highest version stays, of equal ones the last."""
        if table is LEDGER:
            self._apply_entries([entry for message in records for entry in rows_of(message)])
            return
        view = self.views[table.name]
        version_of = _VERSIONS[table.name]
        for record in records:
            key, version = key_of(table, record), version_of(record)
            if self._said.setdefault((table.name, *key, version), record) != record:
                self.contradictions += 1
            shown = view.get(key)
            if shown is None or version >= shown[0]:
                view[key] = (version, record)

    def _apply_entries(self, entries: list[Entry]) -> None:
        for entry in entries:
            if self._said.setdefault((LEDGER.name, *entry.key, entry.version), entry) != entry:
                self.contradictions += 1
        self.ledger = merged([*self.ledger.values(), *entries])


class ClickHouse(Stored):
    """The tables of one world, behind its network."""

    def __init__(self, weather: Weather) -> None:
        super().__init__()
        self._weather = weather

    def insert_for(self, process: Process) -> Callable[[Table[Any], Sequence[Any]], Any]:
        """Make the `sinks.flush.insert.Insert` of one process."""

        async def insert(table: Table[Any], records: Sequence[Any]) -> None:
            answer = self._weather.loop.create_future()
            if process.alive:
                self._weather.later(self._arrive, table, list(records), answer)
            await answer

        return insert

    def query_for(self, process: Process) -> Callable[[str, Mapping[str, Any]], Any]:
        """Make the query with which the sink of one process looks for rows."""

        async def query(sql: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
            answer = self._weather.loop.create_future()
            if process.alive:
                self._weather.later(self._look, sql, values, answer)
            return cast("list[tuple[Any, ...]]", await answer)

        return query

    def _look(self, sql: str, values: Mapping[str, Any], answer: "asyncio.Future[Any]") -> None:
        weather = self._weather
        if weather.clickhouse_away or weather.chance(0.05):
            weather.later(refuse, answer, Unavailable("it does not answer"))
            return
        found = [(len(_KEYS), EPOCH)] if "rows_moved" in sql else self.slots(sql, values)
        weather.later(settle, answer, found)

    def _arrive(self, table: Table[Any], records: list[Any], answer: "asyncio.Future[Any]") -> None:
        weather = self._weather
        if weather.clickhouse_away or weather.chance(0.05):
            weather.later(refuse, answer, Unavailable("it does not answer"))
            return
        self.apply(table, records)
        if weather.chance(0.05):
            weather.later(refuse, answer, Unavailable("the answer is lost"))
            weather.later(self.apply, table, records)
        else:
            weather.later(settle, answer)
