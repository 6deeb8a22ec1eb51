"""The outputs of the joining stage, kept in memory, and its states read back from them."""

from collections.abc import AsyncGenerator, Iterable, Sequence

from processors.engine.transport import Record
from processors.outbox import Message
from processors.records import RecordBatch
from schemas.topics import FACTS, STATE


class Nowhere:
    """An outbox that takes and keeps everything."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    async def publish(self, messages: Sequence[Message]) -> None:
        """Take the messages."""
        self.messages += messages


class StateLog(Nowhere):
    """An outbox whose states can be restored."""

    @property
    def states(self) -> list[Message]:
        """Restore the state topic."""
        return [each for each in self.messages if each.topic == STATE.name]

    async def restore(self, topic: str, partition: int, end: int) -> AsyncGenerator[RecordBatch, None]:
        """Yield the records below `end`."""
        records = tuple(
            Record(offset=number, timestamp_ms=0, key=each.key, value=each.value, headers=each.headers)
            for number, each in enumerate(self.states[:end])
        )
        yield RecordBatch(topic=topic, partition=partition, records=records, first_offset=0, next_offset=len(records))

    async def end(self, _topic: str, _partition: int) -> int:
        """The length of the state topic."""
        return len(self.states)


async def nothing(_topic: str, _partition: int, _end: int) -> AsyncGenerator[RecordBatch, None]:
    """A state topic without a record."""
    none: tuple[RecordBatch, ...] = ()
    for batch in none:
        yield batch


async def at_zero(_topic: str, _partition: int) -> int:
    """The end of that topic."""
    return 0


def batch_of(values: Iterable[bytes | None], now_ms: int = 0) -> RecordBatch:
    """One partition's records from its beginning, all taken by the log at `now_ms`."""
    records = tuple(Record(offset=n, timestamp_ms=now_ms, key=b"", value=value) for n, value in enumerate(values))
    return RecordBatch(topic=FACTS.name, partition=1, records=records, first_offset=0, next_offset=len(records))
