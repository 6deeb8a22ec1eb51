"""Two addresses of one ClickHouse: what one cannot do for a reason of its own is done again on the other."""

import uuid
from collections.abc import AsyncIterator
from typing import Final
from urllib.parse import urlsplit

import msgspec
import pytest
from msgspec.structs import replace

from deploy.doctor.clickhouse import clickhouse as doctor
from deploy.doctor.clickhouse import clickhouse_skew_s
from schemas.config.secret import Secret
from schemas.config.settings import ClickHouseSettings, Settings
from schemas.errors import SetupError, Unavailable
from sinks.clickhouse import ClickHouse
from sinks.error_classes import RowsRefused
from sinks.migrate import migrate_tables, migrator, missing
from sinks.rows import CDR
from sinks.server import hosts
from tests.contract.views.samples import record
from tests.support.tls_front import Front, front

ROWS: Final = [record(number) for number in range(200)]


class Pair(msgspec.Struct, kw_only=True):
    """Two fronts before one engine, as two servers of a cluster that have the same rows."""

    first: Front
    second: Front
    settings: Settings

    def counts(self) -> tuple[int, int]:
        """Returns the connections that each took."""
        return self.first.connections, self.second.connections


@pytest.fixture(scope="module")
async def shared(clickhouse: ClickHouseSettings) -> AsyncIterator[Pair]:
    """Yields two fronts, and a database with all tables."""
    engine = urlsplit(clickhouse.url).port or 0
    database = f"hosts_{uuid.uuid4().hex[:12]}"
    with front(engine) as first, front(engine) as second:
        both = f"http://127.0.0.1:{first.port}, http://127.0.0.1:{second.port}"
        settings = Settings(clickhouse=replace(clickhouse, url=both, database=database))
        await migrate_tables(settings)
        yield Pair(first=first, second=second, settings=settings)
    async with ClickHouse(migrator(replace(clickhouse, database=database))) as client:
        await client.command(f"DROP DATABASE {database}")


@pytest.fixture
async def pair(shared: Pair) -> Pair:
    """Returns both fronts as they were at first, before an empty table."""
    for one in (shared.first, shared.second):
        one.is_away = one.swallows_answers = False
        one.cuts_at = None
    async with ClickHouse(migrator(shared.settings.clickhouse)) as client:
        await client.command(f"TRUNCATE TABLE {client.database}.cdr_by_slot")
    shared.first.connections = shared.second.connections = 0
    return shared


async def count(client: ClickHouse, view: str = "v_cdr") -> int:
    ((found,),) = await client.query(f"SELECT count() FROM {client.database}.{view}")
    return int(found)


async def test_the_first_address_is_used_while_it_is_there(pair: Pair) -> None:
    async with ClickHouse(pair.settings.clickhouse) as client:
        await client.insert(CDR, ROWS)
        assert await count(client) == 200
    assert pair.second.connections == 0


async def test_records_are_not_inserted_before_the_whole_answer_is_there(pair: Pair) -> None:
    """Wherever it breaks off: the sink repeats the insert, and its rows converge."""
    alone = replace(pair.settings.clickhouse, url=f"http://127.0.0.1:{pair.first.port}")
    async with ClickHouse(alone) as client:
        await client.insert(CDR, ROWS)
        # The numbers in it have some digits more or less each time, and the last chunk is empty.
        for cut in range(0, len(pair.first.heard) - 40, 7):
            pair.first.cuts_at = cut
            with pytest.raises(Unavailable):
                await client.insert(CDR, ROWS)
        pair.first.cuts_at = None
        assert await count(client) == 200


async def test_inserts_queries_and_migrations_go_on_with_the_next_and_come_back(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ClickHouse(pair.settings.clickhouse) as client:
        await client.insert(CDR, ROWS[:100])
        pair.first.is_away = True
        await client.insert(CDR, ROWS[100:])
        assert await count(client) == 200
        assert await missing(client, pair.settings) == []
        assert await migrate_tables(pair.settings) == []

        pair.first.is_away = False
        before = pair.counts()
        assert await count(client) == 200
        assert pair.counts()[0] == before[0], "it is left alone for a while"
        monkeypatch.setattr(hosts, "AGAIN_S", 0.0)
        assert await count(client) == 200
        assert pair.counts() == (before[0] + 1, before[1])


async def test_an_insert_whose_answer_is_lost_is_done_again_and_counts_once(pair: Pair) -> None:
    async with ClickHouse(pair.settings.clickhouse) as client:
        await client.insert(CDR, ROWS[:1])
        pair.first.swallows_answers = True
        await client.insert(CDR, ROWS)
        assert await count(client) == 200
        assert await count(client, "cdr_by_slot") > 200


async def test_when_all_are_away_each_is_named_and_the_first_that_is_back_is_used(pair: Pair) -> None:
    async with ClickHouse(pair.settings.clickhouse) as client:
        await client.insert(CDR, ROWS[:1])
        pair.first.is_away = pair.second.is_away = True
        with pytest.raises(Unavailable) as refused:
            await client.insert(CDR, ROWS)
        assert refused.value.code == "away"
        for one in (pair.first, pair.second):
            assert f"ClickHouse at 127.0.0.1:{one.port} does not answer" in str(refused.value)
        pair.second.is_away = False
        await client.insert(CDR, ROWS)
        assert await count(client) == 200


async def test_what_every_server_would_refuse_is_not_asked_twice(pair: Pair) -> None:
    bad = replace(ROWS[0], vendor="ytx", extras={"a": None})
    async with ClickHouse(pair.settings.clickhouse) as client:
        with pytest.raises(RowsRefused):
            await client.insert(CDR, [bad])
        with pytest.raises(SetupError, match="code 47 UNKNOWN_IDENTIFIER"):
            await client.query("SELECT no_such_column")
        with pytest.raises(SetupError, match="code 6 CANNOT_PARSE_TEXT") as refused:
            await client.query("SELECT toUInt8({number:String})", {"number": "+86 138 0000 0000"})
        assert "0000" not in str(refused.value), "the server's text quotes the value"
    assert pair.second.connections == 0


async def test_the_clock_is_compared_with_the_servers(pair: Pair) -> None:
    skew_s = await clickhouse_skew_s(pair.settings.clickhouse)
    assert skew_s is not None
    assert skew_s < 5
    assert await clickhouse_skew_s(replace(pair.settings.clickhouse, password=Secret("wrong"))) is None


async def test_the_doctor_looks_at_each(pair: Pair) -> None:
    good = await doctor(pair.settings, embedded=False)
    pair.second.is_away = True
    bad = await doctor(pair.settings, embedded=False)
    assert (good.state, bad.state) == ("ok", "bad")
    assert f"127.0.0.1:{pair.first.port}: all tables and views are there" in bad.detail
    assert f"127.0.0.1:{pair.second.port} does not answer" in bad.detail
    assert "clickhouse.url" in bad.advice


async def test_a_login_that_one_server_does_not_know_is_named(pair: Pair) -> None:
    wrong = replace(pair.settings.clickhouse, password=Secret("wrong"))
    async with ClickHouse(wrong) as client:
        with pytest.raises(Unavailable) as refused:
            await client.query("SELECT 1")
    assert refused.value.code == "login"
    assert str(refused.value).count("wrong name or password (code 516)") == 2
