"""The private parts of Faust that the transport overrides: a release that changes one must fail here.

Where a signature differs, read the new source, correct `processors/engine/transport.py` or
`processors/engine/fetcher.py`, run the integration tests, and only then change the table.
"""

import inspect
from collections.abc import Callable
from importlib.metadata import version

import aiokafka
import faust
import pytest
from aiokafka.consumer.fetcher import Fetcher as AiokafkaFetcher
from aiokafka.producer.message_accumulator import BatchBuilder
from faust.app.base import App
from faust.tables.recovery import Recovery
from faust.transport import base
from faust.transport.consumer import Consumer, Fetcher, ThreadDelegateConsumer
from faust.transport.drivers import aiokafka as driver
from faust.types.tuples import ConsumerMessage
from mode.threads import MethodQueue, QueueServiceThread

from processors.engine.faust_app import BatchApp
from processors.engine.fetcher import FetcherThread
from processors.engine.transport import BatchConsumer, BatchSchema, BatchTransport, IdleProducer


@pytest.mark.parametrize(
    ("package", "expected"),
    [("faust-streaming", "0.15.3"), ("mode-streaming", "0.7.1"), ("aiokafka", "0.14.0")],
)
def test_the_versions_read_and_tried(package: str, expected: str) -> None:
    assert version(package) == expected


def parameters(function: Callable[..., object]) -> list[str]:
    return list(inspect.signature(function).parameters)


@pytest.mark.parametrize(
    ("stock", "name", "expected"),
    [
        (driver.Consumer, "_new_consumer_thread", ["self"]),
        (Consumer, "getmany", ["self", "timeout"]),
        (Consumer, "_drain_messages", ["self", "fetcher"]),
        (Consumer, "perform_seek", ["self"]),
        (Consumer, "on_partitions_revoked", ["self", "revoked"]),
        (Consumer, "on_partitions_assigned", ["self", "assigned", "generation_id"]),
        (Consumer, "wait_empty", ["self"]),
        (Consumer, "commit", ["self", "topics", "start_new_transaction"]),
        (Consumer, "verify_all_partitions_active", ["self"]),
        (driver.AIOKafkaConsumerThread, "seek_to_committed", ["self"]),
        (driver.AIOKafkaConsumerThread, "_create_worker_consumer", ["self", "transport"]),
        (
            base.Producer,
            "send",
            ["self", "topic", "key", "value", "partition", "timestamp", "headers", "transactional_id"],
        ),
        (faust.Schema, "loads_key", ["self", "app", "message", "loads", "serializer"]),
        (faust.Schema, "loads_value", ["self", "app", "message", "loads", "serializer"]),
        (App, "_create_directories", ["self"]),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_is_overridden(stock: type, name: str, expected: list[str]) -> None:
    assert parameters(getattr(stock, name)) == expected
    ours = [
        cls for cls in (BatchConsumer, FetcherThread, IdleProducer, BatchSchema, BatchApp) if issubclass(cls, stock)
    ]
    assert any(name in vars(cls) for cls in ours), f"{name} is not overridden any more: take it off the table"


@pytest.mark.parametrize(
    ("owner", "name", "expected"),
    [
        (Consumer, "_get_active_partitions", ["self"]),
        (Consumer, "stop_flow", ["self"]),
        (ThreadDelegateConsumer, "_commit", ["self", "offsets"]),
        (ThreadDelegateConsumer, "assignment", ["self"]),
        (driver.AIOKafkaConsumerThread, "_ensure_consumer", ["self"]),
        (
            driver.AIOKafkaConsumerThread,
            "_fetch_records",
            ["self", "consumer", "active_partitions", "timeout", "max_records"],
        ),
        (MethodQueue, "__init__", ["self", "num_workers", "kwargs"]),
        (driver.AIOKafkaConsumerThread, "call_thread", ["self", "fun", "args", "kwargs"]),
        (AiokafkaFetcher, "fetched_records", ["self", "partitions", "timeout", "max_records"]),
        (BatchBuilder, "append", ["self", "timestamp", "key", "value", "headers"]),
        (aiokafka.AIOKafkaProducer, "send_batch", ["self", "batch", "topic", "partition"]),
        (aiokafka.AIOKafkaProducer, "create_batch", ["self"]),
        (
            ConsumerMessage,
            "__init__",
            [
                "self",
                "topic",
                "partition",
                "offset",
                "timestamp",
                "timestamp_type",
                "headers",
                "key",
                "value",
                "checksum",
                "serialized_key_size",
                "serialized_value_size",
                "tp",
                "time_in",
                "time_out",
                "time_total",
                "generation_id",
            ],
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_is_called(owner: type, name: str, expected: list[str]) -> None:
    assert parameters(getattr(owner, name)) == expected


@pytest.mark.parametrize(
    ("function", "before", "after"),
    [
        pytest.param(
            Recovery._resume_streams,
            "consumer.perform_seek()",
            "consumer.resume_flow()",
            id="a-seek-before-the-flow-resumes",
        ),
        pytest.param(
            App._on_partitions_revoked,
            "consumer.stop_flow",
            "self._consumer_wait_empty",
            id="a-revoke-stops-the-flow-first",
        ),
        pytest.param(
            App._stop_consumer, "consumer.stop_flow()", "self._consumer_wait_empty", id="a-stop-stops-the-flow-first"
        ),
        pytest.param(Fetcher._fetcher.fun, "consumer._drain_messages(self)", "set_shutdown", id="the-fetcher-drains"),
    ],
)
def test_the_order_that_the_offsets_rely_on(function: Callable[..., object], before: str, after: str) -> None:
    source = inspect.getsource(function)

    assert 0 < source.index(before) < source.index(after)


def test_the_queue_of_calls_into_the_thread_is_ours() -> None:
    assert isinstance(QueueServiceThread.method_queue, property)
    assert "_method_queue" in vars(QueueServiceThread)


def test_the_transport_brings_its_own_parts() -> None:
    assert BatchTransport.Consumer is BatchConsumer
    assert BatchTransport.Producer is IdleProducer
    assert issubclass(BatchTransport, driver.Transport)
