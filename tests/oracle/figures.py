"""Figures as they follow from all calls at once: the views of an older release, which computed them at reading.

Tests that insert rows themselves have the figures computed here, as the sink would.
"""

from typing import Final

from schemas.config.settings import ClickHouseSettings
from schemas.metrics import Registry
from sinks.clickhouse import ClickHouse
from sinks.migrate import migrations, statements
from sinks.rollups.marks import Marks
from sinks.rollups.roller import Roller

VIEWS: Final = ("v_kpi_5m", "v_kpi_hour", "v_kpi_day")
_AT_READING: Final = "013_kpi"


async def rolled(db: ClickHouse) -> int:
    """Computes the figures of all calls, as the sink does for those whose slots it marked; returns the slots."""
    marks = Marks(db)
    await marks.set_all()
    return await Roller(db, marks, Registry()).once()


def at_reading(view: str, database: str) -> str:
    """Returns the query that gives what `view` must show, from `v_timelines`."""
    (template,) = (one.template for one in migrations() if one.name == _AT_READING)
    (made,) = (
        one
        for one in statements(template, ClickHouseSettings(database=database))
        if one.startswith(f"CREATE OR REPLACE VIEW {database}.{view} ")
    )
    return made[made.index("WITH calls AS") : made.rindex("COMMENT '")]


def differing(view: str, database: str) -> str:
    """Returns the query of the rows that `view` shows and should not, or should show and does not."""
    shown, wanted = f"SELECT * FROM {database}.{view}", at_reading(view, database)
    # A sum of floating-point numbers is in none of them, so equal figures are equal to the last bit.
    both = f"SELECT toString(tuple(*)) AS row, 1 AS side FROM ({shown}) UNION ALL SELECT toString(tuple(*)), -1 FROM ({wanted})"
    return f"SELECT row, sum(side) AS surplus FROM ({both}) GROUP BY row HAVING surplus != 0 ORDER BY row LIMIT 20"
