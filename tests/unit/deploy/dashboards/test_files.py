"""The files of the dashboards: what the table of charts says, one style, and what both tools can take."""

import ast
import json
import re
from collections import Counter
from typing import Any, Final

import pytest
import yaml

from deploy.dashboards.__main__ import GRAFANA, SUPERSET, contents
from deploy.dashboards.boards import DASHBOARDS
from deploy.dashboards.datasets import CALLS
from deploy.dashboards.model import Chart, Dashboard, Kind
from deploy.dashboards.style import BLUES, OKABE_ITO, SCHEME, SEQUENCE
from schemas.enums import Disposition
from tests.support.bi.grafana import panels

CHARTS: Final = [(board, chart) for board in DASHBOARDS for chart in board.charts]
IDS: Final = [f"{board.slug}: {chart.slug}" for board, chart in CHARTS]
OVER_TIME: Final = (Kind.LINE, Kind.STACK)
LOADED: Final[dict[str, Any]] = {
    path.relative_to(SUPERSET).as_posix(): yaml.safe_load(path.read_text("utf-8")) for path in SUPERSET.rglob("*.yaml")
}


def test_the_files_are_those_that_the_table_of_charts_gives() -> None:
    """After a change of the table: `python -m deploy.dashboards`."""
    wanted = contents()

    assert {*SUPERSET.rglob("*.yaml"), *GRAFANA.rglob("*.json")} == set(wanted)
    assert [str(path) for path, text in wanted.items() if path.read_text("utf-8") != text] == []


def test_every_chart_has_a_name_of_its_own_and_every_thing_an_id() -> None:
    assert [slug for slug, times in Counter(chart.slug for _, chart in CHARTS).items() if times > 1] == []
    ids = Counter(one["uuid"] for one in LOADED.values() if "uuid" in one)
    assert max(ids.values()) == 1


@pytest.mark.parametrize(("board", "chart"), CHARTS, ids=IDS)
def test_a_chart_asks_a_question_and_says_what_its_axes_are(board: Dashboard, chart: Chart) -> None:
    assert chart.question.endswith("?")
    assert chart.question[0].isupper()
    if chart.kind in OVER_TIME:
        assert chart.measures[0].unit.axis
        assert ("(UTC)" in chart.x_title) != ("local" in chart.x_title), "the zone of its times is not named"
        assert ("local" in chart.x_title) == chart.is_local, "the zone that is named is another one"
        assert len({one.unit.axis for one in chart.measures}) == 1
        assert len(chart.measures) == 1 or not chart.by
    if chart.kind in (Kind.NUMBER, Kind.BARS, Kind.COLUMNS, Kind.MAP):
        assert len(chart.measures) == 1
        assert chart.measures[0].unit.axis


@pytest.mark.parametrize(("board", "chart"), CHARTS, ids=IDS)
def test_a_chart_uses_columns_that_its_dataset_declares(board: Dashboard, chart: Chart) -> None:
    declared = {column.name for column in chart.dataset.columns}

    assert set(chart.by) <= declared
    assert {name for name in (chart.x, chart.dataset.time) if name} <= declared
    assert not {one.label for one in chart.measures} & declared


def test_outcomes_are_no_more_than_there_are_colours() -> None:
    (named,) = re.findall(r"disposition IN \(([^)]*)\)", CALLS.sql)

    assert {word.strip(" '") for word in named.split(",")} < set(Disposition)
    assert len(named.split(",")) + 1 <= len(OKABE_ITO)


@pytest.mark.parametrize(("board", "chart"), CHARTS, ids=IDS)
def test_a_table_says_its_units_and_keeps_its_order_in_both_tools(board: Dashboard, chart: Chart) -> None:
    if chart.kind is not Kind.TABLE:
        return
    params = LOADED[f"charts/{chart.slug}.yaml"]["params"]
    for measure, shown in zip(chart.measures, params.get("metrics", ()), strict=True):
        assert shown["label"] == (f"{measure.label} ({measure.unit.short})" if measure.unit.short else measure.label)
        assert not measure.unit.d3 or shown["label"] in params["column_config"]
    if not chart.order:
        return
    column, *rest = chart.order.split(",")[0].split()
    assert column in {one.name for one in chart.dataset.columns}
    if chart.measures:
        assert params["timeseries_limit_metric"]["sqlExpression"] == f"max({column})"
        assert params["order_desc"] == (rest == ["DESC"])
    else:
        assert json.loads(params["order_by_cols"][0]) == [column, rest != ["DESC"]]


