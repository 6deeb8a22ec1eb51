"""The ingress's `Publisher`: Kafka while it answers in time, else the spool; it refuses a body that neither takes.

A vendor that hangs up after 700 ms must have its answer by then, so Kafka gets a quarter of a second, and nothing at
all while it is known to be away. A body that both have is a duplicate; where that is known early enough, the spool's
copy is removed. While bodies of a key are in the spool, later ones follow them there: Kafka gets a key's bodies in the
order of their arrival.
"""

import asyncio
import logging
from collections.abc import Collection, Coroutine
from functools import partial
from typing import Any, Self

from ingress.durable.drainer import Drainer, KafkaSide
from ingress.kafka.producer import AckTimeout
from ingress.kafka.publisher import Settled, settle
from ingress.spool.spool import Spool
from ingress.spool.store import Body
from schemas.config.settings import IngressSettings
from schemas.errors import Unavailable
from schemas.metrics import Registry
from schemas.raw import Headers

_log = logging.getLogger("callweave.spool")


class DurablePublisher:
    """A `Publisher` over a started Kafka and a started spool; as a context manager it drains the spool meanwhile."""

    def __init__(self, kafka: KafkaSide, spool: Spool, limits: IngressSettings, metrics: Registry) -> None:
        self._kafka = kafka
        self._spool = spool
        self._spool_after_s = limits.spool_after_ms / 1000
        self._give_up_s = limits.publish_timeout_s
        self._drain = Drainer(spool, kafka, metrics, per_s=limits.spool_drain_per_s)
        self._draining: asyncio.Task[None] | None = None
        self._forgetting: set[asyncio.Task[None]] = set()
        self._keeping: set[asyncio.Task[None]] = set()
        self._arrived_ids: list[int] = []
        self._abandoned_bytes = 0

    async def __aenter__(self) -> Self:
        self._draining = asyncio.create_task(self._drain.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        tasks = [*self._keeping, *self._forgetting, *((self._draining,) if self._draining else ())]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def outliving_bytes(self) -> int:
        """Bytes of bodies whose `publish` is over and that Kafka's client or the disk still holds."""
        return self._kafka.late_bytes + self._abandoned_bytes

    def why_not(self) -> str:
        """Returns why neither takes a body, "" when one of them does."""
        away, full = self._kafka.why_not(), self._spool.trouble()
        return f"{away}; {full}" if away and full else ""

    def note(self) -> str:
        """Returns what people should know of the spool although the ingress is ready, "" when there is nothing."""
        away, depth, full = self._kafka.why_not(), self._spool.bodies, self._spool.trouble()
        if full:
            return full
        if not away and not depth:
            return ""
        held = f"{depth} bodies, {self._spool.size_bytes} bytes, the oldest {self._spool.oldest_s:.0f} s old"
        return f"spooling: {held}; {away}" if away else f"draining the spool: {held}"

    async def publish(self, topic: str, key: bytes, value: bytes, headers: Headers, *, no_retry: bool = False) -> None:
        """Returns when the body is in Kafka or on our disk; see `Publisher.publish`."""
        told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.submit(topic, key, value, headers, partial(settle, told), no_retry=no_retry)
        await told

    def submit(
        self, topic: str, key: bytes, value: bytes, headers: Headers, settled: Settled, *, no_retry: bool = False
    ) -> None:
        """Begins to bring a body to Kafka or to our disk; see `Publisher.submit`."""
        until = asyncio.get_running_loop().time() + self._give_up_s
        if not self._spool.holds(topic, key):
            self._to_kafka(topic, key, value, headers, settled, no_retry=no_retry, until=until)
            return
        body = _body(topic, key, value, headers)
        if self._kafka.why_not():
            self._spawn(self._keep(body, None, no_retry=no_retry, until=until), settled)
        else:
            self._spawn(self._follow(body, no_retry=no_retry, until=until), settled)

    def _to_kafka(
        self, topic: str, key: bytes, value: bytes, headers: Headers, settled: Settled, *, no_retry: bool, until: float
    ) -> None:
        """Gives Kafka its quarter of a second, unless it is away, and then the disk the rest of the time."""

        def told(error: Unavailable | None) -> None:
            if error is None:
                settled(None)
                return
            later = error.later if isinstance(error, AckTimeout) else None
            if later is None:
                _log.debug("to the spool: %s", error)
            self._spawn(self._keep(_body(topic, key, value, headers), later, no_retry=no_retry, until=until), settled)

        self._kafka.submit(topic, key, value, headers, told, within_s=self._spool_after_s)

    async def _follow(self, body: Body, *, no_retry: bool, until: float) -> None:
        """Stores a body behind those of its key, however slow the disk is.

        One that cannot be stored overtakes them, which is better than losing it.
        """
        try:
            await self._keep(body, None, no_retry=no_retry, until=until)
        except Unavailable as exc:
            _log.warning("a body passes those of its key: %s", exc)
        else:
            return
        told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._to_kafka(
            body.topic, body.key, body.value, list(body.headers), partial(settle, told), no_retry=no_retry, until=until
        )
        await told

    def _spawn(self, work: Coroutine[Any, Any, None], settled: Settled) -> None:
        """Does what takes longer in a task, and tells its end."""
        task = asyncio.create_task(work)
        self._keeping.add(task)

        def over(done: asyncio.Task[None]) -> None:
            self._keeping.discard(done)
            error = Unavailable("the ingress ends", code="kafka") if done.cancelled() else done.exception()
            if error is not None and not isinstance(error, Unavailable):
                _log.error("storing a body failed in an unknown way", exc_info=error)
                error = Unavailable(f"storing it failed: {type(error).__name__}", code="spool")
            settled(error)

        task.add_done_callback(over)

    async def _keep(self, body: Body, later: asyncio.Future[object] | None, *, no_retry: bool, until: float) -> None:
        """Stores a body by a time of the loop; returns as well when Kafka's late acknowledgement comes first."""
        within_s = max(0.0, until - asyncio.get_running_loop().time())
        try:
            stored = self._spool.put(body, no_retry=no_retry)
        except Unavailable:
            if later is None or not await _one_of({later}, within_s):
                raise
            return
        if later is not None:
            stored.add_done_callback(lambda _: self._expect(stored, later))
        try:
            if not await _one_of({stored} if later is None else {stored, later}, within_s):
                if stored.done() and (error := stored.exception()) is not None:
                    raise error
                raise Unavailable(f"neither Kafka nor the disk took it within {self._give_up_s:g} s", code="timeout")
        finally:
            if not stored.done():
                self._abandon(stored, body.size_bytes)

    def _abandon(self, stored: asyncio.Future[int], size: int) -> None:
        def over(_: asyncio.Future[int]) -> None:
            self._abandoned_bytes -= size

        self._abandoned_bytes += size
        stored.add_done_callback(over)

    def _expect(self, stored: asyncio.Future[int], later: asyncio.Future[object]) -> None:
        """Removes a stored body should Kafka acknowledge it after all."""
        if stored.exception() is not None:
            return
        number = stored.result()
        self._spool.unacknowledged[number] = later
        later.add_done_callback(lambda _: self._arrived(number, later))

    def _arrived(self, number: int, later: asyncio.Future[object]) -> None:
        if self._spool.unacknowledged.get(number) is later:
            del self._spool.unacknowledged[number]
        if _good(later):
            self._arrived_ids.append(number)
            if not self._forgetting:
                task = asyncio.create_task(self._forget())
                self._forgetting.add(task)
                task.add_done_callback(self._forgetting.discard)

    async def _forget(self) -> None:
        """Removes the bodies that have arrived in one commit: a commit for each would keep new bodies from the disk."""
        while self._arrived_ids:
            ids, self._arrived_ids = self._arrived_ids, []
            await self._spool.delete(ids)


def _body(topic: str, key: bytes, value: bytes, headers: Headers) -> Body:
    return Body(topic=topic, key=key, value=value, headers=tuple(headers))


async def _one_of(futures: Collection[asyncio.Future[Any]], within_s: float) -> bool:
    """Returns True when one of them succeeded in time; none is cancelled."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    waiting = set(futures)
    while waiting:
        done, waiting = await asyncio.wait(waiting, timeout=deadline - loop.time(), return_when=asyncio.FIRST_COMPLETED)
        if not done:  # after a stall of the loop the deadline fires before the results that came in time
            await asyncio.sleep(0)
            return any(future.done() and _good(future) for future in waiting)
        if any(_good(future) for future in done):
            return True
    return False


def _good(future: asyncio.Future[Any]) -> bool:
    return not future.cancelled() and future.exception() is None
