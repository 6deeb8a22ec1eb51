"""The dashboards over a whole stack full of simulated calls: in Superset and Chromium, and through Grafana's driver.

The pictures of deploy/superset/README.md are taken here, where CALLWEAVE_TEST_PICTURES names a folder for them.
"""

import asyncio
import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from deploy.bi.environment import is_made
from deploy.bi.server import Superset, running_superset
from deploy.clickhouse import passwords
from deploy.clickhouse.accounts import ANALYST
from deploy.dashboards.boards import DASHBOARDS
from deploy.dashboards.model import Dashboard
from deploy.local.stack import Stack
from deploy.process.ports import free_port, native_port
from deploy.runtime import clickhouse_dir
from deploy.simulator.main import Simulation
from tests.clients.__main__ import Client, built, tried
from tests.support.bi.browser import CHROMIUM, DRIVER, MISSING, Browser, browser
from tests.support.bi.grafana import expanded, panels
from tests.support.clickhouse_at import ask
from tests.support.whole_stack import rows, until, whole_stack

ROOT: Final = Path(__file__).parents[3]
HOME: Final = ROOT / ".bi"
CALLS: Final = 150
"""The calls that the simulator plays, at least, before anybody looks."""
WIDTH: Final = 1400
LOADS_WITHIN_S: Final = 240
MAY_BE_EMPTY: Final = {chart.question for board in DASHBOARDS for chart in board.charts if chart.may_be_empty}
NOTHING: Final = ("No results were returned", "No data", "Add required control values")
CHARTS: Final = """return [...document.querySelectorAll('[data-test="chart-grid-component"]')].map((one) => ({
  name: one.dataset.testChartName,
  text: one.innerText,
  waits: !!one.querySelector('.loading, [data-test="loading-indicator"], .ant-spin-spinning'),
  failed: !!one.querySelector('[role="alert"], .ant-alert-error, [data-test="error-alert"]'),
  drawn: one.querySelectorAll('canvas, svg.datamap, tbody tr, .header-line').length,
}))"""
pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
async def stack() -> AsyncIterator[Stack]:
    """Yields a stack with simulated calls of every vendor in its views, and figures of them."""
    with tempfile.TemporaryDirectory(prefix="callweave-dashboards-") as folder:
        traffic = Simulation(rate=20, seed=7, poison=0.0)
        async with whole_stack(Path(folder), *traffic.poll_accounts()) as running:

            async def lacking() -> str:
                final = (await rows(running, "SELECT count() AS n FROM v_timelines WHERE is_final"))[0]["n"]
                figures = (await rows(running, "SELECT sum(attempts) AS n FROM v_kpi_5m"))[0]["n"]
                return (
                    ""
                    if int(final) >= CALLS and int(figures) >= CALLS // 2
                    else f"{final} final calls, {figures} in figures"
                )

            async with traffic.sending_to(running.ingress_url):
                assert not await until(lacking, LOADS_WITHIN_S)
            yield running


@pytest.fixture(scope="module")
async def superset(stack: Stack) -> AsyncIterator[Superset]:
    """Yields Superset over that stack, in the environment of `make bi` and with a database of its own."""
    if CHROMIUM is None or DRIVER is None:
        pytest.skip(MISSING)
    if not is_made(HOME):
        pytest.skip("NO SUPERSET: not shown that the dashboards open; `make bi-environment` installs it")
    with tempfile.TemporaryDirectory(prefix="callweave-superset-") as folder:
        # In the settings in effect the embedded ClickHouse has an address.
        settings = _embedded(stack)
        async with running_superset(settings, HOME, Path(folder) / "state", free_port(), lambda _step: None) as running:
            yield running


def _embedded(stack: Stack) -> Any:
    from msgspec.structs import replace  # noqa: PLC0415

    return replace(stack.settings, clickhouse=replace(stack.settings.clickhouse, url=""))


@pytest.fixture(scope="module")
async def window(superset: Superset) -> AsyncIterator[Browser]:
    """Yields a browser in which the reader is logged in."""
    async with browser(width=WIDTH) as one:
        await one.open(f"{superset.url}/login/")
        await one.until("return !!document.querySelector('input#username')", limit_s=LOADS_WITHIN_S)
        await one.run(
            """const set = (place, value) => {
              const field = document.querySelector(place);
              Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(field, value);
              field.dispatchEvent(new Event('input', {bubbles: true}));
            };
            set('input#username', arguments[0]);
            set('input#password', arguments[1]);
            document.querySelector('button[type=submit]').click();""",
            superset.user,
            superset.password.value,
        )
        await one.until("return location.pathname.includes('/welcome')", limit_s=LOADS_WITHIN_S)
        yield one


