"""The dashboards in the form in which Grafana is provisioned with them. Pure."""

from collections.abc import Iterable
from typing import Any, Final

from deploy.dashboards.grafana_sql import statement, values, variable
from deploy.dashboards.model import Chart, Dashboard, Filter, Kind, Unit
from deploy.dashboards.style import BLUES, CALM, OKABE_ITO

SOURCE: Final = {"type": "grafana-clickhouse-datasource", "uid": "callweave"}
_SCHEMA: Final = 41
_COLUMNS: Final = 24
_PIXELS: Final = 8 / 38
"""Superset counts heights in 8 pixels, Grafana in 38."""
_FORMAT: Final = {Kind.LINE: 0, Kind.STACK: 0}
"""The plugin's formats: 0 for series over time, 1 for a table."""
_TABLE: Final = 1
_AHEAD: Final = "now+14h"
"""The end of the axis of a page with local times: in the zone that is most ahead of UTC it is that late already."""
_GRAINS: Final = {"": "5m", "PT1M": "1m", "PT5M": "5m", "PT1H": "1h", "P1D": "1d"}
_PANELS: Final = {
    Kind.NUMBER: "stat",
    Kind.LINE: "timeseries",
    Kind.STACK: "timeseries",
    Kind.BARS: "barchart",
    Kind.COLUMNS: "barchart",
    Kind.TABLE: "table",
    Kind.MAP: "geomap",
}


def files(dashboards: Iterable[Dashboard]) -> dict[str, dict[str, Any]]:
    """Returns the content of each file, by its name."""
    return {f"{board.slug}.json": _dashboard(board) for board in dashboards}


def _dashboard(board: Dashboard) -> dict[str, Any]:
    return {
        "uid": f"callweave-{board.slug}",
        "title": board.title,
        "description": board.about,
        "tags": ["callweave"],
        "schemaVersion": _SCHEMA,
        "editable": False,
        "graphTooltip": 1,
        # Instants are UTC, and local times are as the clock showed them: neither moves to the browser's zone.
        "timezone": "utc",
        "time": {"from": f"now-{_short(board.last)}", "to": _AHEAD if board.has_local_times else "now"},
        "refresh": f"{board.refresh_s}s" if board.refresh_s else "",
        "templating": {"list": [_variable(one) for one in board.filters]},
        "annotations": {"list": []},
        "links": [
            {"type": "dashboards", "tags": ["callweave"], "title": "Callweave", "asDropdown": True, "keepTime": True}
        ],
        "panels": _panels(board),
    }


def _short(last: str) -> str:
    count, unit = last.split()
    return count + unit[0]


def _variable(one: Filter) -> dict[str, Any]:
    base = {"name": variable(one), "label": one.name, "description": one.note, "hide": 0, "skipUrlSync": False}
    if one.is_typed:
        return {**base, "type": "textbox", "query": "", "current": {"text": "", "value": ""}}
    return {
        **base,
        "type": "query",
        "datasource": SOURCE,
        "query": values(one),
        "definition": values(one),
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "current": {"text": "All", "value": "$__all"},
    }


def _panels(board: Dashboard) -> list[dict[str, Any]]:
    about = {
        "id": 1,
        "type": "text",
        "title": "",
        "gridPos": {"x": 0, "y": 0, "w": _COLUMNS, "h": 2},
        "options": {"mode": "markdown", "content": board.about},
    }
    panels = [about]
    top = 2
    for row in board.rows:
        left = 0
        height = max(round(max(chart.height for chart in row) * _PIXELS), 4)
        for chart in row:
            width = chart.width * _COLUMNS // 12
            place = {"x": left, "y": top, "w": width, "h": height}
            panels.append({"id": len(panels) + 1, "gridPos": place, **_panel(board, chart)})
            left += width
        top += height
    return panels


def _panel(board: Dashboard, chart: Chart) -> dict[str, Any]:
    over_time = chart.kind in _FORMAT
    return {
        "type": _PANELS[chart.kind],
        "title": chart.question,
        "description": chart.note,
        "datasource": SOURCE,
        **({"interval": _GRAINS[chart.grain]} if over_time else {}),
        "targets": [
            {
                "refId": "A",
                "datasource": SOURCE,
                "pluginVersion": "",
                "editorType": "sql",
                "queryType": "timeseries" if over_time else "table",
                "format": _FORMAT.get(chart.kind, _TABLE),
                "rawSql": statement(board, chart),
            }
        ],
        "fieldConfig": {"defaults": _defaults(chart), "overrides": _overrides(chart)},
        "options": _OPTIONS[chart.kind](chart),
    }


