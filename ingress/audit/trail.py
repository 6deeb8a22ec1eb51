"""Writes the ingress's entries of the audit trail to Kafka, apart from all calls.

It has a producer of its own, so that nothing about the trail can slow or stop a call. While Kafka is away or the topic
is missing, entries wait in memory, counted together; a process that is killed then loses them, and the refusals still
stand in its metrics and its log.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from typing import Final

from ingress.audit.refusals import Refusals
from schemas.audit.entry import AuditEntry, key_of
from schemas.codec import AUDIT
from schemas.config.settings import KafkaSettings
from schemas.kafka import clients
from schemas.topics import AUDIT as TOPIC

INTERVAL_S: Final = 30.0
"""Time for which refused requests are counted together. With the bound on entries, a flood from everywhere makes the
topic grow by at most some 100 MB a day."""
_SEND_S: Final = 10.0
_LAST_SEND_S: Final = 2.0
"""Time of the last attempt at a stop: who waits for the process to end has no use for the trail."""

_log: Final = logging.getLogger("callweave.ingress.audit")


@contextlib.asynccontextmanager
async def audit_trail(kafka: Callable[[], KafkaSettings], refusals: Refusals) -> AsyncIterator[None]:
    """Writes what `refusals` collects, every `INTERVAL_S` seconds and once more at the end.

    `kafka` returns the settings of this moment.
    """
    stop = asyncio.Event()
    writing = asyncio.create_task(_write(kafka, refusals, stop))
    try:
        yield
    finally:
        stop.set()
        await asyncio.gather(writing, return_exceptions=True)


async def _write(kafka: Callable[[], KafkaSettings], refusals: Refusals, stop: asyncio.Event) -> None:
    said = False
    while not stop.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), INTERVAL_S)
        entries = refusals.take()
        if not entries:
            continue
        try:
            within_s = _LAST_SEND_S if stop.is_set() else _SEND_S
            await asyncio.wait_for(_send(kafka(), entries), within_s)
        except Exception as exc:  # noqa: BLE001 - whatever it is, the trail goes on, and calls are not its business
            refusals.put_back(entries)
            if not said:
                _log.warning("the audit trail cannot be written now, its entries wait: %s", type(exc).__name__)
            said = True
        else:
            said = False


async def _send(kafka: KafkaSettings, entries: list[AuditEntry]) -> None:
    """Sends entries over a connection that is opened for them: refusals are rare, and most processes see none."""
    producer = clients.producer(kafka, "audit")
    try:
        await producer.start()
        await asyncio.gather(*[await producer.send(TOPIC.name, AUDIT.encode(one), key=key_of(one)) for one in entries])
    finally:
        await producer.stop()
