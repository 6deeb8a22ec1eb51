"""`callweave conflicts` on a real broker and engine, and listings with text that somebody else wrote."""

import json
import tempfile
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from deploy.admin.topic_setup import create_topics
from deploy.kafka.broker import KafkaServer
from deploy.process.ports import free_port
from schemas.config.settings import ClickHouseSettings, KafkaSettings, Settings
from schemas.dead_letter import DeadLetter, hash_of
from schemas.facts import Disposition, Fact, FactType, Flag, Kind, RecordContent
from sinks.clickhouse import ClickHouse
from sinks.migrate import migrator
from sinks.rows import CDR, DEAD_LETTERS
from tests.support.command import Done, callweave, clickhouse_env
from tests.support.processes.formatted import formatted
from tests.support.processes.made_tables import make_in

NOW = datetime.now(UTC).replace(microsecond=0)
FIRST, SECOND, ALIKE = "aa" * 16, "bbbbbb" + "cc" * 13, "bbbbbb" + "dd" * 13
ANSI = "\x1b[2J\u202eevil\ncalls.raw/0/1"


class Desk:
    """A terminal beside a broker and a database."""

    def __init__(self, kafka: KafkaSettings, db: ClickHouse, clickhouse: ClickHouseSettings, cwd: Path) -> None:
        self.kafka = kafka
        self.db = db
        self._settings: dict[str, object] = {"kafka__bootstrap": kafka.bootstrap, **clickhouse_env(clickhouse)}
        self._cwd = cwd

    async def run(self, *arguments: str, **settings: object) -> Done:
        return await callweave(*arguments, cwd=self._cwd, settings={**self._settings, **settings})

    async def raw(self) -> list[ConsumerRecord]:
        """Returns all records of calls.raw."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.kafka.bootstrap, auto_offset_reset="earliest")
        await consumer.start()
        try:
            places = [TopicPartition("calls.raw", n) for n in range(self.kafka.partitions)]
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


@pytest.fixture(scope="module")
async def desk(clickhouse: ClickHouseSettings, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    with tempfile.TemporaryDirectory(prefix="callweave-conflicts-") as folder:
        async with KafkaServer(formatted(Path(folder)), port=free_port(), heap="256m") as server:
            kafka = KafkaSettings(bootstrap=server.bootstrap, partitions=3)
            await create_topics(kafka)
            where = msgspec.structs.replace(clickhouse, database=f"desk_{uuid.uuid4().hex[:12]}")
            async with ClickHouse(migrator(where)) as db:
                await make_in(db, Settings(clickhouse=where))
                await db.insert(CDR, [_record(n, **fields) for n, fields in RECORDS.items()])
                await db.insert(DEAD_LETTERS, LETTERS)
                yield Desk(kafka, db, where, tmp_path_factory.mktemp("cwd"))
                await db.command(f"DROP DATABASE {db.database}")


def _content(digest: str, age: timedelta, **fields: Any) -> RecordContent:
    default: dict[str, Any] = {
        "is_shown": False, "is_final": True, "received_at": NOW - age, "source": "push", "raw_topic": "calls.raw",
        "raw_partition": 1, "raw_offset": 7, "raw_element": 0, "disposition": Disposition.NO_ANSWER,
    }  # fmt: skip
    return RecordContent(digest=digest, **{**default, **fields})


def _pair(age: timedelta, **fields: Any) -> tuple[RecordContent, ...]:
    answered = {
        "disposition": Disposition.ANSWERED, "talk_ms": 35_000, "billable_s": 35, "cost": Decimal("2.940000"), "currency": "CNY",
    }  # fmt: skip
    return (
        _content(FIRST, age + timedelta(minutes=5), is_shown=True, billable_s=0, hangup_cause="NO_ANSWER"),
        _content(SECOND, age, **{**answered, **fields}),
    )


RECORDS: dict[int, dict[str, Any]] = {
    1: {
        "contents": _pair(timedelta(hours=1)),
        "account": "main",
        "vendor": "nxcloud",
        "kind": Kind.SOFTPHONE_CDR,
        "call_key": "nxcloud|main|call-1",
    },
    2: {"contents": _pair(timedelta(days=8))},
    3: {"contents": (*_pair(timedelta(hours=3)), _content(ALIKE, timedelta(hours=2)))},
    4: {"contents": _pair(timedelta(hours=4)), "quality_flags": (Flag.CONFLICT_FINAL, Flag.CONFLICT_RESOLVED)},
    5: {"contents": _pair(timedelta(hours=5), hangup_cause=ANSI), "vendor_call_id": ANSI},
    6: {},
}


def _record(number: int, **fields: Any) -> Fact:
    default: dict[str, Any] = {
        "fact_id": str(uuid.UUID(int=number)), "fact_type": FactType.RECORD, "vendor": "ytx", "kind": Kind.CALLBACK_CDR,
        "call_key": f"ytx|acc|call-{number}", "account_id": "acc", "vendor_call_id": f"call-{number}", "received_at": NOW,
        "quality_flags": (Flag.CONFLICT_FINAL,), "version": 1,
    }  # fmt: skip
    return Fact(**{**default, **fields})


def _letter(offset: int, body: bytes, days: int, **fields: Any) -> DeadLetter:
    at = NOW - timedelta(days=days)
    default: dict[str, Any] = {
        "stage": "normalise", "code": "json", "detail": "not JSON", "vendor": "ytx", "topic": "calls.raw", "partition": 0,
        "offset": offset, "original": body, "occurred_at": at, "origin_hash": hash_of(body, at),
    }  # fmt: skip
    return DeadLetter(**{**default, **fields})


LETTERS = [
    _letter(1, b"before", 2),
    _letter(1, b"after", 1),
    _letter(2, b"alone", 1),
    _letter(3, b"{", 1, detail=ANSI, vendor="\u2066ytx\x9b", headers={"x": ANSI}),
]


def _id(number: int) -> str:
    return str(uuid.UUID(int=number))


async def test_list_shows_each_record_with_its_contents_and_which_one_counts(desk: Desk) -> None:
    done = await desk.run("conflicts", "list", "--vendor", "nxcloud")

    head, first, second = done.lines
    assert head == f"{_id(1)}  nxcloud softphone_cdr  call call-1  account main"
    assert first.startswith(f"  * {FIRST}  no_answer  cause NO_ANSWER  billable 0s  received ")
    assert second.startswith(f"    {SECOND}  answered  talk 35s  billable 35s  cost 2.94 CNY  received ")
    assert second.endswith(" by push, calls.raw/1/7/0")


CHOSEN: dict[str, tuple[tuple[str, ...], list[int]]] = {
    "all that are open, the last received first": ((), [1, 3, 5, 2]),
    "one vendor's": (("--vendor", "ytx"), [3, 5, 2]),
    "the resolved ones too": (("--all",), [1, 3, 4, 5, 2]),
    "since a time": (("--since", f"{NOW - timedelta(days=1):%Y-%m-%dT%H:%M:%S}"), [1, 3, 5]),
    "at most two": (("--limit", "2"), [1, 3]),
    "none": (("--vendor", "tencent"), []),
}


@pytest.mark.parametrize(("arguments", "numbers"), CHOSEN.values(), ids=CHOSEN)
async def test_list_shows_what_is_asked_for(desk: Desk, arguments: tuple[str, ...], numbers: list[int]) -> None:
    done = await desk.run("conflicts", "list", *arguments)

    assert done.code == 0
    assert [line.split()[0] for line in done.lines if not line.startswith(" ")] == [_id(n) for n in numbers]
    assert done.err.startswith(
        "no record is in conflict" if not numbers else "the last 2" if "--limit" in arguments else ""
    )


REFUSED: dict[str, tuple[tuple[str, ...], str]] = {
    "a record that is in no conflict": ((_id(6), "--keep", FIRST), f"no record {_id(6)} has contents that contradict"),
    "a record that is not there": ((_id(99), "--keep", FIRST), f"no record {_id(99)} has contents that contradict"),
    "no record's id": (("call-1", "--keep", FIRST), "'call-1' is no record's id"),
    "a content of no record": ((_id(1), "--keep", "ee" * 16), f"is no content of record {_id(1)}, which has:\n  * {FIRST}"),
    "digits of two contents": ((_id(3), "--keep", "bbbbbb"), f"names more than one content of record {_id(3)}, which has:"),
    "too few digits": ((_id(1), "--keep", "a"), "'a' is no content"),
    "nothing to keep": ((_id(1), "--keep", ""), "'' is no content"),
    "a record that the joiner forgot": ((_id(2), "--keep", FIRST), "a call is forgotten after 7 days (join.horizon_s)"),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "message"), REFUSED.values(), ids=REFUSED)
async def test_a_decision_that_nothing_would_come_of_is_refused_in_a_sentence(
    desk: Desk, arguments: tuple[str, ...], message: str
) -> None:
    before = len(await desk.raw())
    done = await desk.run("conflicts", "resolve", *arguments)

    assert (done.code, done.out) == (1, b"")
    assert message in done.err
    assert "Traceback" not in done.err
    assert len(await desk.raw()) == before


async def test_the_refusal_of_a_forgotten_record_says_how_to_read_it_again(desk: Desk) -> None:
    done = await desk.run("conflicts", "resolve", _id(2), "--keep", FIRST)
    newest = NOW - timedelta(days=8)

    assert f"--until {newest + timedelta(seconds=2):%Y-%m-%dT%H:%M:%S} --vendor ytx" in done.err
    assert (await desk.run("conflicts", "resolve", _id(2), "--keep", FIRST, "--forgotten-too")).code == 0
    longer = await desk.run("conflicts", "resolve", _id(2), "--keep", FIRST, join__horizon_s=9 * 86400)
    assert longer.code == 0, longer.err


@pytest.mark.parametrize("keep", [SECOND, SECOND[:6]], ids=["the whole digest", "its first digits"])
async def test_a_decision_goes_to_the_raw_log_and_says_what_will_happen(desk: Desk, keep: str) -> None:
    done = await desk.run("conflicts", "resolve", _id(1), "--keep", keep, "--note", "the customer's bill says so")

    assert done.code == 0, done.err
    record = max(await desk.raw(), key=lambda one: one.timestamp)
    assert f"sent to calls.raw/{record.partition}/{record.offset}: of record {_id(1)} this content counts" in done.text
    assert f"{SECOND}  answered" in done.text
    decision = msgspec.json.decode(record.value)
    at = datetime.fromisoformat(decision.pop("resolved_at"))
    assert decision == {
        "record_id": _id(1), "call_key": "nxcloud|main|call-1", "kind": "softphone_cdr", "keep": SECOND,
        "note": "the customer's bill says so",
    }  # fmt: skip
    headers = {name: value.decode() for name, value in record.headers}
    assert timedelta(0) <= at - NOW < timedelta(hours=1)
    assert headers.pop("received_at") == str(int(at.timestamp() * 1000))
    assert headers.pop("request_id")
    assert headers == {
        "vendor": "nxcloud", "callback": "resolution", "account": "main", "content_type": "application/json", "source": "push",
    }  # fmt: skip
    assert record.key == b"nxcloud|main|call-1"


async def test_a_kafka_that_does_not_answer_is_reported_in_a_sentence(desk: Desk) -> None:
    port = free_port()
    done = await desk.run("conflicts", "resolve", _id(1), "--keep", FIRST, kafka__bootstrap=f"127.0.0.1:{port}")

    assert (done.code, done.out) == (1, b"")
    assert f"Kafka at 127.0.0.1:{port} does not answer" in done.err


LISTINGS = {
    "conflicts list": ("conflicts", "list"),
    "a wrong digest's choices": ("conflicts", "resolve", _id(5), "--keep", "ee"),
    "dead list": ("dead", "list"),
    "dead show": ("dead", "show", "calls.raw/0/3"),
    "an error that quotes an argument": ("dead", "show", ANSI),
}


@pytest.mark.parametrize("arguments", LISTINGS.values(), ids=LISTINGS)
async def test_no_listing_lets_foreign_text_steer_the_terminal(desk: Desk, arguments: tuple[str, ...]) -> None:
    done = await desk.run(*arguments)

    shown = done.text + done.err
    assert not {"\x1b", "\u202e", "\x9b", "\u2066"} & set(shown)
    assert r"\u202e" in shown
    assert not any(line.startswith("calls.raw/0/1 ") or line == "calls.raw/0/1" for line in shown.splitlines())


async def test_dead_show_is_json_of_what_was_written(desk: Desk) -> None:
    shown = json.loads((await desk.run("dead", "show", "calls.raw/0/3")).text)
    assert (shown["detail"], shown["vendor"], shown["headers"]) == (ANSI, "\u2066ytx\x9b", {"x": ANSI})


async def test_a_letter_whose_place_is_anothers_too_is_named_by_its_hash(desk: Desk) -> None:
    """The topics were made again, so two dead letters have the same offset."""
    before, after, *_ = (f"calls.raw/0/1@{one.origin_hash}" for one in LETTERS)
    listed = [line.split()[0] for line in (await desk.run("dead", "list")).lines]
    either = await desk.run("dead", "show", "calls.raw/0/1")

    assert {before, after, "calls.raw/0/2", "calls.raw/0/3"} == set(listed)
    assert (either.code, either.out) == (1, b"")
    assert "dead letters of 2 records are called calls.raw/0/1, say which:" in either.err
    assert before in either.err
    assert after in either.err
    assert (await desk.run("dead", "show", before, "--raw")).out == b"before"
    assert (await desk.run("dead", "show", after, "--raw")).out == b"after"
    assert (await desk.run("dead", "replay", "calls.raw/0/1")).code == 1


async def test_a_replay_of_one_of_two_letters_of_a_place_resolves_that_one(desk: Desk) -> None:
    before, after = (f"calls.raw/0/1@{one.origin_hash}" for one in LETTERS[:2])
    done = await desk.run("dead", "replay", before)

    assert done.text == "1 bodies sent again for 1 dead letters\n"
    sent = [record for record in await desk.raw() if dict(record.headers).get("replay_of")]
    assert [(record.value, record.partition, dict(record.headers)["replay_of"]) for record in sent] == [
        (b"before", 0, b"calls.raw/0/1")
    ]
    left = [line.split()[0] for line in (await desk.run("dead", "list")).lines]
    assert (before in left, after in left) == (False, True)
    both = await desk.run("dead", "replay", "--code", "json", "--all")
    assert both.text == "4 bodies sent again for 4 dead letters\n"