def test_what_grafana_draws_at_local_times_is_chosen_by_them_and_fits_on_the_axis() -> None:
    """Those of Beijing are eight hours ahead of UTC, by which Grafana cuts its axis off."""
    found = {(one.dashboard, one.title): one.sql for one in panels()}
    local = [(board, chart) for board, chart in CHARTS if chart.is_local]

    assert local
    for board, chart in local:
        assert f"$__timeFilter({chart.x})" in found[board.slug, chart.question]
        assert f"$__timeFilter({chart.dataset.time})" not in found[board.slug, chart.question]
    ends = {file.stem: json.loads(file.read_text("utf-8"))["time"]["to"] for file in GRAFANA.glob("*.json")}
    assert ends == {board.slug: "now+14h" if board.has_local_times else "now" for board in DASHBOARDS}


def test_grafana_takes_days_whole() -> None:
    """A day as an instant is its midnight, which is no part of the last six hours."""
    for one in panels():
        assert "$__timeFilter(day)" not in one.sql, one.name


@pytest.mark.parametrize("board", DASHBOARDS, ids=lambda board: board.slug)
def test_a_row_of_a_page_is_full_and_its_zone_is_told(board: Dashboard) -> None:
    assert [sum(chart.width for chart in row) for row in board.rows] == [12] * len(board.rows)
    assert "UTC" in board.about or "local" in board.about
    assert {one.column for one in board.filters} <= {
        column.name for one in board.filters for column in one.dataset.columns
    }


def test_the_colours_can_be_told_apart_and_are_the_same_in_both_tools() -> None:
    config = ast.parse((SUPERSET.parent / "superset_config.py").read_text("utf-8"))
    schemes = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in config.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and "SCHEMES" in node.targets[0].id
    }
    categories, sequences = schemes["EXTRA_CATEGORICAL_COLOR_SCHEMES"], schemes["EXTRA_SEQUENTIAL_COLOR_SCHEMES"]

    assert [(one["id"], tuple(one["colors"])) for one in categories] == [(SCHEME, OKABE_ITO)]
    assert [(one["id"], tuple(one["colors"])) for one in sequences] == [(SEQUENCE, BLUES)]
    used = {
        one["params"]["color_scheme"]
        for name, one in LOADED.items()
        if name.startswith("charts/") and "color_scheme" in one["params"]
    }
    assert used == {SCHEME}
    fixed = {
        found for file in GRAFANA.glob("*.json") for found in _values(json.loads(file.read_text("utf-8")), "fixedColor")
    }
    assert fixed <= set(OKABE_ITO)
    assert len(fixed) == len(OKABE_ITO)


def _values(content: object, key: str) -> set[str]:
    if isinstance(content, dict):
        here = {content[key]} if isinstance(content.get(key), str) else set()
        return here.union(*(_values(one, key) for one in content.values()))
    if isinstance(content, list):
        return set().union(*(_values(one, key) for one in content))
    return set()


def test_what_superset_imports_names_only_what_is_imported_with_it() -> None:
    kinds = {name.split("/")[0] for name in LOADED}
    ids = {
        kind: {one["uuid"] for name, one in LOADED.items() if name.startswith(f"{kind}/")}
        for kind in kinds
        if "." not in kind
    }

    for name, one in LOADED.items():
        if name.startswith("datasets/"):
            assert one["database_uuid"] in ids["databases"], name
        if name.startswith("charts/"):
            assert one["dataset_uuid"] in ids["datasets"], name
        if name.startswith("dashboards/"):
            assert _values(one["position"], "uuid") <= ids["charts"], name
            assert _values(one["metadata"], "datasetUuid") <= ids["datasets"], name


def test_nothing_that_is_imported_has_a_password() -> None:
    (database,) = (one for name, one in LOADED.items() if name.startswith("databases/"))

    assert database["sqlalchemy_uri"] == "clickhousedb://callweave_analyst@127.0.0.1:8123/calls"
    assert not database["allow_dml"]


def test_grafana_has_a_panel_for_each_chart_and_every_variable_is_one_of_the_page() -> None:
    found = list(panels())

    assert [(one.dashboard, one.title) for one in found if not one.title.startswith("choices of ")] == [
        (board.slug, chart.question) for board in sorted(DASHBOARDS, key=lambda one: one.slug) for chart in board.charts
    ]
    for one in found:
        named = {part.split(":")[0] for part in one.sql.split("${")[1:]}
        assert named <= set(one.variables), one.name
