"""The charts in Superset's form: the parameters of each kind of picture. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from msgspec.structs import replace

from deploy.dashboards.model import TEXT, Chart, Kind, Measure
from deploy.dashboards.style import SCHEME, SEQUENCE
from deploy.dashboards.superset_ids import VERSION, id_of

_VIZ: Final = {
    Kind.NUMBER: "big_number_total",
    Kind.LINE: "echarts_timeseries_line",
    Kind.STACK: "echarts_timeseries_bar",
    Kind.BARS: "echarts_timeseries_bar",
    Kind.COLUMNS: "echarts_timeseries_bar",
    Kind.TABLE: "table",
    Kind.MAP: "world_map",
}
_OVER_TIME: Final = (Kind.LINE, Kind.STACK)


def metric(measure: Measure) -> dict[str, Any]:
    """Returns a measure as a metric of one chart."""
    return {
        "expressionType": "SQL",
        "sqlExpression": measure.sql,
        "label": measure.label,
        "hasCustomLabel": True,
        "optionName": f"metric_{id_of('metric', measure.label + measure.sql)[:8]}",
    }


def chart_file(chart: Chart) -> dict[str, Any]:
    """Returns the file of a chart."""
    viz = _VIZ[chart.kind]
    params = {
        "viz_type": viz,
        "adhoc_filters": [*_time_filter(chart), *_where(chart)],
        "extra_form_data": {},
        "row_limit": chart.limit,
        **_FORMS[chart.kind](chart),
    }
    return {
        "slice_name": chart.question,
        "description": chart.note or None,
        "certified_by": None,
        "certification_details": None,
        "viz_type": viz,
        "params": params,
        "query_context": None,
        "cache_timeout": None,
        "uuid": id_of("chart", chart.slug),
        "version": VERSION,
        "dataset_uuid": id_of("dataset", chart.dataset.name),
    }


def _time_filter(chart: Chart) -> list[dict[str, Any]]:
    """The range of time of the dashboard takes the place of this one's."""
    if not chart.dataset.time:
        return []
    return [
        {
            "clause": "WHERE",
            "comparator": "No filter",
            "expressionType": "SIMPLE",
            "operator": "TEMPORAL_RANGE",
            "subject": chart.dataset.time,
            "filterOptionName": "filter_time",
        }
    ]


def _where(chart: Chart) -> list[dict[str, Any]]:
    if not chart.where:
        return []
    return [
        {
            "clause": "WHERE",
            "expressionType": "SQL",
            "sqlExpression": chart.where,
            "filterOptionName": "filter_where",
        }
    ]


def _number(chart: Chart) -> dict[str, Any]:
    (measure,) = chart.measures
    return {
        "metric": metric(measure),
        "subheader": measure.unit.axis,
        "y_axis_format": measure.unit.d3,
        "header_font_size": 0.5,
        "subheader_font_size": 0.3,
    }


def _axes(chart: Chart) -> dict[str, Any]:
    unit = chart.measures[0].unit
    return {
        "metrics": [metric(one) for one in chart.measures],
        "color_scheme": SCHEME,
        "y_axis_format": unit.d3,
        "rich_tooltip": True,
        "show_legend": True,
        "legendType": "scroll",
        "legendOrientation": "top",
        "truncate_metric": True,
        "show_empty_columns": True,
        "comparison_type": "values",
        "y_axis_title_position": "Left",
    }


def _over_time(chart: Chart) -> dict[str, Any]:
    unit = chart.measures[0].unit
    return {
        **_axes(chart),
        "x_axis": chart.x,
        "time_grain_sqla": chart.grain or None,
        "groupby": list(chart.by),
        "x_axis_title": chart.x_title,
        "x_axis_title_margin": 30,
        "y_axis_title": unit.axis,
        "y_axis_title_margin": 60,
        "x_axis_time_format": _CLOCKS[chart.grain],
        "tooltipTimeFormat": "%Y-%m-%d %H:%M",
        "x_axis_sort_asc": True,
        "order_desc": True,
        **_STROKES[chart.kind],
        **({} if unit.top is None else {"truncateYAxis": True, "y_axis_bounds": [0, unit.top]}),
    }


