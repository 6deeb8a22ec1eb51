"""Writes a run and its records into ClickHouse: the records block by block, the run last, which makes them visible."""

import asyncio
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from deploy.reconcile.classes import Difference, Match, Outcome
from deploy.reconcile.records import NUMBERS, instant, text_of
from deploy.reconcile.totals import Result, Totals
from schemas.backoff import Backoff
from schemas.config.settings import ClickHouseSettings
from schemas.errors import CallweaveError, Unavailable
from sinks.clickhouse import ClickHouse
from sinks.migrate import migrator

BLOCK: Final = 20_000
TRIES: Final = 4
"""The most tries for one insert; a run of hours must not end for a server that is restarted."""
_BACKOFF: Final = Backoff(first_s=1.0, cap_s=8.0)
_NOBODY: Final = uuid.UUID(int=0)
_PRICE: Final = "Nullable(Decimal(18, 6))"
_WORD: Final = "LowCardinality(String)"
_RECORD: Final[Mapping[str, str]] = {
    "run_id": "UUID",
    "line": "UInt64",
    "record_id": "UUID",
    "class": _WORD,
    "vendor": _WORD,
    "account": "String",
    "account_id": "String",
    "kind": _WORD,
    "vendor_call_id": "String",
    "started_at": "Nullable(DateTime64(6, 'UTC'))",
    "their_billed_s": "Nullable(UInt32)",
    "our_billed_s": "Nullable(UInt32)",
    "their_cost": _PRICE,
    "our_cost": _PRICE,
    "their_currency": _WORD,
    "our_currency": _WORD,
    "differences.field": f"Array({_WORD})",
    "differences.theirs": "Array(String)",
    "differences.ours": "Array(String)",
    "note": "String",
    "version": "UInt64",
}
_COUNTS: Final = tuple(str(match) for match in Match)


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """The values that all records of a run have alike."""

    run_id: uuid.UUID
    version: int
    vendor: str
    account: str


class ResultWriter:
    """Collects the records of a run and inserts them block by block."""

    def __init__(self, client: ClickHouse, run: Run, backoff: Backoff = _BACKOFF) -> None:
        self._client = client
        self._run = run
        self._backoff = backoff
        self._rows: list[tuple[Any, ...]] = []

    async def add(self, outcomes: Iterable[Outcome]) -> None:
        """Adds records; raises `Unavailable`, `SetupError`."""
        for outcome in outcomes:
            self._rows.append(row_of(outcome, self._run))
            if len(self._rows) >= BLOCK:
                await self._flush()

    async def finish(self, result: Result, settings: str) -> None:
        """Inserts what is left, and then the run; raises as above."""
        await self._flush()
        values = _run_values(result, self._run, settings)
        await self._insert("reconciliations", list(values), [list(values.values())])

    async def _flush(self) -> None:
        rows, self._rows = self._rows, []
        if rows:
            await self._insert("reconciled_records", list(_RECORD), rows, list(_RECORD.values()))

    async def _insert(
        self, table: str, names: Sequence[str], rows: Sequence[Sequence[Any]], types: Sequence[str] = ()
    ) -> None:
        """Inserts rows and tries again while a server is away for a short time: a row that came twice is one row."""
        for attempt in range(TRIES):
            try:
                await self._client.insert_rows(f"{self._client.database}.{table}", names, rows, types)
            except Unavailable:
                if attempt == TRIES - 1:
                    raise
                await asyncio.sleep(self._backoff.delay_s(attempt))
            else:
                break


def row_of(outcome: Outcome, run: Run) -> tuple[Any, ...]:
    """Returns the row of a record. Phone numbers stand in no row."""
    theirs, ours = outcome.theirs, outcome.ours
    one = theirs or ours
    assert one is not None, "a record has a side"
    return (
        run.run_id,
        theirs.line if theirs else 0,
        uuid.UUID(ours.record_id) if ours else _NOBODY,
        str(outcome.match),
        run.vendor,
        run.account,
        (ours or one).account_id,
        (ours or one).kind,
        one.call_id,
        instant(one.start_at if one.start_at is not None or ours is None else ours.start_at),
        theirs.billed_s if theirs else None,
        ours.billed_s if ours else None,
        _fitting(theirs.cost if theirs else None),
        _fitting(ours.cost if ours else None),
        theirs.currency if theirs else "",
        ours.currency if ours else "",
        [difference.field for difference in outcome.differences],
        [_shown(difference, difference.theirs) for difference in outcome.differences],
        [_shown(difference, difference.ours) for difference in outcome.differences],
        outcome.note,
        run.version,
    )


def _fitting(amount: Decimal | None) -> Decimal | None:
    """Returns an amount that its column holds."""
    return amount if amount is None or amount < Decimal(10**12) else None


def _shown(difference: Difference, value: Any) -> str:
    return "" if difference.field in NUMBERS else text_of(difference.field, value)


def _run_values(result: Result, run: Run, settings: str) -> dict[str, Any]:
    totals: Totals = result.totals
    begin, end = result.period
    money = totals.currencies
    return {
        "run_id": run.run_id,
        "ran_at": result.ran_at,
        "vendor": run.vendor,
        "account": run.account,
        "file_name": result.file_name,
        "file_sha256": result.sha256,
        "matched_by": "id" if "id" in result.matched_by.split() else "numbers_and_start",
        "period_from": begin,
        "period_until": end,
        "compared": list(result.compared),
        "tolerance_s": result.tolerance_s,
        "tolerance_cost": result.tolerance_cost,
        "settings": settings,
        **{name: totals.counts[Match(name)] for name in _COUNTS},
        "left_out": sum(totals.skipped.values()),
        "their_records": totals.theirs.records,
        "our_records": totals.ours.records,
        "their_billed_s": totals.theirs.seconds,
        "our_billed_s": totals.ours.seconds,
        "costs.currency": money,
        "costs.theirs": [totals.theirs.money.get(name, Decimal()) for name in money],
        "costs.ours": [totals.ours.money.get(name, Decimal()) for name in money],
        "version": run.version,
    }


def version_of(ran_at: datetime) -> int:
    """Returns the version of a run: its milliseconds since 1970."""
    return int(ran_at.timestamp() * 1000)


async def drop_older(settings: ClickHouseSettings, run: Run) -> bool:
    """Deletes the records of earlier runs of this id, which no view shows; returns False where nobody may delete."""
    try:
        async with ClickHouse(migrator(settings)) as client:
            older = "run_id = {run:UUID} AND version < {version:UInt64}"
            given = {"run": str(run.run_id), "version": run.version}
            table = f"{client.database}.reconciled_records"
            ((count,),) = await client.query(f"SELECT count() FROM {table} WHERE {older}", given)  # noqa: S608 - our own names
            if count:
                await client.command(f"ALTER TABLE {table} DELETE WHERE {older}", given)
    except CallweaveError:
        return False
    return True
