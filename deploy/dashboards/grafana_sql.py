"""The SQL of a chart in Grafana, with the macros of its ClickHouse plugin. Pure."""

from typing import Final

from deploy.dashboards.model import Chart, Dashboard, Dataset, Filter, Kind

SERIES: Final = "Value"
"""The name of a figure with a series for each value of a column: Grafana then names the series by the value alone."""
_OVER_TIME: Final = (Kind.LINE, Kind.STACK)


def variable(one: Filter) -> str:
    """Returns the name of the variable of a filter."""
    return one.column


def statement(board: Dashboard, chart: Chart) -> str:
    """Returns the query of a chart."""
    if chart.kind in _OVER_TIME:
        return _over_time(board, chart)
    figures = [f'{one.sql} AS "{one.label}"' for one in chart.measures]
    parts = [f"SELECT {', '.join([*chart.by, *figures])}", f"FROM {chart.dataset.source}", _where(board, chart)]
    if chart.by and chart.measures:
        parts.append(f"GROUP BY {', '.join(chart.by)}")
    if chart.by:
        parts += [f"ORDER BY {_order(chart)}", f"LIMIT {chart.limit}"]
    return "\n".join(part for part in parts if part)


def values(one: Filter) -> str:
    """Returns the query of what can be chosen in a filter."""
    where = f"\nWHERE {_in_time(one.dataset)}" if one.dataset.time else ""
    return f"SELECT DISTINCT {one.column} FROM {one.dataset.source}{where}\nORDER BY {one.column} LIMIT 1000"  # noqa: S608 - our own words


def _over_time(board: Dashboard, chart: Chart) -> str:
    time = f"$__timeInterval({chart.x}) AS time"
    if not chart.by:
        figures = ", ".join(f'{one.sql} AS "{one.label}"' for one in chart.measures)
        return "\n".join(
            (
                f"SELECT {time}, {figures}",
                f"FROM {chart.dataset.source}",
                _where(board, chart),
                "GROUP BY time",
                "ORDER BY time",
            )
        )
    (measure,) = chart.measures
    series = chart.by[0] if len(chart.by) == 1 else f"concat({', '.join(_spaced(chart.by))})"
    # The number before a name picks its colour, since Grafana knows no palette for colour-blind readers.
    return f"""SELECT time, concat(toString(dense_rank() OVER (ORDER BY name)), ' ', name) AS series, {SERIES}
FROM
(
    SELECT {time}, toString({series}) AS name, {measure.sql} AS {SERIES}
    FROM {chart.dataset.source}
    {_where(board, chart)}
    GROUP BY time, name
)
ORDER BY time, series"""  # noqa: S608 - our own words


def _spaced(names: tuple[str, ...]) -> list[str]:
    return [part for name in names for part in ("' '", f"toString({name})")][1:]


def _order(chart: Chart) -> str:
    if chart.order:
        return chart.order
    return chart.by[0] if chart.kind is Kind.COLUMNS else f'"{chart.measures[0].label}" DESC'


def _where(board: Dashboard, chart: Chart) -> str:
    has = {column.name for column in chart.dataset.columns}
    conditions = [_in_time(chart.dataset)] if chart.dataset.time and not chart.is_local else []
    conditions += [_in_local_time(chart)] if chart.is_local else []
    conditions += [_condition(one) for one in board.filters if one.column in has]
    conditions += [f"({chart.where})"] if chart.where else []
    return "WHERE " + " AND ".join(conditions) if conditions else ""


def _in_time(dataset: Dataset) -> str:
    """Returns the condition on the range of time; of days, on whole ones, since all of them begin at midnight."""
    if dataset.column(dataset.time).type != "Date":
        return f"$__timeFilter({dataset.time})"
    return f"{dataset.time} >= toDate($__fromTime, 'UTC') AND {dataset.time} <= toDate($__toTime, 'UTC')"


def _in_local_time(chart: Chart) -> str:
    """Returns the condition on local times, which Grafana draws where UTC would be; that on UTC limits what is read."""
    day, time = "toIntervalDay(1)", chart.dataset.time
    return f"$__timeFilter({chart.x}) AND {time} >= $__fromTime - {day} AND {time} <= $__toTime + {day}"


def _condition(one: Filter) -> str:
    name = variable(one)
    return f"$__conditionalAll({one.column} IN (${{{name}:singlequote}}), ${name})"
