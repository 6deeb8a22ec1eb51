"""Answers that break off at any byte, or that no ClickHouse gave: none of them counts as one that says nothing."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Final
from urllib.parse import urlsplit

import pytest
from msgspec.structs import replace

from schemas.config.settings import ClickHouseSettings
from schemas.errors import Unavailable
from sinks.clickhouse import ClickHouse
from sinks.migrate import migrator
from tests.support.tls_front import Front, front

Asked = Callable[[ClickHouse], Awaitable[object]]
TABLE: Final = "broken_answers_test"


async def _room(client: ClickHouse) -> None:
    await client.insert_rows(f"default.{TABLE}", ("number",), [(1,)], ("UInt8",), last=False)
    await client.require_room()


ASKED: Final[dict[str, Asked]] = {
    "rows": lambda client: client.query("SELECT number FROM numbers(3)"),
    "many blocks of rows": lambda client: client.query(
        "SELECT number, hex(SHA1(toString(number))) FROM numbers(2000) SETTINGS max_block_size = 50"
    ),
    "no rows": lambda client: client.query("SELECT 1 WHERE 0"),
    "names and rows": lambda client: client.table("SELECT number FROM numbers({n:UInt8})", {"n": 2}),
    "a statement without rows": lambda client: client.command(f"ALTER TABLE default.{TABLE} MODIFY COMMENT 'seen'"),
    "an insert": lambda client: client.insert_rows(f"default.{TABLE}", ("number",), [(1,)], ("UInt8",)),
    "an insert, then the room on the disk": _room,
}
_HEAD: Final = b"HTTP/1.1 200 OK\r\n"
STRANGE: Final = {
    "a page of a proxy": _HEAD + b"Content-Type: text/html\r\nContent-Length: 13\r\n\r\n<html></html>",
    "an empty page": _HEAD + b"Content-Length: 0\r\n\r\n",
    "a page in chunks": _HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nOk\r\n0\r\n\r\n",
    "nothing but a status": _HEAD + b"\r\n",
    "a number": _HEAD + b"Content-Length: 16\r\n\r\n1000000000000000",
}
ON_THE_WAY: Final = {
    "an answer without an end": _HEAD + b"X-ClickHouse-Query-Id: 1\r\n\r\n",
    "no HTTP": b"\x00\x01\x02",
    "an unknown status": b"HTTP/1.1 299 Perhaps\r\nContent-Length: 0\r\n\r\n",
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
}


@pytest.fixture(scope="module")
def between(clickhouse: ClickHouseSettings) -> Iterator[Front]:
    """Yields a front before the engine."""
    with front(urlsplit(clickhouse.url).port or 0) as running:
        yield running


@pytest.fixture
async def client(between: Front, clickhouse: ClickHouseSettings) -> AsyncIterator[ClickHouse]:
    """Yields a client through the front; it has asked once, so the server's settings are known."""
    between.cuts_at, between.says = None, b""
    url = f"http://127.0.0.1:{between.port}"
    own = replace(migrator(clickhouse), url=url, database="default", min_free_mb=1)
    async with ClickHouse(own) as opened:
        await opened.command(f"CREATE TABLE IF NOT EXISTS default.{TABLE} (number UInt8) ENGINE = Memory")
        yield opened
        between.cuts_at, between.says = None, b""
        await opened.command(f"DROP TABLE default.{TABLE}")


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
async def test_an_answer_that_breaks_off_is_none(client: ClickHouse, between: Front, asked: Asked) -> None:
    """Cut at every byte of its head and beyond, it either fails or is the whole answer."""
    whole = await asked(client)
    size = len(between.heard)
    for between.cuts_at in (*range(0, size, 1 + size // 1500), *range(size - 20, size)):
        try:
            assert await asked(client) == whole
        except Unavailable as exc:
            assert exc.code in ("away", "not_clickhouse"), exc  # noqa: PT017 - either outcome is right
        else:
            assert _is_complete(between.heard), between.heard


def _is_complete(answer: bytes) -> bool:
    """Returns False where more is missing than the last chunk, which is empty, or a part of it."""
    _, end, rest = answer.partition(b"\r\n\r\n")
    while rest and not rest.startswith(b"0"):
        size, _, rest = rest.partition(b"\r\n")
        behind = rest[int(size, 16) :]
        if behind[:2] != b"\r\n":
            return False
        rest = behind[2:]
    return bool(end)


@pytest.mark.parametrize("said", [*STRANGE.values(), *ON_THE_WAY.values()], ids=[*STRANGE, *ON_THE_WAY])
@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
async def test_the_answer_of_another_is_none(client: ClickHouse, between: Front, asked: Asked, said: bytes) -> None:
    between.says = said
    with pytest.raises(Unavailable) as failed:
        await asked(client)
    assert failed.value.code in ("away", "not_clickhouse")
    between.says = b""
    await asked(client)


@pytest.mark.parametrize("said", STRANGE.values(), ids=STRANGE)
async def test_what_answers_for_a_clickhouse_is_named(
    clickhouse: ClickHouseSettings, between: Front, said: bytes
) -> None:
    between.says = said
    own = replace(clickhouse, url=f"http://127.0.0.1:{between.port}", database=f"d{uuid.uuid4().hex}")
    async with ClickHouse(own) as opened:
        with pytest.raises(Unavailable, match=r"is not ClickHouse|broke off its answer"):
            await opened.query("SELECT 1")
    between.says = b""