_CLOCKS: Final = {"P1D": "%Y-%m-%d", "PT1H": "%m-%d %H:%M", "PT5M": "%H:%M", "PT1M": "%H:%M", "": "%H:%M"}
"""The form of instants on an axis, for each length of a step."""
_STROKES: Final[Mapping[Kind, Mapping[str, Any]]] = {
    Kind.LINE: {"seriesType": "line", "markerEnabled": True, "markerSize": 4, "y_axis_bounds": [None, None]},
    Kind.STACK: {"stack": "Stack", "orientation": "vertical", "y_axis_bounds": [None, None]},
}


def _by_value(chart: Chart) -> dict[str, Any]:
    """Bars by the values of a column. In Superset a horizontal chart's axes keep their names, and swap their places."""
    bars = chart.kind is Kind.BARS
    unit = chart.measures[0].unit
    return {
        **_axes(chart),
        "x_axis": chart.by[0],
        "groupby": list(chart.by[1:]),
        "orientation": "horizontal" if bars else "vertical",
        "x_axis_sort": chart.measures[0].label if bars else chart.by[0],
        "x_axis_sort_asc": True,
        "order_desc": True,
        "show_legend": bool(chart.by[1:]),
        "show_value": True,
        # In a horizontal chart the titles change their places with the axes.
        "x_axis_title": "" if bars else chart.x_title,
        "x_axis_title_margin": 30,
        "y_axis_title": unit.axis,
        "y_axis_title_margin": 30 if bars else 60,
        "xAxisForceCategorical": True,
    }


def _table(chart: Chart) -> dict[str, Any]:
    heads = {one: _with_unit(one) for one in chart.measures}
    columns: dict[str, Any] = {
        heads[one].label: {"d3NumberFormat": one.unit.d3, "horizontalAlign": "right"}
        for one in chart.measures
        if one.unit.d3
    }
    order = [part.strip().split() for part in chart.order.split(",") if part]
    base = {
        "table_timestamp_format": "%Y-%m-%d %H:%M:%S.%L",
        "server_pagination": False,
        "page_length": 0,
        "show_cell_bars": False,
        "column_config": columns,
        "order_desc": True,
        "include_search": False,
    }
    if not chart.measures:
        return {
            **base,
            "query_mode": "raw",
            "all_columns": list(chart.by),
            "order_by_cols": [f'["{name}", {"false" if rest else "true"}]' for name, *rest in order],
        }
    return {
        **base,
        "query_mode": "aggregate",
        "groupby": list(chart.by),
        "metrics": [metric(one) for one in heads.values()],
        **(_ordered(*order[0]) if order else {}),
    }


def _with_unit(measure: Measure) -> Measure:
    """Returns it with its unit in its name, since Superset writes none behind a figure of a table."""
    short = measure.unit.short
    return replace(measure, label=f"{measure.label} ({short})") if short else measure


def _ordered(name: str, *rest: str) -> dict[str, Any]:
    """Returns the order of rows that are groups: by a column of theirs, and not by the first figure."""
    return {
        "timeseries_limit_metric": metric(Measure(f"the order by {name}", f"max({name})", TEXT)),
        "order_desc": bool(rest),
    }


def _map(chart: Chart) -> dict[str, Any]:
    return {
        "entity": chart.by[0],
        "country_fieldtype": "cca2",
        "metric": metric(chart.measures[0]),
        "color_by": "metric",
        "show_bubbles": False,
        "linear_color_scheme": SEQUENCE,
        "y_axis_format": chart.measures[0].unit.d3,
    }


_FORMS: Final = {
    Kind.NUMBER: _number,
    Kind.LINE: _over_time,
    Kind.STACK: _over_time,
    Kind.BARS: _by_value,
    Kind.COLUMNS: _by_value,
    Kind.TABLE: _table,
    Kind.MAP: _map,
}
