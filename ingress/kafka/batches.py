"""Records on their way to Kafka, and which of them go into which batch. Pure: no I/O and no clock.

A batch carries the records of many callers, and none of them may suffer from another: each hears of its own fate, a
record that was given up is left out of what is sent, and one that was refused in company is sent alone.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from ingress.kafka.send_window import SendWindow
from schemas.errors import Unavailable
from schemas.raw import Headers

_RECORD_BYTES: Final = 512
"""Rough cost of a record beside its value and headers."""


class Record:
    """One record, from the moment at which it is taken until its fate is known."""

    __slots__ = ("_over", "alone", "handed", "headers", "key", "later", "size", "topic", "tries", "value", "waits")

    def __init__(self, topic: str, key: bytes, value: bytes, headers: Headers, over: "Over") -> None:
        """`over` is called once, with the record and its error or None, when its caller waits no more."""
        self.topic = topic
        self.key = key
        self.value = value
        self.headers = headers
        self.size = _RECORD_BYTES + len(key) + len(value) + sum([len(name) + len(text) for name, text in headers])
        """Rough cost in memory and on the wire."""
        self._over = over
        self.waits = True
        """True while its caller waits for it, who may stop at any time."""
        self.later: asyncio.Future[object] | None = None
        """The result for those who want it although its caller waits no more."""
        self.handed = False
        """True while Kafka's client has it, so that it may arrive whatever its caller does."""
        self.tries = 0
        """Attempts that failed."""
        self.alone = False
        """True when it shares no batch, because one that it was in was too large for the broker."""

    def outlive(self) -> "asyncio.Future[object]":
        """Returns the result of a record under way whose caller waits no more."""
        if self.later is None:
            self.later = asyncio.get_running_loop().create_future()
        return self.later

    def settle(self, error: Unavailable | None = None) -> None:
        """Tells its fate to whoever waits for it."""
        self.handed = False
        self.conclude(error)
        later = self.later
        if later is None or later.done():
            return
        if error is None:
            later.set_result(None)
        else:
            later.set_exception(error)
            later.exception()  # nobody may be left to ask for it

    def conclude(self, error: Unavailable | None = None) -> None:
        """Ends the wait of its caller; one that waits no more hears nothing."""
        if self.waits:
            self.waits = False
            self._over(self, error)


Over = Callable[[Record, Unavailable | None], None]
"""The end of a caller's wait, with the record and its error or None."""


class Builder(Protocol):
    """The part of aiokafka's `BatchBuilder` that is filled here."""

    def append(self, *, timestamp: int | None, key: bytes, value: bytes, headers: Headers) -> Any:
        """Adds a record; returns None when it does not fit, which the first one always does."""

    def close(self) -> None:
        """Takes no more."""


class Batch:
    """Records that go to one partition together."""

    __slots__ = ("builder", "partition", "records", "size", "topic")

    def __init__(self, topic: str, partition: int, builder: Any) -> None:
        self.topic = topic
        self.partition = partition
        self.builder = builder
        self.records: list[Record] = []
        self.size = 0
        """The sum of its records' sizes."""

    def takes(self, record: Record, window: SendWindow) -> bool:
        """Adds a record, unless it was given up; returns False when no more go into this batch."""
        if not record.waits:
            return True
        if self.records and (record.alone or self.records[0].alone):
            return False
        if not window.has_room(record.size):
            return False
        if self.builder.append(timestamp=None, key=record.key, value=record.value, headers=record.headers) is None:
            return False
        window.hand_over(record.size)
        record.handed = True
        self.records.append(record)
        self.size += record.size
        return True


def planned(
    records: Sequence[Record],
    free: Sequence[int],
    window: SendWindow,
    new: Callable[[], Builder],
    keyed: Callable[[bytes], int] | None = None,
) -> tuple[list[Batch], list[Record]]:
    """Returns at most one batch for each free partition, and in their order the records that have to wait.

    A record goes to the partition of its key by `keyed`. Without it records go together as they come: to the first
    free partition, and to the next one when a batch is full.
    """
    if keyed is None:
        return _filled(records, free, window, new)
    lanes: dict[int, list[Record]] = {}
    for record in records:
        lanes.setdefault(keyed(record.key), []).append(record)
    batches: list[Batch] = []
    rest: list[Record] = []
    for partition, lane in lanes.items():
        made, left = _filled(lane, [partition] if partition in free else [], window, new)
        batches += made
        rest += left
    return batches, rest


def _filled(
    records: Sequence[Record], partitions: Sequence[int], window: SendWindow, new: Callable[[], Builder]
) -> tuple[list[Batch], list[Record]]:
    batches: list[Batch] = []
    at = 0
    for partition in partitions:
        if at == len(records):
            break
        batch = Batch(records[at].topic, partition, new())
        while at < len(records) and batch.takes(records[at], window):
            at += 1
        if not batch.records:
            break  # all others were given up, or there is no room
        batches.append(batch)
    return batches, list(records[at:])
