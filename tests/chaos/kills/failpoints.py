"""Failpoints: the points of a sink's and a worker's run at which a test ends it with kill -9, and their arming.

A failpoint is a function of the product and a moment: just before it, when it has returned, when it has raised, or with
half of its request on the wire. Arming wraps that function in this process alone; the product does not know of it.
"""

import functools
import inspect
import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Literal

import aiokafka.conn
import msgspec
import urllib3.connection
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

import sinks.worker
from processors.engine.fetcher import FetcherThread
from processors.engine.transport import BatchConsumer
from processors.outbox import Outbox
from processors.stages.join_stage import JoinStage
from processors.store.partition import PartitionState
from schemas.topics import FACTS, NORMALIZED, STATE, TIMELINES
from sinks.clickhouse import ClickHouse
from sinks.flush.batch import SinkBatch
from sinks.flush.flusher import Flusher

PartName = Literal["sink", "worker"]
Moment = Literal["before", "after", "raised", "half sent"]
Need = Literal["", "migration", "refused row", "rebalance", "stop"]
CallArguments = Mapping[str, Any]
"""The arguments of a function by parameter; `result` is its result."""


class Failpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One failpoint."""

    name: str
    part: PartName
    owner: Any
    """The class or module that has the function."""
    function: str
    moment: Moment
    when: Callable[[CallArguments], bool] | None = None
    """True for the calls that count; None means all."""
    needs: Need = ""
    """The event without which the point is not reached."""
    passages: int = 2
    """A process ends at one of the first passages, up to this number."""
    once: bool = False
    """True when the point is passed only at a start, before anything was committed."""


def _request(name: str) -> Callable[[CallArguments], bool]:
    """True for a request of this kind to a broker."""
    return lambda call: type(call["request"]).__name__ == f"{name}Request"


def _insert(call: CallArguments) -> bool:
    """True for a request to ClickHouse whose body is rows."""
    return inspect.isgenerator(call.get("body"))


def _carries(*topics: str) -> Callable[[CallArguments], bool]:
    """True for messages to one of these topics; a tick of the record clock has no value and does not count."""
    return lambda call: any(message.topic in topics and message.value is not None for message in call["messages"])


def _to(topic: str) -> Callable[[CallArguments], bool]:
    """True for a batch for this topic."""
    return lambda call: call["topic"] == topic


def _something(call: CallArguments) -> bool:
    """True when records came."""
    return bool(call["result"])


def _something_fetched(call: CallArguments) -> bool:
    return bool(call["result"][1])


_WIRE: Final = aiokafka.conn.AIOKafkaConnection
_HTTP: Final = urllib3.connection.HTTPConnection

# fmt: off
SINK: Final = (
    Failpoint(name="migrating, before a statement", part="sink", owner=ClickHouse, function="command", moment="before", needs="migration", passages=20, once=True),
    Failpoint(name="migrated, not yet noted", part="sink", owner=ClickHouse, function="insert_rows", moment="before", needs="migration", passages=8, once=True),
    Failpoint(name="migrated and noted", part="sink", owner=ClickHouse, function="insert_rows", moment="after", needs="migration", passages=7, once=True),
    Failpoint(name="group joined, no answer yet", part="sink", owner=_WIRE, function="send", moment="after", when=_request("JoinGroup"), passages=1, once=True),
    Failpoint(name="before reading the committed offsets", part="sink", owner=sinks.worker, function="rewind", moment="before", passages=1, once=True),
    Failpoint(name="at the committed offsets", part="sink", owner=sinks.worker, function="rewind", moment="after", passages=1, once=True),
    Failpoint(name="records fetched", part="sink", owner=sinks.worker.Sink, function="_poll", moment="after", when=_something),
    Failpoint(name="in the middle of a fetch", part="sink", owner=SinkBatch, function="add", moment="after", passages=20),
    Failpoint(name="before the inserts", part="sink", owner=Flusher, function="flush", moment="before"),
    Failpoint(name="half of an insert sent", part="sink", owner=_HTTP, function="request", moment="half sent", when=_insert),
    Failpoint(name="insert sent, no answer yet", part="sink", owner=_HTTP, function="request", moment="after", when=_insert),
    Failpoint(name="insert answered", part="sink", owner=ClickHouse, function="insert", moment="after"),
    Failpoint(name="insert refused", part="sink", owner=ClickHouse, function="insert", moment="raised", needs="refused row"),
    Failpoint(name="dead letter handed over", part="sink", owner=AIOKafkaProducer, function="send", moment="after", needs="refused row"),
    Failpoint(name="dead letter sent, no acknowledgement yet", part="sink", owner=_WIRE, function="send", moment="after", when=_request("Produce"), needs="refused row", passages=1),
    Failpoint(name="rows and dead letters in", part="sink", owner=Flusher, function="flush", moment="after"),
    Failpoint(name="before the commit", part="sink", owner=sinks.worker.Sink, function="_commit", moment="before"),
    Failpoint(name="commit sent, no answer yet", part="sink", owner=_WIRE, function="send", moment="after", when=_request("OffsetCommit")),
    Failpoint(name="after the commit", part="sink", owner=sinks.worker.Sink, function="_commit", moment="after"),
    Failpoint(name="stopping", part="sink", owner=AIOKafkaConsumer, function="stop", moment="before", needs="stop", passages=1),
)
WORKER: Final = (
    Failpoint(name="group joined, no answer yet", part="worker", owner=_WIRE, function="send", moment="after", when=_request("JoinGroup"), passages=1, once=True),
    Failpoint(name="partitions assigned", part="worker", owner=BatchConsumer, function="on_partitions_assigned", moment="after", passages=1, once=True),
    Failpoint(name="records fetched", part="worker", owner=FetcherThread, function="_fetch", moment="after", when=_something_fetched),
    Failpoint(name="normalised, no fact published", part="worker", owner=Outbox, function="publish", moment="before", when=_carries(FACTS.name)),
    Failpoint(name="facts handed over", part="worker", owner=AIOKafkaProducer, function="send_batch", moment="after", when=_to(FACTS.name)),
    Failpoint(name="facts acknowledged", part="worker", owner=Outbox, function="publish", moment="after", when=_carries(FACTS.name)),
    Failpoint(name="before the states are restored", part="worker", owner=JoinStage, function="_restore", moment="before", once=True),
    Failpoint(name="states half restored", part="worker", owner=PartitionState, function="load", moment="after", passages=12, once=True),
    Failpoint(name="states restored", part="worker", owner=JoinStage, function="_restore", moment="after", once=True),
    Failpoint(name="joined, nothing published", part="worker", owner=Outbox, function="publish", moment="before", when=_carries(NORMALIZED.name, TIMELINES.name)),
    Failpoint(name="records handed over, timelines not", part="worker", owner=AIOKafkaProducer, function="send_batch", moment="before", when=_to(TIMELINES.name)),
    Failpoint(name="records and timelines acknowledged, states not published", part="worker", owner=Outbox, function="publish", moment="before", when=_carries(STATE.name)),
    Failpoint(name="states handed over", part="worker", owner=AIOKafkaProducer, function="send_batch", moment="after", when=_to(STATE.name)),
    Failpoint(name="states acknowledged", part="worker", owner=Outbox, function="publish", moment="after", when=_carries(STATE.name)),
    Failpoint(name="before the commit", part="worker", owner=BatchConsumer, function="_commit", moment="before"),
    Failpoint(name="commit sent, no answer yet", part="worker", owner=_WIRE, function="send", moment="after", when=_request("OffsetCommit")),
    Failpoint(name="after the commit", part="worker", owner=BatchConsumer, function="_commit", moment="after"),
    Failpoint(name="partitions revoked", part="worker", owner=BatchConsumer, function="on_partitions_revoked", moment="before", needs="rebalance", passages=1),
    Failpoint(name="partitions let go", part="worker", owner=BatchConsumer, function="on_partitions_revoked", moment="after", needs="rebalance", passages=1),
    Failpoint(name="stopping", part="worker", owner=Outbox, function="stop", moment="before", needs="stop", passages=1),
)
# fmt: on
POINTS: Final[Mapping[str, Mapping[str, Failpoint]]] = {
    "sink": {point.name: point for point in SINK},
    "worker": {point.name: point for point in WORKER},
}
WORK_DONE: Final[Mapping[str, tuple[Any, str]]] = {
    "sink": (sinks.worker.Sink, "_commit"),
    "worker": (BatchConsumer, "_commit"),
}
"""The function of each part that returns when a piece of work is done and committed."""


def arm(point: Failpoint, passage: int, counts: Callable[[], bool], kill: Callable[[], None]) -> None:
    """Calls `kill` at the given passage of the point; a passage while `counts()` is false does not count."""
    passages = itertools.count(1)

    def passed() -> bool:
        return counts() and next(passages) == passage

    _wrap(
        point.owner,
        point.function,
        lambda original: _MOMENTS[point.moment](original, _chosen(point, original), passed, kill),
    )


def after(owner: Any, function: str, then: Callable[[], None]) -> None:
    """Calls `then` whenever the asynchronous function has returned."""

    def wrapping(original: Any) -> Any:
        async def wrapped(*args: Any, **kwargs: Any) -> Any:
            result = await original(*args, **kwargs)
            then()
            return result

        return wrapped

    _wrap(owner, function, wrapping)


def _wrap(owner: Any, function: str, wrapping: Callable[[Any], Any]) -> None:
    original = getattr(owner, function)
    setattr(owner, function, functools.wraps(original)(wrapping(original)))


def _chosen(point: Failpoint, original: Any) -> Callable[..., bool]:
    signature = inspect.signature(original)

    def chosen(result: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        return point.when is None or point.when({**signature.bind(*args, **kwargs).arguments, "result": result})

    return chosen


def _before(original: Any, chosen: Any, passed: Callable[[], bool], kill: Callable[[], None]) -> Any:
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if chosen(None, args, kwargs) and passed():
            kill()
        return original(*args, **kwargs)

    return wrapped


def _after(original: Any, chosen: Any, passed: Callable[[], bool], kill: Callable[[], None]) -> Any:
    def look(result: Any, args: Any, kwargs: Any) -> Any:
        if chosen(result, args, kwargs) and passed():
            kill()
        return result

    async def later(*args: Any, **kwargs: Any) -> Any:
        return look(await original(*args, **kwargs), args, kwargs)

    def at_once(*args: Any, **kwargs: Any) -> Any:
        return look(original(*args, **kwargs), args, kwargs)

    return later if inspect.iscoroutinefunction(original) else at_once


def _raised(original: Any, chosen: Any, passed: Callable[[], bool], kill: Callable[[], None]) -> Any:
    async def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return await original(*args, **kwargs)
        except Exception:
            if chosen(None, args, kwargs) and passed():
                kill()
            raise

    return wrapped


def _half_sent(original: Any, chosen: Any, passed: Callable[[], bool], kill: Callable[[], None]) -> Any:
    def half(body: Iterator[bytes]) -> Iterator[bytes]:
        whole = b"".join(body)
        yield whole[: len(whole) // 2]
        kill()

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if chosen(None, args, kwargs) and passed():
            kwargs["body"] = half(kwargs["body"])
        return original(*args, **kwargs)

    return wrapped


_MOMENTS: Final[Mapping[Moment, Callable[..., Any]]] = {
    "before": _before,
    "after": _after,
    "raised": _raised,
    "half sent": _half_sent,
}
