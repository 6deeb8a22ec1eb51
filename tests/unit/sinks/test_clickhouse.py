"""Inserts that the server answers while its disk runs full."""

import uuid
from typing import Any

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError
from clickhouse_connect.driver.summary import QuerySummary

from schemas.config.secret import Secret
from schemas.config.settings import ClickHouseSettings
from schemas.config.tls import ClientTls
from schemas.errors import Unavailable
from schemas.facts import Fact, FactType, Kind
from sinks import clickhouse
from sinks.clickhouse import ClickHouse
from sinks.rows import CDR
from sinks.server import connect

MIB = 1 << 20


class _Client:
    """A server that takes every insert, and says how much room it has."""

    def __init__(self, free: int) -> None:
        self.server_settings: dict[str, Any] = {}
        self._free = free
        self.inserts = 0
        self.asked: list[str] = []
        self.asked_for: list[dict[str, Any]] = []

    def raw_insert(self, *_: Any, settings: dict[str, Any], **__: Any) -> QuerySummary:
        return self.insert(settings=settings)

    def insert(self, *_: Any, settings: dict[str, Any], **__: Any) -> QuerySummary:
        self.asked_for.append(settings)
        assert not self.asked, "the room was asked for before the insert"
        self.inserts += 1
        return QuerySummary({"written_rows": "1000000"})

    def command(self, sql: str) -> str:
        self.asked.append(sql)
        if self._free < 0:
            raise DatabaseError("refused", code=497)
        return str(self._free)


ENOUGH = [
    pytest.param(0, 0, id="not asked for: a server of its own looks after its disk"),
    pytest.param(1, MIB, id="just enough"),
    pytest.param(100, 1 << 50, id="plenty"),
]
TOO_LITTLE = [
    pytest.param(1, 0, id="full to the last byte"),
    pytest.param(1, MIB - 1, id="a byte too little"),
    pytest.param(100, 99 * MIB, id="below what is wanted"),
    pytest.param(1, -1, id="the server refuses to say"),
]


def _sink(monkeypatch: pytest.MonkeyPatch, min_free_mb: int, free: int) -> tuple[ClickHouse, _Client]:
    client = _Client(free)
    monkeypatch.setattr(clickhouse, "connect", lambda *_: client)
    return ClickHouse(ClickHouseSettings(url="http://127.0.0.1:8123", min_free_mb=min_free_mb)), client


def _record() -> Fact:
    return Fact(fact_id=str(uuid.UUID(int=1)), fact_type=FactType.RECORD, vendor="ytx", kind=Kind.CALLBACK_CDR)


@pytest.mark.parametrize(("min_free_mb", "free"), ENOUGH)
async def test_an_insert_that_left_room_is_stored(monkeypatch: pytest.MonkeyPatch, min_free_mb: int, free: int) -> None:
    sink, client = _sink(monkeypatch, min_free_mb, free)
    await sink.insert(CDR, [_record()])
    await sink.require_room()
    assert client.inserts == 1
    assert len(client.asked) == (1 if min_free_mb else 0)


@pytest.mark.parametrize(("min_free_mb", "free"), TOO_LITTLE)
async def test_an_insert_after_which_the_disk_is_full_counts_as_not_done(
    monkeypatch: pytest.MonkeyPatch, min_free_mb: int, free: int
) -> None:
    """The sink then waits and repeats it; rows that are there twice are one by their identity and version."""
    sink, client = _sink(monkeypatch, min_free_mb, free)
    await sink.insert(CDR, [_record()])
    with pytest.raises(Unavailable):
        await sink.require_room()
    assert client.inserts == 1


async def test_a_server_is_asked_for_its_room_once_behind_several_inserts(monkeypatch: pytest.MonkeyPatch) -> None:
    sink, client = _sink(monkeypatch, 1, MIB)
    await sink.require_room()
    assert client.asked == []
    for _ in range(3):
        await sink.insert(CDR, [_record()])
    await sink.insert_rows("calls.kpi_marks", ("version",), [(2,)], last=False)
    await sink.require_room()
    await sink.require_room()
    assert (client.inserts, len(client.asked)) == (4, 1)


async def test_the_ledger_of_migrations_is_no_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    sink, client = _sink(monkeypatch, 1, 0)
    with pytest.raises(Unavailable, match="disk is full"):
        await sink.insert_rows("calls.schema_migrations", ("name",), [("001_a",)])
    assert client.inserts == 1


class _Setting:
    """A setting as a server tells it."""

    def __init__(self, readonly: int) -> None:
        self.readonly = readonly


async def test_settings_of_an_insert_that_a_server_does_not_know_or_keeps_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another release does not know them all, and a managed service may keep its users from changing them."""
    sink, client = _sink(monkeypatch, 0, 0)
    client.server_settings = {
        "async_insert": _Setting(0), "insert_deduplicate": _Setting(1), "max_execution_time": _Setting(0),
        "optimize_on_insert": _Setting(0),
    }  # fmt: skip
    await sink.insert(CDR, [_record()])
    own = {"async_insert": 0, "max_execution_time": 25, "optimize_on_insert": 0}
    assert client.asked_for == [{**own, "wait_end_of_query": 1}]


@pytest.mark.parametrize(
    ("password", "tls", "url", "login"),
    [
        pytest.param("secret", True, "https://a", {"username": "parts", "password": "secret"}, id="both"),
        pytest.param(
            "",
            True,
            "https://a",
            {
                "username": "",
                "headers": {"X-ClickHouse-User": "parts", "X-ClickHouse-SSL-Certificate-Auth": "on"},
            },
            id="a certificate alone",
        ),
        pytest.param("", False, "https://a", {"username": "parts", "password": ""}, id="neither"),
        pytest.param("", True, "http://a", {"username": "parts", "password": ""}, id="plain http shows no certificate"),
    ],
)
def test_a_certificate_without_a_password_is_the_login(
    password: str,
    tls: bool,  # noqa: FBT001 - a case of the table
    url: str,
    login: dict[str, Any],
) -> None:
    certificate = ClientTls(certificate_file="own.pem") if tls else ClientTls()
    ours = ClickHouseSettings(user="parts", password=Secret(password), tls=certificate)
    assert connect.login(ours, url.partition(":")[0]) == login


ANSWERS = [
    pytest.param(3, 3, True, id="as many rows as were sent"),
    pytest.param(4, 3, True, id="more, as with a materialized view"),
    pytest.param(2, 3, False, id="one row less"),
    pytest.param(0, 1, False, id="none"),
]


@pytest.mark.parametrize(("written", "sent", "whole"), ANSWERS)
def test_an_answer_of_success_for_less_than_was_sent_is_not_believed(written: int, sent: int, *, whole: bool) -> None:
    if whole:
        clickhouse._require_all(written, sent)
        return
    with pytest.raises(Unavailable, match=f"{written} of {sent} rows were written"):
        clickhouse._require_all(written, sent)
