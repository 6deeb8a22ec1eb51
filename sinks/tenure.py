"""How long partitions are ours: a count that moves with every rebalance, and the way back to the committed offsets.

Rows of an earlier tenure are thrown away rather than carried over: whoever owns a partition starts at its committed
offset, and rows may be inserted twice. So nothing has to be finished while a rebalance waits.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import IllegalStateError

_PAUSE_S: Final = 0.05


class Tenure(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """Counts rebalances."""

    def __init__(self) -> None:
        self.count = 0

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:  # noqa: ARG002 - the interface's
        """Partitions may go to others."""
        self.count += 1

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:  # noqa: ARG002 - the interface's
        """Partitions are ours; a record handed out while they changed hands may be of either tenure."""
        self.count += 1

    def end(self) -> None:
        """Treat the partitions as lost: the broker says so before the consumer does."""
        self.count += 1


async def rewind(consumer: AIOKafkaConsumer, tenure: Tenure) -> int:
    """Put every partition of ours to its committed offset, or to its beginning; returns the tenure that this holds for."""
    while True:
        count = tenure.count
        try:
            partitions = list(consumer.assignment())
            committed = await asyncio.gather(*map(consumer.committed, partitions))
            fresh = [tp for tp, offset in zip(partitions, committed, strict=True) if offset is None]
            if fresh:
                await consumer.seek_to_beginning(*fresh)
            for tp, offset in zip(partitions, committed, strict=True):
                if offset is not None:
                    consumer.seek(tp, offset)
        except IllegalStateError:  # a rebalance came in between
            await asyncio.sleep(_PAUSE_S)
            continue
        if count == tenure.count:
            return count
