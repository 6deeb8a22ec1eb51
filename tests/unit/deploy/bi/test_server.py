"""The checks before Superset is installed or started: there must be something to show."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from deploy.bi.server import require_stack, steps
from deploy.clickhouse import passwords
from deploy.clickhouse.accounts import ANALYST
from deploy.process.ports import free_port
from schemas.config.settings import ClickHouseSettings, EmbeddedSettings, Settings
from schemas.errors import SetupError


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """Yields the port of what answers as ClickHouse does, and lets one password in."""

    def login(request: web.Request) -> tuple[str, str]:
        return request.headers["X-ClickHouse-User"], request.headers["X-ClickHouse-Key"]

    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=200 if login(request) == (ANALYST, "right") else 403)

    app = web.Application()
    app.router.add_post("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield port
    await runner.cleanup()


def _settings(folder: Path, port: int, password: str) -> Settings:
    (folder / "clickhouse").mkdir()
    passwords.write(folder / "clickhouse", {ANALYST: (password,)})
    return Settings(embedded=EmbeddedSettings(data_dir=str(folder), clickhouse_port=port))


async def test_a_stack_that_runs_is_shown(tmp_path: Path, port: int) -> None:
    await require_stack(_settings(tmp_path, port, "right"))


async def test_nothing_was_started_here(tmp_path: Path, port: int) -> None:
    settings = Settings(embedded=EmbeddedSettings(data_dir=str(tmp_path), clickhouse_port=port))

    with pytest.raises(SetupError, match="no ClickHouse was started in this folder") as failed:
        await require_stack(settings)

    assert "callweave up" in str(failed.value)


async def test_the_stack_does_not_run(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="the stack does not run"):
        await require_stack(_settings(tmp_path, free_port(), "right"))


async def test_another_folders_clickhouse_is_told_apart(tmp_path: Path, port: int) -> None:
    with pytest.raises(SetupError, match="is not the ClickHouse of this folder"):
        await require_stack(_settings(tmp_path, port, "another"))


async def test_a_clickhouse_with_an_address_has_a_page_of_its_own() -> None:
    with pytest.raises(SetupError, match=r"deploy/superset/README\.md"):
        await require_stack(Settings(clickhouse=ClickHouseSettings(url="http://127.0.0.1:8123")))


def test_a_later_start_has_fewer_steps(tmp_path: Path) -> None:
    first = steps(tmp_path)
    (tmp_path / "prepared").touch()

    assert steps(tmp_path) < first
