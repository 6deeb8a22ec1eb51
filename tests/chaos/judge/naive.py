"""Wrong ways that lose calls, for the tests that must catch them: the offset is committed before the work."""

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from aiokafka import TopicPartition

from processors.engine.dispatcher import PartitionDispatcher
from sinks.worker import Sink

Naive = Literal["", "sink commits first", "worker commits first"]


def _sink_commits_first() -> None:
    """The sink commits a batch and then inserts it."""
    properly = Sink._flush

    async def hastily(self: Any, stop: Any) -> None:
        if offsets := self._batch.offsets():
            await self._commit({TopicPartition(*place): offset for place, offset in offsets.items()})
        await properly(self, stop)

    Sink._flush = hastily  # type: ignore[method-assign]  # a process of the negative controls


def _worker_commits_first() -> None:
    """The worker commits the offset of a record batch and then works on it."""

    async def hastily(self: Any, batch: Any, ahead: Any) -> None:
        if ahead is not None:
            await ahead
        if self._consumer.begin(batch):
            self._consumer.finish(batch)
            await self._consumer.commit()
            await self._step(batch)

    PartitionDispatcher._work = hastily  # type: ignore[method-assign]  # likewise


NAIVE: Final[Mapping[Naive, Callable[[], None]]] = {
    "sink commits first": _sink_commits_first,
    "worker commits first": _worker_commits_first,
}
