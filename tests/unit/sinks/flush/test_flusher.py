"""The flusher with tables in memory: rows that are inserted, rows that become dead letters, and waits."""

import asyncio
import contextlib
from collections.abc import Sequence
from math import ceil, log2
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.backoff import Backoff
from schemas.codec import Codecs
from schemas.dead_letter import DeadLetter
from schemas.errors import Unavailable, Undecodable
from schemas.facts import Fact, FactType, Kind
from schemas.metrics import Registry
from schemas.raw import Position
from sinks.columns import Table
from sinks.error_classes import RowsRefused
from sinks.flush.batch import Origin
from sinks.flush.flusher import Flusher, publisher
from sinks.flush.insert import insert_or_bisect
from sinks.flush.sink_dead_letter import dead_letter_of
from sinks.rows import CDR, DEAD_LETTERS, TIMELINES
from sinks.typed_records import TOPICS, read
from sinks.writing.records import Records


class Tables:
    """ClickHouse in memory: refuses batches that hold a row of `bad`, and is away for the first `away` inserts."""

    def __init__(self, bad: set[Any] | None = None, away: int = 0) -> None:
        self.bad = bad or set()
        self.away = away
        self.rows: list[tuple[str, Any]] = []
        self.inserts = 0

    async def insert(self, table: Table[Any], records: Sequence[Any]) -> None:
        self.inserts += 1
        if self.away:
            self.away -= 1
            raise Unavailable("away")
        if any(self._is_bad(record) for record in records):
            raise RowsRefused("column x: ValueError")
        self.rows += [(table.name, record) for record in records]

    def _is_bad(self, record: Any) -> bool:
        return (record.original if isinstance(record, DeadLetter) else record) in self.bad


class DeadTopic:
    """`calls.dead` in memory."""

    def __init__(self) -> None:
        self.sent: list[DeadLetter] = []

    async def publish(self, dead_letters: list[DeadLetter]) -> None:
        self.sent += dead_letters


def row(number: int, topic: str = "calls.normalized") -> Origin:
    """Returns the origin of a row, which is its number."""
    return Origin(position=Position(topic, 0, number), key=None, value=str(number).encode())


async def plenty() -> None:
    """The disk has room."""


def flusher(tables: Tables, dead_letters: DeadTopic, metrics: Registry | None = None) -> Flusher:
    backoff = Backoff(first_s=0.001, cap_s=0.002)
    return Flusher(tables.insert, dead_letters.publish, backoff, metrics or Registry(), plenty)


def rows(origins: list[Origin]) -> Records:
    return Records.of([origin.position.offset for origin in origins], origins)


def batch(*parts: tuple[Table[Any], list[Origin]]) -> list[tuple[Table[Any], Records]]:
    return [(table, rows(origins)) for table, origins in parts]


@given(st.integers(1, 200), st.sets(st.integers(0, 199), max_size=6))
def test_exactly_the_bad_rows_are_refused_and_all_others_are_inserted_once(count: int, bad: set[int]) -> None:
    bad &= set(range(count))
    tables = Tables(bad)
    refused = asyncio.run(insert_or_bisect(CDR, rows([row(n) for n in range(count)]), tables.insert, Registry()))
    assert {refusal.origin.position.offset for refusal in refused} == bad
    assert sorted(row for _, row in tables.rows) == sorted(set(range(count)) - bad)
    assert tables.inserts <= 1 + len(bad) * 2 * (ceil(log2(count)) if count > 1 else 0)


async def test_a_refused_row_becomes_a_dead_letter_with_its_bytes_and_reason() -> None:
    tables, dead_letters, metrics = Tables({7}), DeadTopic(), Registry()
    await flusher(tables, dead_letters, metrics).flush(batch((CDR, [row(n) for n in range(10)])), [])
    assert dead_letters.sent == [dead_letter_of(row(7), "row", "column x: ValueError")]
    assert metrics.get("callweave_sink_rows_total", "cdr") == 9


