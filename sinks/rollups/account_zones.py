"""The table of accounts' time zones, which the sink keeps as the settings say, and the figures that follow it."""

from datetime import datetime
from typing import Final

from schemas.errors import SetupError
from sinks.clickhouse import ClickHouse
from sinks.rollups.marks import Marks
from sinks.rollups.statements import elsewhere
from sinks.rollups.zones import Zones

TABLE: Final = "account_zones"


async def follow(clickhouse: ClickHouse, marks: Marks, zones: Zones, oldest: datetime) -> None:
    """Writes the zones where others are stored, and marks the slots whose figures are of another zone or revision.

    Figures of slots before `oldest` stay as they are. It may be broken off and done again at any time. Raises
    `SetupError` for a zone that ClickHouse does not know, and `Unavailable`.
    """
    await _check(clickhouse, zones)
    await marks.set_where(elsewhere(clickhouse.database, zones, oldest))
    table = f"{clickhouse.database}.{TABLE}"
    rows = await clickhouse.query(f"SELECT vendor, account, time_zone FROM {table} FINAL")  # noqa: S608 - our own name
    stored = {(vendor, account): zone for vendor, account, zone in rows}
    wanted = dict.fromkeys(stored, "") | dict(zones.of)
    changed = [(*account, zone) for account, zone in wanted.items() if stored.get(account, "") != zone]
    if changed:
        await clickhouse.insert_rows(table, ("vendor", "account", "time_zone"), changed)


async def _check(clickhouse: ClickHouse, zones: Zones) -> None:
    rows = await clickhouse.query(
        "SELECT time_zone FROM system.time_zones WHERE time_zone IN {names:Array(String)}", {"names": list(zones.names)}
    )
    unknown = sorted({*zones.names} - {name for (name,) in rows})
    if unknown:
        raise SetupError(
            f"ClickHouse does not know the time zone {unknown[0]}",
            code="zone",
            advice="Set another name of it, or run a newer ClickHouse.",
        )
