"""The sink while ClickHouse or Kafka is away or refuses for its own reasons: it waits, and loses nothing."""

import asyncio
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest

from deploy.clickhouse import passwords
from deploy.clickhouse.launch import ClickHouseServer
from deploy.process.ports import free_port
from schemas.config.settings import KafkaSettings, Settings
from schemas.errors import SetupError, Unavailable
from schemas.metrics import Registry
from sinks.clickhouse import ClickHouse
from sinks.main import run
from sinks.migrate import migrate_tables, migrator
from tests.integration.sinks.driving import (
    attempted,
    count,
    fact,
    send_facts,
    settings_of,
    sinking,
    uncommitted,
    until,
    until_committed,
    until_count,
)
from tests.support.processes.made_tables import make_tables
from tests.support.tls_front import front

TROUBLES = [
    pytest.param(
        "MODIFY SETTING parts_to_throw_insert = 1, inactive_parts_to_throw_insert = 1",
        "RESET SETTING parts_to_throw_insert, inactive_parts_to_throw_insert",
        id="too many parts",
    ),
    pytest.param(
        "MODIFY SETTING min_free_disk_bytes_to_perform_insert = 1000000000000000",
        "RESET SETTING min_free_disk_bytes_to_perform_insert",
        id="the disk is full",
    ),
    # 32 GB a row, in steps: far beyond the engine's limit. An array that just fits would be accepted, row by row.
    pytest.param(
        "ADD CONSTRAINT hungry CHECK length(arrayResize([toUInt256(length(custom_ref))], 1000000000)) > 0",
        "DROP CONSTRAINT hungry",
        id="out of memory",
    ),
    pytest.param("DROP COLUMN agent_id", "ADD COLUMN agent_id String", id="a column is missing"),
]


@pytest.mark.parametrize(("harm", "heal"), TROUBLES)
async def test_rows_that_clickhouse_refuses_for_its_own_reasons_wait_and_are_inserted_later(
    settings: Settings, db: ClickHouse, harm: str, heal: str
) -> None:
    table = f"ALTER TABLE {db.database}.cdr_by_slot"
    async with sinking(settings) as metrics:
        await send_facts(settings.kafka, [fact(1)])
        await until_count(db, "v_cdr", 1)
        await until_committed(settings.kafka, "the first row to be committed")
        await db.command(f"{table} {harm}")
        await send_facts(settings.kafka, [fact(n) for n in range(2, 102)])
        await until(lambda: attempted(metrics, 3), "three attempts")
        assert sum((await uncommitted(settings.kafka)).values()) == 100
        await db.command(f"{table} {heal}")
        await until_count(db, "v_cdr", 101)
    assert await uncommitted(settings.kafka) == {}
    assert await count(db, "dead_letters") == 0


async def test_while_the_sinks_password_is_not_taken_it_waits(settings: Settings, tmp_path: Path) -> None:
    """It goes on by itself when the password is accepted again, without a restart."""
    async with ClickHouseServer(tmp_path / "clickhouse") as server:
        here = settings_of(server, settings)
        await make_tables(here)
        name, password = here.clickhouse.user, here.clickhouse.password.value
        async with sinking(here) as metrics, ClickHouse(migrator(here.clickhouse)) as db:
            await send_facts(here.kafka, [fact(1)])
            await until_count(db, "v_cdr", 1)
            # The sink asks the server for its free space before it commits, and must have had its answer.
            await until_committed(here.kafka, "the first row to be committed")
            passwords.change(tmp_path / "clickhouse", name, "another one", keep_old=False)
            await send_facts(here.kafka, [fact(n) for n in range(2, 102)])
            await until(lambda: attempted(metrics, 3), "three attempts")
            assert await count(db, "v_cdr") == 1
            assert sum((await uncommitted(here.kafka)).values()) == 100

            passwords.change(tmp_path / "clickhouse", name, password, keep_old=False)
            await until_count(db, "v_cdr", 101)
            assert await count(db, "dead_letters") == 0
            await until_committed(here.kafka, "everything to be committed")


