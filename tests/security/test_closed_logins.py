"""Logins to the embedded ClickHouse need a password, and requests must name this machine."""

import asyncio
import re
import struct
from typing import Final
from urllib.parse import quote

import pytest

from deploy.clickhouse import passwords
from deploy.clickhouse.accounts import EngineRole
from tests.security.closed_engine import EngineUnderTest, code
from tests.support.clickhouse_at import ask

# Logging in.


@pytest.mark.parametrize(
    "account", ["callweave", "callweave_migrator", "callweave_reader", "callweave_guard", "default", "", "nobody"]
)
@pytest.mark.parametrize("password", ["", "wrong", "{}", "callweave"])
async def test_nobody_logs_in_without_the_password(engine: EngineUnderTest, account: str, password: str) -> None:
    at = f"127.0.0.1:{engine.server.port}"
    for answer in (
        await ask(f"http://{account}:{password}@{at}" if account else f"http://{at}", "SELECT 'let in'"),
        await ask(f"http://{at}", "SELECT 'let in'", user=account, password=password),
        await ask(
            f"http://{at}", "SELECT 'let in'", headers={"X-ClickHouse-User": account, "X-ClickHouse-Key": password}
        ),
    ):
        assert "let in" not in answer
        assert code(answer) in {194, 516}, answer
    assert await hello(engine.server.tcp_port, account, password) in {194, 516}


async def test_the_native_protocol_lets_in_with_the_password(engine: EngineUnderTest) -> None:
    """Without this the refusals above could be faults of the tests."""
    assert (
        await hello(
            engine.server.tcp_port, engine.server.account(EngineRole.READER), engine.server.password(EngineRole.READER)
        )
        == 0
    )


async def test_the_guards_password_is_in_no_file(engine: EngineUnderTest) -> None:
    kept = passwords.read(engine.outside.parent / "clickhouse")
    assert set(kept) == {engine.server.account(role) for role in EngineRole}


async def hello(port: int, user: str, password: str) -> int:
    """Returns the code of the answer to a login over the native protocol, 0 for success."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    text = [bytes([len(one)]) + one.encode() for one in ("test", "", user, password)]
    writer.write(b"\x00" + text[0] + bytes([24, 1]) + b"\xa2\xa8\x03" + text[1] + text[2] + text[3])
    await writer.drain()
    kind = (await reader.readexactly(1))[0]
    answer = 0 if kind == 0 else struct.unpack("<i", await reader.readexactly(4))[0]
    writer.close()
    return int(answer)


# The Host header must name this machine.

HERE: Final = (200,)
NOWHERE: Final = (400, 404)
HOSTS: Final = {
    "by number": ("Host: 127.0.0.1:{port}", HERE),
    "by name": ("Host: localhost:{port}", HERE),
    "by number without the port": ("Host: 127.0.0.1", HERE),
    "by number of version six": ("Host: [::1]:{port}", HERE),
    "a foreign name": ("Host: evil.example", NOWHERE),
    "a foreign name with our port": ("Host: evil.example:{port}", NOWHERE),
    "a foreign name that begins like ours": ("Host: 127.0.0.1.evil.example:{port}", NOWHERE),
    "a foreign name that ends like ours": ("Host: evil.localhost:{port}", NOWHERE),
    "a name with a dot behind": ("Host: localhost.:{port}", NOWHERE),
    "a user before the name": ("Host: evil.example@127.0.0.1:{port}", NOWHERE),
    "ours as the user before a foreign name": ("Host: 127.0.0.1@evil.example", NOWHERE),
    "a port that is none": ("Host: 127.0.0.1:evil.example", NOWHERE),
    "a path behind the name": ("Host: 127.0.0.1/evil.example", NOWHERE),
    "a foreign name in another header": ("Host: evil.example\r\nX-Forwarded-Host: 127.0.0.1", NOWHERE),
    "two names": ("Host: evil.example\r\nHost: 127.0.0.1:{port}", (*HERE, *NOWHERE)),
    "nothing": ("X-Host: 127.0.0.1", NOWHERE),
    "an empty name": ("Host:", NOWHERE),
    "another number of this machine": ("Host: 127.0.0.2:{port}", NOWHERE),
    "every number": ("Host: 0.0.0.0:{port}", NOWHERE),
}


@pytest.mark.parametrize(("header", "status"), [pytest.param(*one, id=name) for name, one in HOSTS.items()])
@pytest.mark.parametrize("path", ["/ping", "/?query=SELECT%201", "/play", "/dashboard", "/query?query=SELECT%201"])
@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/1.0"])
async def test_a_foreign_host_finds_nothing(
    engine: EngineUnderTest, header: str, status: tuple[int, ...], path: str, version: str
) -> None:
    who = f"user={engine.server.account(EngineRole.READER)}&password={quote(engine.server.password(EngineRole.READER))}"
    target = f"{path}&{who}" if "?" in path else path
    got, body = await raw(engine.server.port, f"GET {target} {version}\r\n{header}\r\nConnection: close\r\n\r\n")
    assert got in status, body


@pytest.mark.parametrize("name", ["LOCALHOST", "LocalHost"])
async def test_a_name_in_capitals_is_ours_or_nobodys(engine: EngineUnderTest, name: str) -> None:
    got, _ = await raw(engine.server.port, f"GET /ping HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n")
    assert got in {200, 404}


@pytest.mark.parametrize("target", ["http://127.0.0.1/ping", "http://evil.example/ping", "//127.0.0.1/ping"])
async def test_a_whole_address_as_the_target_does_not_stand_for_the_host(engine: EngineUnderTest, target: str) -> None:
    got, _ = await raw(engine.server.port, f"GET {target} HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
    assert got in NOWHERE


@pytest.mark.parametrize(
    "path",
    [
        "/webterminal",
        "/js/uplot.js",
        "/binary",
        "/merges",
        "/jemalloc",
        "/prometheus",
        "/metrics",
        "/write",
        "/api/v1/query",
    ],
)
async def test_no_other_page_of_the_engine_is_served(engine: EngineUnderTest, path: str) -> None:
    got, _ = await raw(engine.server.port, f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
    assert got == 404


async def raw(port: int, request: str) -> tuple[int, str]:
    """Returns the status and the body of the answer to these bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request.replace("{port}", str(port)).encode())
    answer = (await reader.read(-1)).decode(errors="replace")
    writer.close()
    status = re.match(r"HTTP/1\.[01] (\d+)", answer)
    return int(status[1]) if status else 0, answer
