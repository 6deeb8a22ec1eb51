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
from deploy.dashboards.boards.one_call import ONE_CALL
from deploy.dashboards.boards.reconciliation import RECONCILIATION
from deploy.dashboards.model import Dashboard
from deploy.local.stack import Stack
from deploy.process.ports import free_port, native_port
from deploy.runtime import clickhouse_dir
from deploy.simulator.main import Simulation
from tests.clients.__main__ import Client, built, tried
from tests.support.bi.browser import CHROMIUM, DRIVER, MISSING, Browser, browser
from tests.support.bi.carrier_file import CLASSES, compared
from tests.support.bi.grafana import expanded, panels
from tests.support.bi.pages import chosen, drawn, log_in, says_nothing
from tests.support.clickhouse_at import ask
from tests.support.command import callweave
from tests.support.whole_stack import rows, until, whole_stack

ROOT: Final = Path(__file__).parents[3]
HOME: Final = ROOT / ".bi"
CALLS: Final = 150
"""The calls that the simulator plays, at least, before anybody looks."""
WIDTH: Final = 1400
LOADS_WITHIN_S: Final = 240
PLAYS_S: Final = 120 if os.environ.get("CALLWEAVE_TEST_PICTURES") else 0
"""A picture of a minute alone shows no curve."""
MAY_BE_EMPTY: Final = {chart.question for board in DASHBOARDS for chart in board.charts if chart.may_be_empty}
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
                await asyncio.sleep(PLAYS_S)
            done = await compared(running, Path(folder))
            assert done.code == 1, done.err
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
        await log_in(one, superset.url, superset.user, superset.password.value, limit_s=LOADS_WITHIN_S)
        yield one


@pytest.mark.parametrize("board", DASHBOARDS, ids=lambda board: board.slug)
async def test_every_chart_shows_something(superset: Superset, window: Browser, board: Dashboard) -> None:
    height = 160 + sum(max(chart.height for chart in row) * 8 + 16 for row in board.rows)
    await window.size(WIDTH, height)
    await window.open(f"{superset.url}/superset/dashboard/{board.slug}/?standalone=2")

    charts = await drawn(window, len(board.charts), limit_s=LOADS_WITHIN_S)

    assert {one["name"] for one in charts} == {chart.question for chart in board.charts}
    assert [(one["name"], one["text"]) for one in charts if one["failed"]] == []
    assert [one["name"] for one in charts if one["cut"]] == []
    empty = {one["name"] for one in charts if not one["drawn"] or says_nothing(one)}
    assert empty <= MAY_BE_EMPTY
    if (folder := os.environ.get("CALLWEAVE_TEST_PICTURES")) and board is not ONE_CALL:  # its picture is of one call
        await asyncio.sleep(2)  # the charts' own animation ends
        picture = await window.picture(quality=60)
        _kept(Path(folder) / f"{board.slug}.webp", picture)
        assert len(picture) < 150_000


def _kept(file: Path, picture: bytes) -> None:
    file.write_bytes(picture)


async def test_the_carriers_file_is_shown_with_each_record_that_differs(superset: Superset, window: Browser) -> None:
    await window.size(WIDTH, 2000)
    await window.open(f"{superset.url}/superset/dashboard/{RECONCILIATION.slug}/?standalone=2")

    charts = {one["name"]: one for one in await drawn(window, len(RECONCILIATION.charts), limit_s=LOADS_WITHIN_S)}

    (run,) = charts["How do the carriers' files compare?"]["rows"]
    assert "carrier-november.csv" in run
    (found,) = (chart for chart in RECONCILIATION.charts if chart.slug == "reconciled")
    shown = [row[found.by.index("class")] for row in charts[found.question]["rows"]]
    assert sorted(set(shown)) == sorted(CLASSES)
    told = " ".join(row[found.by.index("differences")] for row in charts[found.question]["rows"])
    assert "cost" in told
    assert "billed" in told


@pytest.mark.parametrize("by", ["Call id", "Reference", "Token of the caller"])
async def test_one_call_is_found_in_the_browser(stack: Stack, superset: Superset, window: Browser, by: str) -> None:
    """Support types what it was told into a filter, and reads the ladder of that call."""
    call = await _told_of_a_call(stack)
    value = {
        "Call id": call["vendor_call_id"],
        "Reference": call["custom_ref"],
        "Token of the caller": await _token(stack, call["from_number"]),
    }[by]
    await window.size(WIDTH, 160 + sum(max(chart.height for chart in row) * 8 + 16 for row in ONE_CALL.rows))
    await window.open(f"{superset.url}/superset/dashboard/{ONE_CALL.slug}/?standalone=2")
    await drawn(window, len(ONE_CALL.charts), limit_s=LOADS_WITHIN_S)

    await chosen(window, by, value, limit_s=LOADS_WITHIN_S)

    charts = {one["name"]: one for one in await drawn(window, len(ONE_CALL.charts), limit_s=LOADS_WITHIN_S)}
    for chart in ONE_CALL.charts:
        found = {row[chart.by.index("vendor_call_id")] for row in charts[chart.question]["rows"]}
        assert found == {call["vendor_call_id"]}, chart.question
    ladder = ONE_CALL.charts[1]
    states = [row[ladder.by.index("state")] for row in charts[ladder.question]["rows"]]
    assert (states[0], states[-1], "answer" in states) == ("setup", "release", True)
    told_by = {row[ladder.by.index("told_by")] for row in charts[ladder.question]["rows"]}
    assert told_by == ({"joined call", "state event"} if by == "Call id" else {"joined call"})
    if (folder := os.environ.get("CALLWEAVE_TEST_PICTURES")) and by == "Call id":
        await window.run("document.activeElement.blur()")
        await asyncio.sleep(1)  # the filter's glow around its charts goes out
        _kept(Path(folder) / f"{ONE_CALL.slug}.webp", await window.picture(quality=60))


async def _told_of_a_call(stack: Stack) -> dict[str, Any]:
    """Returns an answered call of which the vendor told states, whose id, reference and caller are no other call's."""
    (call,) = await rows(
        stack,
        "SELECT vendor_call_id, custom_ref, from_number FROM v_timelines WHERE is_final AND has_states "
        "AND disposition = 'answered' AND custom_ref != '' AND startsWith(from_number, '+') AND account = '' "
        "AND setup_at IS NOT NULL AND end_at IS NOT NULL "
        "AND from_number IN (SELECT from_number FROM v_timelines GROUP BY from_number HAVING count() = 1) "
        "AND custom_ref IN (SELECT custom_ref FROM v_timelines GROUP BY custom_ref HAVING count() = 1) "
        "ORDER BY started_at LIMIT 1",
    )
    return call


async def _token(stack: Stack, number: str) -> str:
    key: dict[str, object] = {"privacy__key": stack.settings.privacy.key.value}
    with tempfile.TemporaryDirectory() as folder:
        done = await callweave("token", "-", cwd=Path(folder), settings=key, stdin=number.encode())
    return done.text.strip()


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
