"""Keeps one usable producer: connects when Kafka comes, probes it every second, replaces a broken producer.

It must not know what is published.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from ingress.kafka.health import KafkaHealth
from schemas.config.settings import KafkaSettings
from schemas.errors import CallweaveError, Unavailable
from schemas.kafka import clients
from schemas.kafka.away import away, require

PROBE_EVERY_S: Final = 1.0
RETRY_EVERY_S: Final = 0.25
"""Pause between attempts while Kafka is away, and between two replacements of a producer."""
PROBE_LIMIT_S: Final = 1.0
CONNECT_LIMIT_S: Final = 5.0
START_LIMIT_S: Final = 2.0
REASON_EVERY_S: Final = 5.0
"""Pause between two questions for the reason while Kafka does not answer: each is a connection more."""
REJOIN_LOOKS: Final = 40
"""Unanswered probes after which a new producer asks the bootstrap address, because the brokers may have moved."""
RETIRE_LIMIT_S: Final = 60.0
"""Time for a replaced producer to finish what other partitions still wait for."""
BATCH_BYTES: Final = 256 * 1024
"""Bytes of a batch before compression; a larger record goes alone."""
HEADER_BYTES: Final = 64 * 1024
"""Room for what a record has beside its value."""

_log = logging.getLogger("callweave.ingress.kafka")


class KafkaConnection:
    """Holds the current producer and the task that looks after it."""

    def __init__(
        self,
        kafka: KafkaSettings,
        *,
        role: str,
        topics: tuple[str, ...],
        max_value_bytes: int,
        health: KafkaHealth,
        on_closed: Callable[[AIOKafkaProducer], None],
    ) -> None:
        """`on_closed` is called with every producer that will do nothing any more.

        `role` is the name of the part or command in the table of rights (`schemas/kafka/rights.py`).
        """
        self._kafka = kafka
        self._role = role
        self._topics = topics
        self._max_request_bytes = max_value_bytes + HEADER_BYTES
        self._health = health
        self._on_closed = on_closed
        self._producer: AIOKafkaProducer | None = None
        self._usable = asyncio.Event()
        self._wake = asyncio.Event()
        self._looked = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._retired: set[asyncio.Task[None]] = set()
        self._logged = ""
        self._silent_looks = 0
        self._refused = False
        """A record was refused for want of a right, so that the rights are asked for again."""
        self._reason = ""
        """The reason why Kafka does not answer, as far as it says; empty for a plain outage."""
        self._asking: asyncio.Task[None] | None = None
        self._asked_at = float("-inf")

    async def start(self) -> None:
        """Begins to connect; returns after the first attempt, or while it goes on: nobody should wait for Kafka."""
        self._keeper = asyncio.create_task(self._keep())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START_LIMIT_S):
                await self._looked.wait()

    async def stop(self) -> None:
        """Closes everything within a bounded time."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
        if self._producer is not None:
            producer, self._producer = self._producer, None
            await self._retire(producer, RETRY_EVERY_S)
        for task in self._retired:
            task.cancel()
        await asyncio.gather(*self._retired, return_exceptions=True)

    @property
    def current(self) -> AIOKafkaProducer | None:
        """The usable producer, None while there is none."""
        return self._producer

    async def producer(self) -> AIOKafkaProducer:
        """Returns the usable producer; waits while there is none."""
        while self._producer is None:
            await self._usable.wait()
        return self._producer

    def replace(self, broken: AIOKafkaProducer, reason: Exception) -> None:
        """Takes `broken` out of use; it gets time for the records of other partitions that it still holds."""
        if self._producer is not broken:
            return  # another record already reported it
        _log.warning("replacing the Kafka producer: %s", type(reason).__name__)
        self._take_out(broken)

    def use(self, kafka: KafkaSettings, *, max_value_bytes: int) -> None:
        """Connects with these settings from now on; the producer of others finishes what it holds."""
        bound = max_value_bytes + HEADER_BYTES
        if (kafka, bound) == (self._kafka, self._max_request_bytes):
            return
        self._kafka, self._max_request_bytes = kafka, bound
        if self._producer is not None:
            _log.info("replacing the Kafka producer: its settings changed")
            self._take_out(self._producer)

    def _take_out(self, producer: AIOKafkaProducer) -> None:
        self._producer = None
        self._usable.clear()
        task = asyncio.create_task(self._retire(producer, RETIRE_LIMIT_S))
        self._retired.add(task)
        task.add_done_callback(self._retired.discard)
        self._wake.set()

    def doubt(self) -> None:
        """Asks for the rights again at once: a record was refused for want of one."""
        self._refused = True
        self._wake.set()

    async def _retire(self, producer: AIOKafkaProducer, within_s: float) -> None:
        try:
            await _close(producer, within_s=within_s)
        finally:
            self._on_closed(producer)

    async def _keep(self) -> None:
        while True:
            await self._look()
            self._looked.set()
            with contextlib.suppress(TimeoutError):
                # A refusal heals by a person's hand, an outage by itself.
                async with asyncio.timeout(RETRY_EVERY_S if self._logged and not self._reason else PROBE_EVERY_S):
                    await self._wake.wait()
            self._wake.clear()

    async def _look(self) -> None:
        """Connects or probes once, and reports the result to the health."""
        try:
            missing = await (self._probe(self._producer) if self._producer else self._connect())
        except Exception as exc:  # noqa: BLE001  # nothing may end the one task that finds Kafka again
            if isinstance(exc, CallweaveError):
                self._reason = str(exc)
            elif isinstance(exc, (KafkaError, OSError, TimeoutError)):
                self._ask_why(exc)
            else:
                _log.error("looking for Kafka failed in an unknown way", exc_info=exc)
            self._health.silent(self._reason)
            self._log_trouble(self._reason or "Kafka does not answer")
            self._silent_looks += 1
            if self._producer and self._silent_looks % REJOIN_LOOKS == 0:
                self.replace(self._producer, exc)
        else:
            self._silent_looks = 0
            self._reason = ""
            self._health.answered(missing)
            self._log_trouble(f"Kafka has no topic {', '.join(missing)}" if missing else "")

    def _ask_why(self, error: Exception) -> None:
        """Asks the brokers, beside the looks, why there is no connection; a broker that hangs would hold the looks."""
        now = asyncio.get_running_loop().time()
        if (self._asking is not None and not self._asking.done()) or now < self._asked_at + REASON_EVERY_S:
            return
        self._asked_at = now
        self._asking = asyncio.create_task(self._find_reason(error))

    async def _find_reason(self, error: Exception) -> None:
        try:
            found = await away(self._kafka, error, role=self._role)
        except CallweaveError as exc:
            self._reason = str(exc)
        else:
            self._reason = "" if found.code == Unavailable.code else str(found)

    async def _connect(self) -> tuple[str, ...]:
        producer = clients.producer(
            self._kafka,
            self._role.replace(" ", "-"),
            max_batch_size=BATCH_BYTES,
            max_request_size=self._max_request_bytes,
        )
        try:
            async with asyncio.timeout(CONNECT_LIMIT_S):
                await producer.start()
                self._refused = True  # the first connection of this producer: its rights are not known
                missing = await self._probe(producer)
        except BaseException:
            await _close(producer, within_s=RETRY_EVERY_S)
            raise
        self._producer = producer
        self._usable.set()
        return missing

    async def _probe(self, producer: AIOKafkaProducer) -> tuple[str, ...]:
        """Returns the topics that Kafka does not know; raises when it does not answer."""
        # The client follows no topic by name, so this asks for all: naming a missing topic would create it on a broker
        # with auto.create.topics.enable, with the wrong number of partitions.
        async with asyncio.timeout(PROBE_LIMIT_S):
            if not await producer.client.force_metadata_update():
                raise ConnectionError("no broker answered a metadata request")
        missing = tuple(topic for topic in self._topics if not producer.client.cluster.partitions_for_topic(topic))
        # A topic of which nothing may be seen looks as if it were missing.
        if missing or self._refused:
            await require(self._kafka, self._role, self._topics)
            self._refused = False
        return missing

    def _log_trouble(self, trouble: str) -> None:
        if trouble != self._logged:
            _log.log(logging.ERROR if trouble else logging.INFO, "%s", trouble or "Kafka takes records")
            self._logged = trouble


async def _close(producer: AIOKafkaProducer, *, within_s: float) -> None:
    """Flushes and closes a producer; beyond the bound its connections are cut and its tasks ended."""
    with contextlib.suppress(TimeoutError, KafkaError):
        async with asyncio.timeout(within_s):
            await producer.stop()
            return
    sender = producer._sender.sender_task  # noqa: SLF001  # `stop` has no bound of its own: an unreachable broker holds it for ever
    if sender is not None:
        # The first cancel only asks it to finish what it sends, the second ends it.
        for _ in range(2):
            sender.cancel()
            await asyncio.wait({sender}, timeout=RETRY_EVERY_S)
    with contextlib.suppress(TimeoutError, KafkaError):
        async with asyncio.timeout(RETRY_EVERY_S):
            await producer.client.close()
