"""An ingress as `ingress.main` makes one: the real handler, publisher, spool and drainer; and the vendors.

Only the socket is replaced: a request is what the front reads of one, and on the way there and back it may get lost.
"""

import asyncio
import contextlib
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from deploy.simulator.vendors import SIMULATED_VENDORS
from ingress.durable.durable_publisher import DurablePublisher
from ingress.http.handlers import PushHandler, WholePush
from ingress.http.responses import Answer as Written
from ingress.http.routes import Router
from ingress.spool.spool import Spool
from schemas.config.settings import IngressSettings, Settings
from schemas.metrics import Registry
from schemas.vendors import VENDORS
from tests.property.whole_way.bodies import Send
from tests.property.whole_way.broker import Broker, IngressKafka, settle
from tests.property.whole_way.disk import Disk
from tests.property.whole_way.loop import Process
from tests.property.whole_way.rules import Rules

_LIMITS: Final = IngressSettings(spool_min_free_bytes=0, publish_timeout_s=2.0)
_ROUTER: Final = Router(Settings(), VENDORS)
_HANG_UP_S: Final = 0.7
_AGAIN_S: Final = 0.4
_HEADERS: Final = CIMultiDictProxy(CIMultiDict({"Content-Type": "application/json"}))


class _Reader:
    """`ingress.http.body_reader.BodyReader` where there is room for every body."""

    def take(self, _body: bytes, *, no_retry: bool) -> None:
        pass


class Ingress:
    """One process with its spool."""

    def __init__(self, process: Process, broker: Broker, disk: Disk, rules: Rules) -> None:
        self.process = process
        self._metrics = metrics = Registry()
        kafka = IngressKafka(broker, process)
        self._spool = Spool(Path("unused"), _LIMITS, metrics, now_ms=broker.clock_ms)
        self._spool._writer = rules.writer(disk, process, broker.clock_ms)
        self._publisher = DurablePublisher(kafka, self._spool, _LIMITS, metrics)
        self._publisher._drain = rules.drain(self._spool, kafka, metrics, per_s=_LIMITS.spool_drain_per_s)
        self._front = PushHandler(
            router=_ROUTER,
            reader=_Reader(),  # type: ignore[arg-type]  # as much of one as the front uses
            publisher=self._publisher,
            metrics=metrics,
            clock=lambda: datetime.fromtimestamp(broker.clock_ms() / 1000, UTC),
        )
        self._open = False
        process.spawn(self._live())

    async def _live(self) -> None:
        async with self._spool, self._publisher:
            self._open = True
            await asyncio.Event().wait()

    def take(self, request: WholePush, broker: Broker, answer: "asyncio.Future[Answer]") -> None:
        """A request arrives; nobody listens before the spool is open."""
        if self.process.alive and self._open:
            self.process.soon(self._front.take, request, partial(self._answer, broker, answer))

    def _answer(self, broker: Broker, answer: "asyncio.Future[Answer]", response: Written) -> None:
        errors = [labels for (_, labels) in self._metrics._values if labels[-1:] == ("error",)]
        assert not errors, f"the front failed in an unknown way: {errors}"
        received = Answer(status=response.status, request_id=dict(response.headers)["X-Request-Id"])
        if self.process.alive and not broker.weather.chance(0.03):
            broker.weather.later(settle, answer, received)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer that a vendor receives; status 0 is none."""

    status: int = 0
    request_id: str = ""


class Vendors:
    """The vendors, each as patient as its document says."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.ingress: Ingress | None = None
        self.acknowledged: list[str] = []
        """Request ids that were answered with success."""
        self.elements: dict[bytes, int] = {}
        self.unfinished = 0

    def send(self, send: Send, after_s: float) -> None:
        """Begin to send something."""
        self.unfinished += 1
        self.elements[send.body] = send.elements
        self._broker.weather.loop.nature.spawn(self._deliver(send, after_s))

    async def _deliver(self, send: Send, after_s: float) -> None:
        await asyncio.sleep(after_s)
        attempts, again = 0, True
        while again:
            attempts += 1
            answer = await self._post(send)
            if 200 <= answer.status < 300:
                self.acknowledged.append(answer.request_id)
            again = SIMULATED_VENDORS[send.vendor].retry.again(attempts, answer.status)
            if again:
                await asyncio.sleep(_AGAIN_S * self._broker.weather.dice.random())
        self.unfinished -= 1

    async def _post(self, send: Send) -> Answer:
        weather = self._broker.weather
        answer: asyncio.Future[Answer] = weather.loop.create_future()
        await weather.hop()
        if self.ingress is not None and not weather.chance(0.02):
            self.ingress.take(_request(send), self._broker, answer)
        with contextlib.suppress(TimeoutError):
            return await asyncio.wait_for(answer, _HANG_UP_S)
        return Answer()


def _request(send: Send) -> WholePush:
    return WholePush(send.path, URL(send.path), _HEADERS, send.body, "192.0.2.1", None)
