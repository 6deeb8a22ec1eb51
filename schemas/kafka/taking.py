"""A consumer whose records are made once, in the form that their reader wants.

aiokafka makes a `ConsumerRecord` of eleven fields for each record, of which a reader then makes a record of its own.
Together that takes as long as reading the record's bytes.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer.fetcher import FetchResult

Make = Callable[[TopicPartition, Any], Any]
"""`make(place, record)` returns the reader's record of one with `offset`, `timestamp`, `key`, `value` and `headers`."""


class TakingConsumer(AIOKafkaConsumer):  # type: ignore[misc]  # aiokafka has no usable types
    """aiokafka's consumer, but its records are those of `make`."""

    def __init__(self, *topics: str, make: Make, **options: Any) -> None:
        super().__init__(*topics, **options)
        self._make = make

    async def start(self) -> None:
        """Starts the consumer."""
        await super().start()
        fetcher = self._fetcher
        fetcher._records = _Fetched(self._make, fetcher._records)  # noqa: SLF001 - aiokafka has no way to ask for this


class _Fetched(OrderedDict[TopicPartition, Any]):
    """The results of fetches that are not taken yet, as aiokafka keeps them; each makes its records by `make`."""

    def __init__(self, make: Make, fetched: OrderedDict[TopicPartition, Any]) -> None:
        super().__init__()
        self._make = make
        for place, result in fetched.items():
            self[place] = result

    def __setitem__(self, place: TopicPartition, result: Any) -> None:
        if type(result) is FetchResult and result.has_more():
            # aiokafka calls this for each record that is neither aborted nor of another offset than was asked for.
            result._partition_records._consumer_record = self._make  # noqa: SLF001 - as above
        super().__setitem__(place, result)
