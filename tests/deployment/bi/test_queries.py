"""Every query of every dashboard runs on the engine as the analyst, who sees no phone number."""

import json
import tempfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from deploy.clickhouse.accounts import EngineRole
from deploy.clickhouse.launch import ClickHouseServer
from deploy.dashboards.boards import DASHBOARDS
from deploy.dashboards.model import Dataset
from schemas.config.settings import Settings
from sinks.migrate import migrate_tables
from tests.support.bi.grafana import Panel, expanded, panels
from tests.support.clickhouse_at import address, ask
from tests.support.processes.filled_store import filled

PANELS: Final = tuple(panels())
DATASETS: Final = tuple({chart.dataset.name: chart.dataset for board in DASHBOARDS for chart in board.charts}.values())
NOW: Final = datetime.now(UTC)
QUOTED: Final = "it's \\ odd"


@pytest.fixture(scope="module")
async def analyst() -> AsyncIterator[str]:
    """Yields the address of an engine with empty tables, with the name and the password of the analyst's account."""
    with tempfile.TemporaryDirectory(prefix="callweave-dashboards-") as folder:
        place = filled(Path(folder) / "clickhouse")
        async with ClickHouseServer(place, databases="calls") as server:
            await migrate_tables(Settings(clickhouse=server.settings()))
            yield address(server, EngineRole.ANALYST)


@pytest.mark.parametrize("panel", PANELS, ids=[one.name for one in PANELS])
async def test_a_query_runs(analyst: str, panel: Panel) -> None:
    """With nothing chosen, and with something chosen in everything."""
    for chosen in ({}, dict.fromkeys(panel.variables, ("ytx", QUOTED))):
        sql = expanded(panel, NOW - timedelta(days=1), NOW, chosen)
        assert "$__" not in sql
        answer = await ask(analyst, sql, database="calls", default_format="JSON")
        assert answer.startswith("{"), answer


async def test_grafana_takes_the_days_of_its_range_whole(analyst: str) -> None:
    """Six hours of an evening are of that day, whose midnight is before them."""
    (panel,) = (one for one in PANELS if one.name == "operations: What could not be read?")
    evening = datetime(2026, 3, 2, 19, 0, tzinfo=UTC)
    sql = expanded(panel, evening - timedelta(hours=6), evening, {})
    condition = sql[sql.index("WHERE ") + len("WHERE ") :].split(" AND 1=1")[0]

    answer = await ask(
        analyst,
        f"SELECT day FROM (SELECT arrayJoin([toDate('2026-03-01'), toDate('2026-03-02'), toDate('2026-03-03')]) AS day) WHERE {condition}",
    )

    assert answer.split() == ["2026-03-02"]


@pytest.mark.parametrize("dataset", DATASETS, ids=[one.name for one in DATASETS])
async def test_a_dataset_has_the_columns_and_types_that_it_declares(analyst: str, dataset: Dataset) -> None:
    answer = await ask(analyst, f"DESCRIBE {dataset.source}", database="calls", default_format="JSONCompact")
    found = {name: kind for name, kind, *_ in json.loads(answer)["data"]}

    assert {column.name: found.get(column.name) for column in dataset.columns} == {
        column.name: column.type for column in dataset.columns
    }


async def test_what_was_chosen_is_text_and_never_a_condition(analyst: str) -> None:
    (panel,) = (one for one in PANELS if one.name.endswith("Which calls are meant?"))
    sql = expanded(panel, NOW - timedelta(days=1), NOW, {"vendor_call_id": ("x' OR 1 = 1 --",)})

    assert "vendor_call_id IN ('x\\' OR 1 = 1 --')" in sql
    assert '"rows": 0' in await ask(analyst, sql, database="calls", default_format="JSON")