async def test_a_flush_waits_for_clickhouse_and_then_finishes() -> None:
    tables, dead_letters, metrics = Tables(away=5), DeadTopic(), Registry()
    seen: list[float] = []
    insert = tables.insert

    async def watched(table: Table[Any], records: Sequence[Any]) -> None:
        seen.append(metrics.get("callweave_sink_waiting"))
        await insert(table, records)

    tables.insert = watched  # type: ignore[method-assign]  # to look at the gauge at each attempt
    await flusher(tables, dead_letters, metrics).flush(batch((CDR, [row(1)])), [])
    assert tables.rows == [("cdr_by_slot", 1)]
    assert seen == [0, 1, 1, 1, 1, 1]
    assert metrics.get("callweave_sink_waiting") == 0
    assert metrics.get("callweave_sink_inserts_total", "cdr", "retry") == 5


async def test_each_reason_to_wait_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    reasons = ["does not answer", "does not answer", "a table is missing", "a table is missing", "a table is missing"]

    async def insert(_: Table[Any], __: Sequence[Any]) -> None:
        if reasons:
            raise Unavailable(reasons.pop(0))

    await Flusher(insert, DeadTopic().publish, Backoff(first_s=0.001, cap_s=0.002), Registry(), plenty).flush(
        batch((CDR, [row(1)])), []
    )

    logged = [record.getMessage() for record in caplog.records if record.getMessage().startswith("waiting")]
    assert logged == ["waiting for ClickHouse: does not answer", "waiting for ClickHouse: a table is missing"]


async def test_a_table_that_is_in_is_not_inserted_again_while_another_waits() -> None:
    tables = Tables(away=1)
    await flusher(tables, DeadTopic()).flush(batch((CDR, [row(1)]), (TIMELINES, [row(2)])), [])
    assert sorted(tables.rows) == [("cdr_by_slot", 1), ("timelines_by_slot", 2)]


async def test_a_dead_letter_that_is_refused_goes_to_the_table_without_its_bytes_and_not_to_the_topic() -> None:
    refused = row(3, topic="calls.dead")
    tables, dead_letters = Tables({3, refused.value}), DeadTopic()
    await flusher(tables, dead_letters).flush(batch((DEAD_LETTERS, [refused])), [])
    assert dead_letters.sent == []
    ((table, kept),) = tables.rows
    assert (table, kept.topic, kept.offset, kept.original) == ("dead_letters_versions", "calls.dead", 3, b"")


async def test_a_dead_letter_that_nothing_can_keep_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    refused = row(3, topic="calls.dead")
    tables, dead_letters = Tables({3, refused.value, b""}), DeadTopic()
    await flusher(tables, dead_letters).flush(batch((DEAD_LETTERS, [refused])), [])
    assert (dead_letters.sent, tables.rows) == ([], [])
    assert "calls.dead[0] 3" in caplog.text


async def test_an_undecodable_dead_letter_goes_to_the_table_only() -> None:
    origin = Origin(position=Position("calls.dead", 0, 5), key=None, value=b"junk")
    tables, dead_letters = Tables(), DeadTopic()
    await flusher(tables, dead_letters).flush(batch(), [dead_letter_of(origin, "schema", "not a framed dead_letter")])
    assert dead_letters.sent == []
    assert [(table, row.original) for table, row in tables.rows] == [("dead_letters_versions", b"junk")]


async def test_a_dead_letter_too_large_for_the_topic_goes_without_its_bytes() -> None:
    sent: list[bytes] = []

    class Producer:
        async def send(self, topic: str, value: bytes, key: bytes) -> "asyncio.Future[None]":
            sent.append(value)
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            done.set_result(None)
            return done

    codecs = Codecs()
    large = dead_letter_of(
        Origin(position=Position("calls.normalized", 0, 0), key=None, value=b"x" * 5000), "row", "why"
    )
    await publisher(Producer(), codecs, "calls.dead", 2000)([large])
    decoded = codecs.dead_letter.decode(sent[0])
    assert (decoded.original, decoded.offset, decoded.code) == (b"", 0, "row")


