"""`callweave reconcile`, `import` and `raw show` as commands, on a real broker and the real engine."""

import json
import tempfile
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from deploy.admin.topic_setup import create_topics
from deploy.kafka.broker import KafkaServer
from deploy.process.ports import free_port
from processors.normalise import directory, normalise
from schemas.config.limits import DEFAULT
from schemas.config.settings import ClickHouseSettings, KafkaSettings, Settings
from schemas.facts import Fact
from schemas.raw import Position, raw_from_kafka
from sinks.clickhouse import ClickHouse
from sinks.migrate import migrator
from sinks.rows import CDR
from tests.contract.reconcile.carrier import ACCOUNT, facts, table, two_way_calls
from tests.support.command import Done, callweave, clickhouse_env
from tests.support.processes.formatted import formatted
from tests.support.processes.made_tables import make_in

CALLS = two_way_calls(260)
WHOSE = ("--vendor", "ytx", "--account", ACCOUNT)


class Desk:
    """A terminal beside a broker and a database."""

    def __init__(self, kafka: KafkaSettings, db: ClickHouse, clickhouse: ClickHouseSettings, cwd: Path) -> None:
        self._kafka = kafka
        self.db = db
        self._settings: dict[str, object] = {"kafka__bootstrap": kafka.bootstrap, **clickhouse_env(clickhouse)}
        self.cwd = cwd

    async def run(self, *arguments: str) -> Done:
        return await callweave(*arguments, cwd=self.cwd, settings=self._settings)

    def file(self, content: bytes) -> str:
        path = self.cwd / "carrier.csv"
        path.write_bytes(content)
        return str(path)

    async def raw(self) -> list[ConsumerRecord]:
        """Returns all records of calls.raw."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self._kafka.bootstrap)
        await consumer.start()
        try:
            places = [TopicPartition("calls.raw", n) for n in range(self._kafka.partitions)]
            consumer.assign(places)
            await consumer.seek_to_beginning(*places)
            wanted = sum((await consumer.end_offsets(places)).values())
            found: list[ConsumerRecord] = []
            while len(found) < wanted:
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    found += records
            return found
        finally:
            await consumer.stop()

    async def processed(self) -> list[Fact]:
        """Does what workers and sink do with all that is on calls.raw; returns the records."""
        made: list[Fact] = []
        for record in await self.raw():
            raw = raw_from_kafka(record.value, record.headers, record.timestamp)
            position = Position(record.topic, record.partition, record.offset)
            found = normalise(raw, position, directory(()), DEFAULT)
            assert not found.dead
            made += found.facts
        await self.db.insert(CDR, made)
        return made


@pytest.fixture(scope="module")
async def desk(clickhouse: ClickHouseSettings, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    with tempfile.TemporaryDirectory(prefix="callweave-files-") as folder:
        async with KafkaServer(formatted(Path(folder)), port=free_port(), heap="256m") as server:
            kafka = KafkaSettings(bootstrap=server.bootstrap, partitions=3)
            await create_topics(kafka)
            where = msgspec.structs.replace(clickhouse, database=f"files_{uuid.uuid4().hex[:12]}")
            async with ClickHouse(migrator(where)) as db:
                await make_in(db, Settings(clickhouse=where))
                yield Desk(kafka, db, where, tmp_path_factory.mktemp("files"))
                await db.command(f"DROP DATABASE {db.database}")


async def test_a_file_is_imported_once_reconciled_and_shown_byte_for_byte(desk: Desk) -> None:
    """One story, since each of its steps needs what the one before left."""
    file = desk.file(table(CALLS))

    done = await desk.run("import", file, *WHOSE, "--yes")
    assert (done.code, f"{len(CALLS)} rows sent" in done.text) == (0, True), done.err
    records = await desk.processed()
    pushed = {fact.fact_id: fact.content_digest for fact in facts(CALLS)}
    assert {fact.fact_id: fact.content_digest for fact in records} == pushed
    assert {fact.source for fact in records} == {"file_cdr"}

    again = await desk.run("import", file, *WHOSE, "--yes")
    assert (again.code, again.text.split()[:2]) == (0, ["0", "rows"]), again.err
    assert len(await desk.raw()) == len({fact.raw_offset * 3 + fact.raw_partition for fact in records})

    clean = await desk.run("reconcile", file, *WHOSE, "--yes", "--html", str(desk.cwd / "out.html"))
    assert clean.code == 0, clean.err
    assert "All records agree." in (desk.cwd / "out.html").read_text("utf-8")
    assert (desk.cwd / "out.html").stat().st_mode & 0o777 == 0o600

    wrong = await desk.run("reconcile", desk.file(table(CALLS[1:])), *WHOSE, "--yes")
    assert wrong.code == 1, wrong.err
    assert any(line.split() == ["only_ours", "1"] for line in wrong.text.splitlines())

    chosen = records[7]
    shown = await desk.run("raw", "show", chosen.fact_id, "--output", str(desk.cwd / "body"))
    assert shown.code == 0, shown.err
    (stored,) = [
        one for one in await desk.raw() if (one.partition, one.offset) == (chosen.raw_partition, chosen.raw_offset)
    ]
    body = (desk.cwd / "body").read_bytes()
    assert body == stored.value
    assert json.loads(body)[chosen.raw_element]["requestid"] == chosen.vendor_call_id
    assert "source: file_cdr" in shown.err
    digits = await desk.run("raw", "show", chosen.fact_id, "--hex")
    assert digits.text.startswith(f"00000000  {body[:4].hex(' ')}")


async def test_a_body_that_is_gone_is_said(desk: Desk) -> None:
    gone = msgspec.structs.replace(
        facts(CALLS[:1], at=None)[0], fact_id=str(uuid.uuid4()), raw_partition=1, raw_offset=10**9
    )
    await desk.db.insert(CDR, [gone])

    away = await desk.run("raw", "show", gone.fact_id)
    unknown = await desk.run("raw", "show", str(uuid.uuid4()))

    assert (away.code, "the topic ends at offset" in away.err) == (2, True), away.err
    assert (unknown.code, "no row has the record" in unknown.err) == (2, True)


REFUSED = {
    "a file without known headings": (b"a,b\n1,2\n", ("--yes",), "headings that are known"),
    "nobody to ask": (table(CALLS[:3]), (), "--yes is wanted"),
    "a vendor without a pull API": (table(CALLS[:3]), ("--yes", "--backfill"), "ytx has no pull API"),
    "a zone that there is not": (table(CALLS[:3]), ("--yes", "--zone", "Mars/Base"), "no time zone"),
}


@pytest.mark.parametrize(("content", "options", "said"), REFUSED.values(), ids=REFUSED)
async def test_what_cannot_run_says_why_and_exits_with_two(
    desk: Desk, content: bytes, options: tuple[str, ...], said: str
) -> None:
    done = await desk.run("reconcile", desk.file(content), *WHOSE, *options)

    assert (done.code, said in done.err) == (2, True), done.err


async def test_the_guess_is_printed_as_a_map_that_can_be_given_back(desk: Desk) -> None:
    file = desk.file(table(CALLS[:20]))
    shown = await desk.run("reconcile", file, *WHOSE, "--show-map")
    (desk.cwd / "map.toml").write_text(shown.text, "utf-8")

    done = await desk.run(
        "reconcile", file, *WHOSE, "--map", str(desk.cwd / "map.toml"), "--from", "2020-01-01", "--to", "2020-01-02"
    )

    assert shown.code == 0, shown.err
    assert done.code == 0, done.err
    assert "rows left out: 20 (outside the period)" in done.text
