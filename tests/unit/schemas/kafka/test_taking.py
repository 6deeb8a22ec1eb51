"""Records taken in our form: those that aiokafka itself would give, with the same contents."""

from collections import OrderedDict
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, FetchError, FetchResult, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from processors.records import Record, record_of
from schemas.config.settings import KafkaSettings
from schemas.kafka.clients import consumer
from schemas.kafka.taking import TakingConsumer, _Fetched
from sinks.consumer import origin_of
from sinks.flush.batch import Origin

PLACE = TopicPartition("calls.raw", 3)
ABORTED_BY = 77


def batch(first: int, count: int, *, codec: int = 0, transactional: bool = False, producer: int = -1) -> bytes:
    """The bytes of a record batch: keys, values and headers of every kind, each also null."""
    made = DefaultRecordBatchBuilder(2, codec, int(transactional), producer, 0, 0, 1 << 20)
    for n in range(count):
        key, value = (None, b"k%d" % n)[n % 2], (b"v" * (n + 1), None, b"")[n % 3]
        made.append(n, 1_700_000_000_000 + n, key, value, [[], [("a", b"1"), ("b", None)]][n % 2])
    return at_offset(bytes(made.build()), first)


def at_offset(made: bytes, first: int) -> bytes:
    """The same batch at another offset, which its checksum does not cover."""
    return first.to_bytes(8, "big") + made[8:]


def abort_marker(at: int) -> bytes:
    """The control batch that ends a transaction as aborted."""
    made = DefaultRecordBatchBuilder(2, 0, 1, ABORTED_BY, 0, 0, 1 << 20)
    made.append(0, 1_700_000_000_000, b"\0\0\0\0", b"", [])
    whole = bytearray(made.build())
    whole[22] |= 0x20  # the attributes' bit of a control batch
    return at_offset(bytes(whole), at)


def old_messages() -> bytes:
    """Messages of the format before record batches."""
    made = LegacyRecordBatchBuilder(1, 0, 1 << 20)
    for n in range(3):
        made.append(n, 1_700_000_000_000 + n, b"k", b"v")
    return bytes(made.build())


FETCHES = {
    "one-batch": batch(0, 7),
    "several-batches": batch(0, 5) + batch(5, 1) + batch(6, 9),
    "compressed": batch(0, 40, codec=2),
    "from-the-middle-of-a-batch": batch(0, 9),
    "offsets-missing-after-compaction": batch(4, 2) + batch(90, 2),
    "an-aborted-transaction": batch(0, 2)
    + batch(2, 3, transactional=True, producer=ABORTED_BY)
    + batch(5, 2)
    + abort_marker(7)
    + batch(8, 2),
    "old-messages": old_messages(),
}


def fetched(data: bytes, *, start: int = 0) -> PartitionRecords:
    return PartitionRecords(PLACE, MemoryRecords(data), [(ABORTED_BY, 2)], start, None, None, False, READ_COMMITTED)


def results(records: PartitionRecords, make: Any = None) -> tuple[FetchResult, Any]:
    """The result of a fetch, kept as aiokafka keeps it or as the taking consumer does, and its partition's state."""
    state = SimpleNamespace(paused=False, position=records.next_fetch_offset)
    state.consumed_to = lambda offset: setattr(state, "position", offset)
    assignment = SimpleNamespace(active=True, state_value=lambda _: state)
    result = FetchResult(PLACE, assignment=assignment, partition_records=records, backoff=0)
    kept: OrderedDict[TopicPartition, Any] = OrderedDict() if make is None else _Fetched(make, OrderedDict())
    kept[PLACE] = result
    return kept[PLACE], state


def as_record(one: Any) -> Record:
    return Record(offset=one.offset, timestamp_ms=one.timestamp, key=one.key, value=one.value, headers=one.headers)


@pytest.mark.parametrize("start", [0, 3])
@pytest.mark.parametrize("data", FETCHES.values(), ids=FETCHES)
@pytest.mark.parametrize("at_once", [1, 4, 1000])
def test_the_same_records_come_as_from_aiokafka(data: bytes, start: int, at_once: int) -> None:
    theirs, their_state = results(fetched(data, start=start))
    ours, our_state = results(fetched(data, start=start), record_of)
    origins, _ = results(fetched(data, start=start), origin_of)

    rounds = 0
    while theirs.has_more():
        expected = theirs.getall(at_once)
        assert [as_record(one) for one in expected] == ours.getall(at_once)
        assert our_state.position == their_state.position
        for one, origin in zip(expected, origins.getall(at_once), strict=True):
            assert (one.topic, one.partition, one.offset) == (
                origin.position.topic,
                origin.position.partition,
                origin.position.offset,
            )
            assert (one.key, one.value, one.headers, one.timestamp) == (
                origin.key,
                origin.value,
                origin.headers,
                origin.timestamp_ms,
            )
        rounds += 1
    assert not ours.has_more()
    assert rounds > 0


def test_what_was_aborted_is_not_among_them() -> None:
    ours, state = results(fetched(FETCHES["an-aborted-transaction"]), record_of)
    assert [record.offset for record in ours.getall()] == [0, 1, 5, 6, 8, 9]
    assert state.position == 10


def test_a_batch_that_was_damaged_is_an_error() -> None:
    data = bytearray(batch(0, 3))
    data[-1] ^= 1
    records = PartitionRecords(PLACE, MemoryRecords(bytes(data)), [], 0, None, None, True, READ_COMMITTED)
    ours, _ = results(records, record_of)
    with pytest.raises(CorruptRecordException):
        ours.getall()


def test_a_failed_fetch_stays_a_failure() -> None:
    kept = _Fetched(record_of, OrderedDict({PLACE: FetchError(error=ValueError("away"), backoff=0)}))
    with pytest.raises(ValueError, match="away"):
        kept[PLACE].check_raise()


async def test_only_who_asks_gets_records_of_another_form() -> None:
    theirs, ours = consumer(KafkaSettings(), "x"), consumer(KafkaSettings(), "x", make=record_of)
    try:
        assert (type(theirs), type(ours)) == (AIOKafkaConsumer, TakingConsumer)
    finally:
        await theirs.stop()
        await ours.stop()


def test_an_origin_has_its_place() -> None:
    ours, _ = results(fetched(FETCHES["one-batch"]), origin_of)
    assert {type(origin) for origin in ours.getall()} == {Origin}