async def test_while_the_sink_has_no_right_to_insert_it_waits(settings: Settings, tmp_path: Path) -> None:
    """Its account is let in, but its rights are those on another database."""
    port = free_port()

    def server(databases: str) -> ClickHouseServer:
        return ClickHouseServer(tmp_path / "clickhouse", port=port, databases=databases)

    async with server("*") as before:
        here = settings_of(before, settings)
        await make_tables(here)
    async with sinking(here) as metrics, ClickHouse(migrator(here.clickhouse)) as db:
        await send_facts(here.kafka, [fact(n) for n in range(100)])
        async with server("elsewhere"):
            await until(lambda: attempted(metrics, 3), "three attempts")
            with pytest.raises(SetupError, match="ACCESS_DENIED"):
                await count(db, "v_cdr")
        assert sum((await uncommitted(here.kafka)).values()) == 100
        async with server("*"):
            await until_count(db, "v_cdr", 100)
            assert await count(db, "dead_letters") == 0
            await until_committed(here.kafka, "everything to be committed")


async def test_while_clickhouse_is_away_the_sink_waits_in_its_group_and_loses_nothing(settings: Settings) -> None:
    with tempfile.TemporaryDirectory(prefix="callweave-sink-") as folder:
        server = ClickHouseServer(Path(folder))
        await server.start()
        here = settings_of(server, settings)
        again = ClickHouseServer(Path(folder), port=server.port)
        try:
            await make_tables(here)
            async with ClickHouse(here.clickhouse) as db:
                async with sinking(here) as metrics:
                    await send_facts(here.kafka, [fact(n) for n in range(100)])
                    await until_count(db, "v_cdr", 100)
                    await until_committed(here.kafka, "the first rows to be committed")
                    await server.stop()
                    await send_facts(here.kafka, [fact(n) for n in range(100, 300)])
                    await until(lambda: attempted(metrics, 5), "five attempts")
                    assert metrics.get("callweave_sink_waiting") == 1
                    assert sum((await uncommitted(here.kafka)).values()) == 200

                    await again.start()
                    await until_count(db, "v_cdr", 300)
                    await until(lambda: _waits_no_more(metrics), "the end of waiting")
                assert await uncommitted(here.kafka) == {}
        finally:
            await server.stop()
            await again.stop()


async def _waits_no_more(metrics: Registry) -> bool:
    return metrics.get("callweave_sink_waiting") == 0


async def test_while_one_of_two_servers_is_away_the_sink_goes_on_with_the_other(
    settings: Settings, db: ClickHouse
) -> None:
    """Each goes away in turn, and one of them loses its answers: nothing waits, nothing is lost or there twice."""
    engine = urlsplit(settings.clickhouse.url).port or 0
    with front(engine) as first, front(engine) as second:
        both = f"http://127.0.0.1:{first.port},http://127.0.0.1:{second.port}"
        here = msgspec.structs.replace(settings, clickhouse=msgspec.structs.replace(settings.clickhouse, url=both))
        async with sinking(here) as metrics:
            for number, (one, other) in enumerate(((first, second), (second, first), (first, second))):
                one.is_away, one.swallows_answers = number != 1, number == 1
                other.is_away = other.swallows_answers = False
                await send_facts(here.kafka, [fact(n) for n in range(100 * number, 100 * number + 100)])
                await until_count(db, "v_cdr", 100 * number + 100)
            assert metrics.get("callweave_sink_waiting") == 0
        assert await uncommitted(here.kafka) == {}
        assert await count(db, "dead_letters") == 0
        assert second.connections > 0


async def test_a_stop_while_clickhouse_is_away_is_bounded_and_commits_nothing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sinks.worker.DRAIN_S", 0.5)
    away = msgspec.structs.replace(
        settings, clickhouse=msgspec.structs.replace(settings.clickhouse, url="http://127.0.0.1:9")
    )
    await send_facts(settings.kafka, [fact(1)])
    async with sinking(away) as metrics:
        await until(lambda: attempted(metrics, 2), "two attempts")
    assert sum((await uncommitted(settings.kafka)).values()) == 1


async def test_without_its_tables_the_sink_waits_for_the_migration(settings: Settings) -> None:
    async with ClickHouse(migrator(settings.clickhouse)) as db, sinking(settings) as metrics:
        await send_facts(settings.kafka, [fact(n) for n in range(10)])
        await until(lambda: attempted(metrics, 2), "two attempts")
        await migrate_tables(settings)
        await until_count(db, "v_cdr", 10)
        await db.command(f"DROP DATABASE {db.database}")


async def test_without_kafka_the_process_ends_with_an_error(settings: Settings) -> None:
    lost = msgspec.structs.replace(settings, kafka=KafkaSettings(bootstrap="127.0.0.1:9"))
    with pytest.raises(Unavailable, match=r"Kafka at 127\.0\.0\.1:9 does not answer"):
        await run(lost, asyncio.Event(), Registry())
