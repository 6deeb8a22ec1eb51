"""Our own records of a vendor's account: read from ClickHouse by slots, a bounded number at a time."""

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from deploy.reconcile.records import CallRecord
from schemas.enums import Kind
from sinks.clickhouse import ClickHouse

_MOST_ROWS: Final = 20_000
"""The most rows that are read at once: each takes some kilobytes while it is a row of the client."""
MARGIN: Final = timedelta(days=1)
"""Records may be moved by so much between both sides and still be found by their slots."""
_US: Final = "toUnixTimestamp64Micro({})"
_INSTANTS: Final = (
    "arrayFilter(at -> isNotNull(at), arrayConcat([setup_at, alerting_at, answer_at, end_at], "
    "`legs.setup_at`, `legs.alerting_at`, `legs.answer_at`, `legs.end_at`))"
)
_COLUMNS: Final = (
    "toString(record_id), vendor_call_id, kind, account_id, from_number, "
    f"if(kind = '{Kind.CONFERENCE_LEG}', `legs.number`[1], to_number), "
    f"{_US.format(f'arrayMin({_INSTANTS})')}, {_US.format('answer_at')}, {_US.format('end_at')}, "
    "billable_s, billable_source = 'vendor', cost, currency, if(disposition = 'unknown', '', disposition), "
    f"is_final, toUnixTimestamp(slot_at), empty({_INSTANTS})"
)
_OURS: Final = (
    "vendor = {vendor:String} AND (has({names:Array(String)}, account) OR has({names:Array(String)}, account_id) "
    "OR (account = '' AND has({ids:Array(String)}, account_id)))"
)


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """The records that are compared."""

    vendor: str
    names: tuple[str, ...]
    """The account as a person says it, our name of it or the vendor's id, and the name under which it is configured."""
    external_ids: tuple[str, ...] = ()
    """The vendor's ids of a configured account: records from before it was configured have no name, but one of them."""
    kinds: tuple[str, ...] = ()
    """The kinds of payload; () for all."""

    def where(self) -> str:
        """Returns the condition on the view."""
        return f"{_OURS} AND has({{kinds:Array(String)}}, kind)" if self.kinds else _OURS

    def values(self) -> dict[str, Any]:
        """Returns the values of that condition."""
        return {
            "vendor": self.vendor,
            "names": list(self.names),
            "ids": list(self.external_ids),
            "kinds": list(self.kinds),
        }


async def held(client: ClickHouse, scope: Scope, begin: datetime, end: datetime) -> AsyncIterator[list[CallRecord]]:
    """Yields our records with slots of a period and its margins; raises `Unavailable`, `SetupError`."""
    first, last = begin - MARGIN, end + MARGIN
    where = f"slot_at >= fromUnixTimestamp({{first:Int64}}) AND slot_at < fromUnixTimestamp({{last:Int64}}) AND {scope.where()}"
    given = {**scope.values(), "first": int(first.timestamp()), "last": int(last.timestamp())}
    counted = await client.query(
        f"SELECT toUnixTimestamp(slot_at), count() FROM {client.database}.v_cdr WHERE {where} GROUP BY 1 ORDER BY 1",  # noqa: S608 - our own names
        given,
    )
    for slots, shares in _pieces(counted):
        for share in range(shares):
            sql = (
                f"SELECT {_COLUMNS} FROM {client.database}.v_cdr "  # noqa: S608 - likewise
                f"WHERE slot_at >= fromUnixTimestamp({{low:Int64}}) AND slot_at <= fromUnixTimestamp({{high:Int64}}) "
                f"AND {scope.where()} AND cityHash64(record_id) % {shares} = {share}"
            )
            yield await _records(client, sql, {**scope.values(), "low": slots[0], "high": slots[1]})


async def held_with_ids(client: ClickHouse, scope: Scope, call_ids: Sequence[str]) -> list[CallRecord]:
    """Returns our records of these calls, whenever they were; raises `Unavailable`, `SetupError`."""
    sql = (
        f"SELECT {_COLUMNS} FROM {client.database}.v_cdr "  # noqa: S608 - likewise
        f"WHERE vendor_call_id IN {{calls:Array(String)}} AND {scope.where()}"
    )
    return await _records(client, sql, {**scope.values(), "calls": list(call_ids)})


async def _records(client: ClickHouse, sql: str, given: dict[str, Any]) -> list[CallRecord]:
    return [_record(row) for row in await client.query(sql, given)]


def _pieces(counted: Iterable[Sequence[Any]]) -> Iterable[tuple[tuple[int, int], int]]:
    """Yields the slots from and to that are read at once, and into how many shares a slot with many is divided."""
    low, high, rows = 0, 0, 0
    for slot, count in counted:
        if rows and rows + count > _MOST_ROWS:
            yield (low, high), 1 + rows // (_MOST_ROWS + 1)
            rows = 0
        low = slot if not rows else low
        high, rows = slot, rows + count
    if rows:
        yield (low, high), 1 + rows // (_MOST_ROWS + 1)


def _record(row: Sequence[Any]) -> CallRecord:
    *_, is_final, slot, timeless = row
    return CallRecord(
        record_id=row[0],
        call_id=row[1],
        kind=row[2],
        account_id=row[3],
        from_number=row[4],
        to_number=row[5],
        start_at=None if timeless else row[6],
        answer_at=row[7],
        end_at=row[8],
        billed_s=row[9],
        is_stated=bool(row[10]),
        cost=row[11],
        currency=row[12] if row[11] is not None else "",
        disposition=row[13],
        slot_at=slot,
        is_final=bool(is_final),
    )


def begun(record: CallRecord) -> datetime:
    """Returns the first instant of a record of ours, its slot where none is known."""
    if record.start_at is None:
        return datetime.fromtimestamp(record.slot_at, UTC)
    return datetime.fromtimestamp(record.start_at // 1_000_000, UTC)
