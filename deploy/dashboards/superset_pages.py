"""The dashboards in Superset's form: where charts stand, and what can be chosen above them. Pure."""

from typing import Any, Final

from deploy.dashboards.model import Dashboard, Filter
from deploy.dashboards.style import SCHEME
from deploy.dashboards.superset_ids import VERSION, id_of

_ABOUT_HEIGHT: Final = 8


def page(board: Dashboard) -> dict[str, Any]:
    """Returns the file of a dashboard."""
    time = f"NATIVE_FILTER-{board.slug}-time"
    return {
        "dashboard_title": board.title,
        "description": board.about,
        "css": "",
        "slug": board.slug,
        "certified_by": "",
        "certification_details": "",
        "published": True,
        "uuid": id_of("dashboard", board.slug),
        "position": _position(board),
        "metadata": {
            "color_scheme": SCHEME,
            "refresh_frequency": board.refresh_s,
            "timed_refresh_immune_slices": [],
            "expanded_slices": {},
            "label_colors": {},
            "shared_label_colors": [],
            "cross_filters_enabled": False,
            "native_filter_configuration": [
                _range(time, board),
                *(_choice(board, one, time) for one in board.filters),
            ],
        },
        "version": VERSION,
    }


def _range(key: str, board: Dashboard) -> dict[str, Any]:
    count, unit = board.last.split()
    until = "now" if board.until == "now" else "DATEADD(DATETIME('now'), 1, day)"
    value = f"DATEADD(DATETIME('now'), -{count}, {unit.removesuffix('s')}) : {until}"
    return {
        "id": key,
        "name": "Time range",
        "description": "UTC",
        "filterType": "filter_time",
        "type": "NATIVE_FILTER",
        "targets": [{}],
        "controlValues": {"enableEmptyFilter": False},
        "defaultDataMask": {"extraFormData": {"time_range": value}, "filterState": {"value": value}},
        "cascadeParentIds": [],
        "scope": {"rootPath": ["ROOT_ID"], "excluded": []},
    }


def _choice(board: Dashboard, one: Filter, time: str) -> dict[str, Any]:
    return {
        "id": f"NATIVE_FILTER-{board.slug}-{one.column}",
        "name": one.name,
        "description": one.note,
        "filterType": "filter_select",
        "type": "NATIVE_FILTER",
        "targets": [{"column": {"name": one.column}, "datasetUuid": id_of("dataset", one.dataset.name)}],
        # All values are searched in the database, and one that is not listed may be typed.
        "controlValues": {
            "multiSelect": True,
            "enableEmptyFilter": False,
            "defaultToFirstItem": False,
            "searchAllOptions": True,
            "creatable": True,
            "inverseSelection": False,
        },
        "defaultDataMask": {"extraFormData": {}, "filterState": {}, "ownState": {}},
        "cascadeParentIds": [time],
        "scope": {"rootPath": ["ROOT_ID"], "excluded": []},
    }


def _position(board: Dashboard) -> dict[str, Any]:
    about = {
        "id": "MARKDOWN-about",
        "type": "MARKDOWN",
        "children": [],
        "parents": ["ROOT_ID", "GRID_ID", "ROW-about"],
        "meta": {"width": 12, "height": _ABOUT_HEIGHT, "code": board.about},
    }
    rows: dict[str, Any] = {"ROW-about": _row("ROW-about", ["MARKDOWN-about"])}
    charts: dict[str, Any] = {}
    for number, row in enumerate(board.rows):
        key = f"ROW-{number}"
        rows[key] = _row(key, [f"CHART-{chart.slug}" for chart in row])
        for chart in row:
            charts[f"CHART-{chart.slug}"] = {
                "id": f"CHART-{chart.slug}",
                "type": "CHART",
                "children": [],
                "parents": ["ROOT_ID", "GRID_ID", key],
                "meta": {
                    # Superset puts its own number here when it imports.
                    "chartId": 0,
                    "uuid": id_of("chart", chart.slug),
                    "sliceName": chart.question,
                    "width": chart.width,
                    "height": chart.height,
                },
            }
    return {
        "DASHBOARDVERSION_KEY": "v2",
        "ROOT_ID": {"id": "ROOT_ID", "type": "ROOT", "children": ["GRID_ID"]},
        "GRID_ID": {"id": "GRID_ID", "type": "GRID", "children": list(rows), "parents": ["ROOT_ID"]},
        "HEADER_ID": {"id": "HEADER_ID", "type": "HEADER", "meta": {"text": board.title}},
        "MARKDOWN-about": about,
        **rows,
        **charts,
    }


def _row(key: str, children: list[str]) -> dict[str, Any]:
    return {
        "id": key,
        "type": "ROW",
        "children": children,
        "parents": ["ROOT_ID", "GRID_ID"],
        "meta": {"background": "BACKGROUND_TRANSPARENT"},
    }
