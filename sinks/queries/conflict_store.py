"""Records whose final contents contradict each other, as `v_conflicts` shows them."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from schemas.facts import RecordContent
from sinks.clickhouse import ClickHouse

_RECORD_COLUMNS: Final = (
    "record_id",
    "call_key",
    "vendor",
    "kind",
    "account",
    "account_id",
    "vendor_call_id",
    "is_resolved",
)
_CONTENT_COLUMNS: Final = tuple(field.name for field in msgspec.structs.fields(RecordContent))
_SELECT: Final = """
WITH chosen AS (SELECT record_id, max(received_at) AS newest FROM {database}.v_conflicts
                WHERE {where} GROUP BY record_id ORDER BY newest DESC, record_id LIMIT {limit})
SELECT {columns} FROM {database}.v_conflicts AS c INNER JOIN chosen USING (record_id)
ORDER BY newest DESC, record_id, is_shown DESC, received_at, digest"""


class ConflictFilter(msgspec.Struct, frozen=True, kw_only=True):
    """The records to select; "" and None mean any."""

    record_id: uuid.UUID | None = None
    vendor: str = ""
    since: datetime | None = None
    """Selects records of which a content was received at this instant or later."""
    resolved_too: bool = False
    limit: int = 100


class Conflict(msgspec.Struct, frozen=True, kw_only=True):
    """One record with all its contents; the one that is shown comes first."""

    record_id: uuid.UUID
    call_key: str
    vendor: str
    kind: str
    account: str
    account_id: str
    vendor_call_id: str
    is_resolved: bool
    contents: tuple[RecordContent, ...]

    @property
    def newest(self) -> datetime:
        """The instant at which the last of its contents was received."""
        return max(content.received_at for content in self.contents)


async def find_conflicts(client: ClickHouse, filters: ConflictFilter) -> list[Conflict]:
    """Returns the selected records, the one received last first. Raises `Unavailable`, `SetupError`."""
    conditions, values = ["1"], dict[str, Any]()
    if filters.record_id is not None:
        conditions.append("record_id = {record_id:UUID}")
        values["record_id"] = str(filters.record_id)
    if filters.vendor:
        conditions.append("vendor = {vendor:String}")
        values["vendor"] = filters.vendor
    if filters.since is not None:
        conditions.append("received_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')")
        values["since"] = int(filters.since.timestamp() * 1000)
    if not filters.resolved_too:
        conditions.append("NOT is_resolved")
    sql = _SELECT.format(
        database=client.database,
        where=" AND ".join(conditions),
        limit=int(filters.limit),
        columns=", ".join(f"c.{name}" for name in (*_RECORD_COLUMNS, *_CONTENT_COLUMNS)),
    )
    return _grouped(await client.query(sql, values))


def _grouped(rows: Sequence[tuple[Any, ...]]) -> list[Conflict]:
    records: dict[tuple[Any, ...], list[RecordContent]] = {}
    for row in rows:
        own, rest = row[: len(_RECORD_COLUMNS)], row[len(_RECORD_COLUMNS) :]
        content = RecordContent(**dict(zip(_CONTENT_COLUMNS, rest, strict=True)))
        records.setdefault(own, []).append(content)
    return [
        Conflict(**dict(zip(_RECORD_COLUMNS, own, strict=True)), contents=tuple(contents))
        for own, contents in records.items()
    ]