async def test_a_dead_letter_whose_headers_are_too_large_for_the_topic_goes_without_them() -> None:
    sent: list[bytes] = []

    class Producer:
        async def send(self, topic: str, value: bytes, key: bytes) -> "asyncio.Future[None]":
            sent.append(value)
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            done.set_result(None)
            return done

    place = Position("calls.normalized", 3, 7)
    for headers, key in (((("trace", b"x" * 5000),), None), ((), b"k" * 5000)):
        large = dead_letter_of(Origin(position=place, key=key, value=b"y", headers=headers), "internal", "why")
        await publisher(Producer(), Codecs(), "calls.dead", 2000)([large])
    for value in sent:
        kept = Codecs().dead_letter.decode(value)
        assert (len(value) < 2000, kept.partition, kept.offset, kept.code, kept.headers) == (True, 3, 7, "internal", {})


async def test_a_row_that_our_own_code_cannot_make_is_an_internal_dead_letter() -> None:
    async def insert(_table: Table[Any], records: Sequence[Any]) -> None:
        if 7 in records:
            raise RowsRefused("column legs.role: AttributeError", code="internal")

    dead_letters = DeadTopic()
    made = Flusher(insert, dead_letters.publish, Backoff(first_s=0.001, cap_s=0.002), Registry(), plenty)
    await made.flush(batch((CDR, [row(n) for n in range(10)])), [])
    assert dead_letters.sent == [dead_letter_of(row(7), "internal", "column legs.role: AttributeError")]


@pytest.mark.parametrize("topic", TOPICS)
def test_a_resolution_is_undecodable_wherever_the_sink_meets_one(topic: str) -> None:
    kept = Fact(fact_type=FactType.RESOLUTION, vendor="ytx", kind=Kind.CALLBACK_CDR, keeps="0011")
    with pytest.raises(Undecodable):
        read(topic, Codecs().fact.encode(kept), Codecs())


@given(st.sampled_from(TOPICS), st.binary(max_size=60))
def test_any_bytes_are_a_record_or_undecodable(topic: str, junk: bytes) -> None:
    for value in (junk, b"\x00\x00\x00\x03\xe9" + junk):
        with contextlib.suppress(Undecodable):
            assert read(topic, value, Codecs()) is not None


def test_a_tombstone_of_the_compacted_topic_is_nothing_and_elsewhere_undecodable() -> None:
    assert read("calls.timelines", None, Codecs()) is None
    with pytest.raises(Undecodable):
        read("calls.normalized", None, Codecs())


def test_a_record_goes_to_the_table_of_its_topic_and_type() -> None:
    fact = Fact(fact_type=FactType.RECORD, vendor="ytx", kind=Kind.VOICE_OTP)
    assert read("calls.normalized", Codecs().fact.encode(fact), Codecs()) == (CDR, fact)


async def test_rows_of_which_a_disk_may_have_lost_some_are_inserted_again_with_all_others() -> None:
    """Nothing of the batch is done before the disk had room behind the last insert."""
    steps: list[str] = []

    async def insert(table: Table[Any], records: Sequence[Any]) -> None:
        steps.append(f"{table.label} {len(records)}")

    async def require_room() -> None:
        steps.append("room")
        if steps.count("room") < 3:
            raise Unavailable("the disk is full", code="full")

    async def publish(_: list[DeadLetter]) -> None:
        steps.append("published")

    metrics = Registry()
    made = Flusher(insert, publish, Backoff(first_s=0.001, cap_s=0.002), metrics, require_room)
    await made.flush(batch((CDR, [row(1), row(2)]), (TIMELINES, [row(3)])), [])
    assert steps == ["cdr 2", "timelines 1", "room"] * 3 + ["published"]
    assert metrics.get("callweave_sink_waiting") == 0
