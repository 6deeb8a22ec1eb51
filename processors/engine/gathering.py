"""Lets records gather at the broker while they come one after the other; one that comes alone is handed out at once.

A fetch costs a worker and its broker about a millisecond, and each step behind it twice as much for its two requests,
however few records they carry. So after a fetch that brought records the broker keeps the next one until
`GATHER_BYTES` are there, or for a time that grows with the records: a busy worker saves more than a few milliseconds
by it, an idle one has nothing to save.
"""

from typing import Final

from aiokafka import AIOKafkaConsumer

from schemas.kafka.holding import hold

LEAST_MS: Final = 25
MOST_MS: Final = 60
"""Bounds of the time for which records wait at the broker for others."""
MS_A_RECORD: Final = 4
"""Time for each record that the last fetch brought: with fewer than 250 a second it stays the least."""
GATHER_BYTES: Final = 64 * 1024
"""Bytes that wait for nothing: so many records share the costs of a fetch well."""


def gathering_ms(records: int) -> int:
    """Return for how long records gather behind a fetch that brought so many."""
    return min(max(LEAST_MS, MS_A_RECORD * records), MOST_MS) if records else 0


def gather(consumer: AIOKafkaConsumer, records: int) -> None:
    """Set how the consumer's next fetch is answered; the last one brought so many records (see `hold`)."""
    hold(consumer, gathering_ms(records), GATHER_BYTES)