def _look(unit: Unit) -> dict[str, Any]:
    return {"unit": unit.grafana, "decimals": unit.decimals}


def _defaults(chart: Chart) -> dict[str, Any]:
    fixed = {"mode": "fixed", "fixedColor": CALM}
    if chart.kind is Kind.TABLE:
        return {"color": fixed, "custom": {"align": "auto", "filterable": True}}
    unit = chart.measures[0].unit
    base = {**_look(unit), "color": fixed, "noValue": "nothing"}
    if chart.kind not in _FORMAT:
        custom = {"axisLabel": unit.axis, "axisPlacement": "auto"} if chart.kind in (Kind.BARS, Kind.COLUMNS) else {}
        return {**base, "custom": custom}
    bars = chart.kind is Kind.STACK
    return {
        **base,
        **({} if unit.top is None else {"min": 0, "max": unit.top}),
        "custom": {
            "axisLabel": unit.axis,
            "drawStyle": "bars" if bars else "line",
            "fillOpacity": 90 if bars else 0,
            "lineWidth": 0 if bars else 2,
            "showPoints": "auto",
            "stacking": {"mode": "normal" if bars else "none", "group": "A"},
        },
    }


def _overrides(chart: Chart) -> list[dict[str, Any]]:
    if chart.kind is Kind.TABLE:
        return [
            {
                "matcher": {"id": "byName", "options": one.label},
                "properties": [
                    {"id": "unit", "value": one.unit.grafana},
                    {"id": "decimals", "value": one.unit.decimals},
                ],
            }
            for one in chart.measures
        ]
    if chart.kind in _FORMAT and chart.by:
        return [_colour("byRegexp", f"/^{n + 1} /", colour) for n, colour in enumerate(OKABE_ITO)]
    return [_colour("byName", one.label, colour) for one, colour in zip(chart.measures, OKABE_ITO, strict=False)]


def _colour(matcher: str, of: str, colour: str) -> dict[str, Any]:
    return {
        "matcher": {"id": matcher, "options": of},
        "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": colour}}],
    }


def _legend(_chart: Chart) -> dict[str, Any]:
    return {
        "legend": {"showLegend": True, "displayMode": "list", "placement": "bottom", "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }


def _bars(chart: Chart) -> dict[str, Any]:
    return {
        "orientation": "horizontal" if chart.kind is Kind.BARS else "vertical",
        "xField": chart.by[0],
        "showValue": "always",
        "legend": {"showLegend": bool(chart.by[1:]), "displayMode": "list", "placement": "bottom", "calcs": []},
    }


def _stat(_chart: Chart) -> dict[str, Any]:
    return {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "none",
        "graphMode": "none",
        "textMode": "value",
    }


def _table(_chart: Chart) -> dict[str, Any]:
    return {"showHeader": True, "cellHeight": "sm", "footer": {"show": False, "reducer": [], "countRows": False}}


def _map(chart: Chart) -> dict[str, Any]:
    label = chart.measures[0].label
    return {
        "view": {"id": "zero", "lat": 0, "lon": 0, "zoom": 1},
        "basemap": {"type": "default", "name": "Base"},
        "layers": [
            {
                "type": "markers",
                "name": label,
                "location": {"mode": "lookup", "lookup": chart.by[0], "gazetteer": "public/gazetteer/countries.json"},
                "config": {
                    "showLegend": True,
                    "style": {
                        "size": {"field": label, "fixed": 5, "min": 4, "max": 30},
                        "color": {"fixed": BLUES[3]},
                        "opacity": 0.6,
                    },
                },
                "tooltip": True,
            }
        ],
    }


_OPTIONS: Final = {
    Kind.NUMBER: _stat,
    Kind.LINE: _legend,
    Kind.STACK: _legend,
    Kind.BARS: _bars,
    Kind.COLUMNS: _bars,
    Kind.TABLE: _table,
    Kind.MAP: _map,
}
