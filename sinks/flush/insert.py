"""Inserts rows into one table, and finds in a refused batch exactly the rows that are the reason.

Nothing here waits: `Unavailable` goes up to the caller, which repeats all of it. Rows inserted twice converge.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from schemas.errors import Unavailable
from schemas.metrics import Registry
from sinks.columns import Table
from sinks.error_classes import RowsRefused
from sinks.flush.batch import Origin
from sinks.writing.records import Records

Insert = Callable[[Table[Any], Sequence[Any]], Awaitable[None]]


class RefusedRow(msgspec.Struct, frozen=True):
    """One row that its table refuses, and why."""

    origin: Origin
    detail: str
    code: str = "row"
    """The code of its dead letter."""


async def insert_or_bisect(table: Table[Any], rows: Records, insert: Insert, metrics: Registry) -> list[RefusedRow]:
    """Inserts all rows that the table takes and returns the others. Raises `Unavailable`.

    One bad row in n costs about 2 log2(n) inserts.
    """
    refused: list[RefusedRow] = []
    parts = [rows]
    while parts:
        part = parts.pop()
        started_s = time.monotonic()
        try:
            await insert(table, part)
        except Unavailable:
            metrics.add("callweave_sink_inserts_total", table.label, "retry")
            raise
        except RowsRefused as exc:
            metrics.add("callweave_sink_inserts_total", table.label, "refused")
            if len(part) == 1:
                refused.append(RefusedRow(part.origins[0], str(exc), exc.code))
            else:
                middle = len(part) // 2
                parts += [part[middle:], part[:middle]]
        else:
            metrics.add("callweave_sink_inserts_total", table.label, "ok")
            metrics.add("callweave_sink_rows_total", table.label, by=len(part))
            metrics.observe("callweave_sink_insert_seconds", table.label, value=time.monotonic() - started_s)
    return refused
