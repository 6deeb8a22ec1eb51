"""The doctor's look at the ledger: whether every element of every raw record is accounted for."""

from collections.abc import Sequence
from typing import Any, Final

from deploy.doctor.finding import Finding
from schemas.config.settings import ClickHouseSettings
from schemas.errors import CallweaveError
from sinks.clickhouse import ClickHouse

_OPEN: Final = """
SELECT reason, sum(raw_offset_last - raw_offset + 1), min(received_at),
    argMin(concat(topic, '/', toString(raw_partition), '/', toString(raw_offset)), received_at)
FROM {database}.v_ledger_open
WHERE open_s > 600
GROUP BY reason
ORDER BY reason
SETTINGS max_execution_time = 30
"""
"""An element that is open for less than ten minutes may be on its way."""


async def books(settings: ClickHouseSettings) -> Finding:
    """Asks for what is open since ten minutes; a note where the views are not there, or take too long."""
    try:
        async with ClickHouse(settings) as client:
            rows = await client.query(_OPEN.format(database=client.database))
    except CallweaveError as exc:
        return Finding(what="ledger", state="note", detail=f"not checked: {exc}", advice="See ClickHouse.")
    return verdict(rows)


def verdict(rows: Sequence[tuple[Any, ...]]) -> Finding:
    """Judges rows of reason, number, earliest receipt and its place; bad: anything that is open."""
    if not rows:
        return Finding(what="ledger", state="ok", detail="every element is accounted for")
    detail = "\n      ".join(
        f"{reason}: {number}, the first at {place}, received {at:%Y-%m-%d %H:%M} UTC"
        for reason, number, at, place in rows
    )
    return Finding(
        what="ledger",
        state="bad",
        detail=detail,
        advice="v_ledger_open has all coordinates; `callweave replay` of that time brings what calls.raw still has. "
        "Facts that are not joined come by themselves when the workers have caught up.",
    )
