"""A Kafka that does what a test says, and a spool before it."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from ingress.durable.drainer import Drainer
from ingress.durable.durable_publisher import DurablePublisher
from ingress.kafka.producer import AckTimeout
from ingress.kafka.publisher import Settled
from ingress.spool.spool import Spool
from ingress.spool.store import Body
from schemas.config.settings import IngressSettings
from schemas.errors import Unavailable
from schemas.metrics import Registry
from schemas.raw import Headers
from tests.support.http.submitting import by_task

LIMITS = IngressSettings(spool_min_free_bytes=0, publish_timeout_s=5, spool_after_ms=20)
SMALL = 10 * Body(topic="calls.raw", key=b"k", value=b"0", headers=(("vendor", b"v"),)).size_bytes


class ScriptedKafka:
    """A Kafka that takes, is late, is away or refuses keys, as set; it keeps the records that it took in order."""

    def __init__(self) -> None:
        self.taken: list[tuple[bytes, bytes]] = []
        self.away = ""
        self.late_bytes = 0
        self.late = False
        self.oversize: set[bytes] = set()
        self.stuck: set[bytes] = set()
        self.pending: list[tuple[bytes, bytes, asyncio.Future[object]]] = []

    def why_not(self) -> str:
        return self.away

    async def publish(
        self, topic: str, key: bytes, value: bytes, headers: Headers, *, within_s: float | None = None
    ) -> None:
        await asyncio.sleep(0)
        if self.away:
            raise Unavailable(self.away, code="kafka")
        if value in self.oversize:
            raise Unavailable("too large", code="oversize")
        if key in self.stuck:
            raise AckTimeout("late", None)
        if self.late:
            later: asyncio.Future[object] = asyncio.get_running_loop().create_future()
            self.pending.append((key, value, later))
            raise AckTimeout("late", later)
        self.taken.append((key, value))

    def submit(
        self, topic: str, key: bytes, value: bytes, headers: Headers, settled: Settled, *, within_s: float
    ) -> None:
        by_task(self.publish(topic, key, value, headers, within_s=within_s), settled)

    def acknowledge(self) -> None:
        """Acknowledges the late records."""
        for key, value, later in self.pending:
            self.taken.append((key, value))
            later.set_result(None)
        self.pending.clear()


class Scene:
    def __init__(self, folder: Path, spool: Spool, kafka: ScriptedKafka, metrics: Registry) -> None:
        self.folder = folder
        self.spool = spool
        self.kafka = kafka
        self.metrics = metrics
        self.publisher = DurablePublisher(kafka, spool, LIMITS, metrics)

    async def publish(self, number: int, key: bytes = b"k", *, no_retry: bool = False) -> None:
        await self.publisher.publish("calls.raw", key, b"%d" % number, [("vendor", b"v")], no_retry=no_retry)

    async def drain(self) -> int:
        return await Drainer(self.spool, self.kafka, self.metrics, per_s=10_000).once()

    async def stored(self) -> list[bytes]:
        return [entry.body.value for entry in await self.spool.read(0, limit=1000, limit_bytes=1 << 30)]


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110  # what is waited for is another thread
            await asyncio.sleep(0.005)