@pytest.mark.parametrize("board", DASHBOARDS, ids=lambda board: board.slug)
async def test_every_chart_shows_something(superset: Superset, window: Browser, board: Dashboard) -> None:
    height = 160 + sum(max(chart.height for chart in row) * 8 + 16 for row in board.rows)
    await window.size(WIDTH, height)
    await window.open(f"{superset.url}/superset/dashboard/{board.slug}/?standalone=2")

    charts = await _drawn(window, len(board.charts))

    assert {one["name"] for one in charts} == {chart.question for chart in board.charts}
    assert [(one["name"], one["text"]) for one in charts if one["failed"]] == []
    empty = {one["name"] for one in charts if not one["drawn"] or any(said in one["text"] for said in NOTHING)}
    assert empty <= MAY_BE_EMPTY
    if folder := os.environ.get("CALLWEAVE_TEST_PICTURES"):
        await asyncio.sleep(2)  # the charts' own animation ends
        picture = await window.picture(quality=60)
        _kept(Path(folder) / f"{board.slug}.webp", picture)
        assert len(picture) < 150_000


def _kept(file: Path, picture: bytes) -> None:
    file.write_bytes(picture)


async def _drawn(window: Browser, wanted: int) -> list[dict[str, Any]]:
    """Returns all charts when none of them waits any more; fails after the limit with those that do."""
    deadline = asyncio.get_running_loop().time() + LOADS_WITHIN_S
    while True:
        charts: list[dict[str, Any]] = await window.run(CHARTS)
        if len(charts) == wanted and not any(one["waits"] for one in charts):
            return charts
        assert asyncio.get_running_loop().time() < deadline, charts
        await asyncio.sleep(0.5)


async def test_the_reader_sees_the_dashboards_and_nothing_else(superset: Superset, window: Browser) -> None:
    asked = """const answer = await fetch(arguments[0], {method: arguments[1]}); return answer.status"""
    for path, method, wanted in (
        ("/api/v1/dashboard/", "GET", 200),
        ("/api/v1/database/", "GET", 403),
        ("/api/v1/sqllab/", "GET", 403),
        ("/api/v1/security/users/", "GET", 403),
    ):
        assert await window.run(asked, f"{superset.url}{path}", method) == wanted, path


async def test_every_panel_of_grafana_has_rows_by_its_driver(stack: Stack, tmp_path: Path) -> None:
    """The account and the driver are Grafana's: the analyst, and clickhouse-go over the native protocol."""
    if shutil.which("go") is None:
        pytest.skip("no Go here: not shown that Grafana's driver reads every panel")
    now = datetime.now(UTC)
    asked = [
        {
            "name": one.name,
            "sql": expanded(one, now - timedelta(days=1), now + timedelta(days=1), {}),
            "may_be_empty": one.title in MAY_BE_EMPTY,
        }
        for one in panels()
    ]
    (tmp_path / "panels.json").write_text(json.dumps(asked), "utf-8")
    embedded = stack.settings.embedded
    environment = {
        "PANELS": str(tmp_path / "panels.json"),
        "CLICKHOUSE_HOST": "127.0.0.1",
        "CLICKHOUSE_TCP_PORT": str(native_port(embedded)),
        "CLICKHOUSE_USER": ANALYST,
        "CLICKHOUSE_PASSWORD": passwords.read(clickhouse_dir(embedded))[ANALYST][0],
    }
    client = Client(
        name="panels",
        folder="grafana",
        needs=("go",),
        build=built("go", "build", "-o", "checks", "."),
        command=("./checks",),
    )

    result = await asyncio.to_thread(tried, client, environment)

    assert result.failed == ()
    assert result.passed == len(asked)


async def test_one_call_is_found_by_its_id(stack: Stack) -> None:
    """The ladder of a call that the simulator played has its setup first and its release last."""
    (call,) = await rows(
        stack,
        "SELECT vendor_call_id FROM v_timelines WHERE is_final AND has_states AND disposition = 'answered' "
        "AND setup_at IS NOT NULL AND end_at IS NOT NULL ORDER BY started_at LIMIT 1",
    )
    (panel,) = (one for one in panels() if one.title == "What happened, instant by instant?")
    now = datetime.now(UTC)
    embedded = stack.settings.embedded
    password = passwords.read(clickhouse_dir(embedded))[ANALYST][0]
    answer = await ask(
        f"http://{ANALYST}:{password}@127.0.0.1:{embedded.clickhouse_port}",
        expanded(
            panel, now - timedelta(days=1), now + timedelta(days=1), {"vendor_call_id": (call["vendor_call_id"],)}
        ),
        database="calls",
        default_format="JSON",
    )
    steps = json.loads(answer)["data"]

    assert {one["vendor_call_id"] for one in steps} == {call["vendor_call_id"]}
    joined = [one["state"] for one in steps if one["told_by"] == "joined call" and one["party"] == "call"]
    assert joined[0] == "setup"
    assert joined[-1] == "release"
    assert {"state event", "joined call"} == {one["told_by"] for one in steps}
