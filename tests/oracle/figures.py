"""Figures as they follow from all calls at once: the views of an older release, which computed them at reading."""

from typing import Final

from schemas.config.settings import ClickHouseSettings
from sinks.migrate import migrations, statements

VIEWS: Final = ("v_kpi_5m", "v_kpi_hour", "v_kpi_day")
_AT_READING: Final = "013_kpi"


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
