"""The loop of a poller: asks, publishes the page, and only then moves the checkpoint.

A kill between the two repeats a page and loses none. `ingress.poll.planner` decides what to ask next; the vendor's file
says how its API behaves.
"""

import asyncio
import hashlib
import logging
import random
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final
from uuid import uuid4

import aiohttp
import msgspec

from ingress.kafka.publisher import Publisher
from ingress.poll import planner
from ingress.poll.client import PageResponse, ask
from ingress.poll.planner import Checkpoint, PollDecision, PollWindow
from schemas.config.settings import PollAccount, PollSettings
from schemas.errors import Unavailable
from schemas.identity import call_key
from schemas.metrics import Registry
from schemas.raw import RawCallback
from schemas.topics import POLLS, RAW
from schemas.vendor_kit.contract import Page, Poll

_log: Final = logging.getLogger("callweave.ingress.poll")
_LEVELS: Final = {"": logging.INFO, "log": logging.WARNING, "page": logging.ERROR, "security": logging.CRITICAL}
_QUIET: Final = frozenset({"", "page", "more"})
_LAGGING_S: Final = 900.0
_KAFKA_RETRY_S: Final = 1.0
_REMEMBERED: Final = 1000
"""Pages that are remembered, so that an unchanged one is not published again."""
_OVERSIZE: Final = "oversize"
"""The cursor of a page that is larger than Kafka takes: no time to go on from, so the window is halved."""

Sleep = Callable[[float], Awaitable[None]]


class Poller:
    """Polls one account; `sleep` and `now` are given so that tests need not wait."""

    def __init__(
        self,
        account: PollAccount,
        *,
        poll: Poll,
        publisher: Publisher,
        session: aiohttp.ClientSession,
        settings: PollSettings,
        metrics: Registry,
        checkpoint: Checkpoint,
        now: Callable[[], float] = time.time,
        sleep: Sleep = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._account = account
        self._name = name_of(account)
        self._poll = poll
        self._publisher = publisher
        self._session = session
        self._settings = settings
        self._metrics = metrics
        self.checkpoint = checkpoint
        self._now = now
        self._sleep = sleep
        self._jitter = jitter
        self._published: dict[tuple[PollWindow, str], bytes] = {}
        self._lagging = False

    async def run(self) -> None:
        """Polls for ever; when the vendor's response asks for a person, it reports that and waits to be ended."""
        decision = self._next(None)
        while True:
            self._report(decision)
            await self._save(decision.checkpoint)
            if decision.ask is None:
                if decision.checkpoint.stopped:
                    await asyncio.Event().wait()
                await self._sleep(decision.wait_s)
                decision = self._next(None)
                continue
            answer = await self._ask(decision.ask, decision.token, plain=decision.plain)
            decision = self._next(await self._publish_page(answer, decision.ask, decision.token))
            await self._sleep(self._account.min_gap_s)

    async def fetch_call(self, call_id: str, *, once: bool = False) -> bool:
        """Asks for one call by its id, again while it may not exist yet; returns False when it is not found.

        `once` is for a call that ended long ago: it is not asked for again.

        Raises `Unavailable` with the vendor's code for any other failure.
        """
        not_yet = next(a for a in self._poll.advice.values() if a.action == "retry_id")
        tries = 0
        while True:
            request = self._poll.request(self._account, call_id=call_id)
            answer = await ask(self._session, self._poll, request, cap_bytes=self._settings.inflate_cap_bytes)
            if answer.page.code == "0" and call_id in answer.page.call_ids:
                await self._publish(answer, None)
                return True
            if answer.page.code != "0" and self._poll.advice.get(answer.page.code) is not not_yet:
                raise Unavailable("the vendor does not answer for a call", code=answer.page.code)
            tries += 1
            wait_s = None if once else planner.id_wait_s(not_yet, tries)
            if wait_s is None:
                return False
            await self._sleep(wait_s)

    @property
    def _labels(self) -> tuple[str, str]:
        return self._account.vendor, self._name

    def _next(self, page: Page | None) -> PollDecision:
        return planner.next_step(
            self.checkpoint,
            page,
            self._now(),
            account=self._account,
            advice=self._poll.advice,
            jitter=self._jitter(),
            token=self._poll.next(page) if page and page.code == "0" and page.cursor != _OVERSIZE else "",
        )

    async def _ask(self, window: PollWindow, token: str, *, plain: bool) -> PageResponse:
        further = {"token": token} if token else {}
        request = self._poll.request(self._account, start_s=window.start_s, end_s=window.end_s, plain=plain, **further)
        return await ask(self._session, self._poll, request, cap_bytes=self._settings.inflate_cap_bytes)

    async def _publish_page(self, answer: PageResponse, window: PollWindow, token: str) -> Page:
        """Publishes a page, and returns it as the planner is to see it.

        A page that is larger than Kafka takes counts as one with more behind it, so that its window is asked in halves.
        """
        page = answer.page
        if page.code != "0":
            code = page.code if page.code in self._poll.advice else "other"
            self._metrics.add("callweave_poll_errors_total", *self._labels, code)
            return page
        try:
            await self._publish(answer, window, token)
        except Unavailable:
            return msgspec.structs.replace(page, cursor=_OVERSIZE)
        return page

    async def _publish(self, answer: PageResponse, window: PollWindow | None, token: str = "") -> None:
        """Makes a page durable; an empty page, or one that was just published unchanged, adds nothing."""
        digest = hashlib.sha256(answer.body).digest()
        if not answer.page.records or (window and self._published.get((window, token)) == digest):
            return
        raw = RawCallback(
            vendor=self._account.vendor,
            callback=self._poll.callback,
            account=self._name,
            received_at=datetime.fromtimestamp(self._now(), UTC),
            request_id=str(uuid4()),
            content_type=answer.content_type,
            content_encoding=answer.encoding,
            source="poll",
            body=answer.body,
        )
        first = min(answer.page.call_ids, default="")
        key = call_key(self._account.vendor, self._name, first)
        await self._publish_durably(RAW.name, key.encode(), raw.body, raw.headers())
        self._metrics.add("callweave_poll_pages_total", *self._labels)
        if window:
            self._published[window, token] = digest
            if len(self._published) > _REMEMBERED:
                del self._published[next(iter(self._published))]

    async def _save(self, checkpoint: Checkpoint) -> None:
        """Makes the checkpoint durable; the pages before it must be durable already."""
        if checkpoint != self.checkpoint:
            await self._publish_durably(POLLS.name, checkpoint_key(self._account), msgspec.json.encode(checkpoint), [])
            self.checkpoint = checkpoint

    async def _publish_durably(self, topic: str, key: bytes, value: bytes, headers: list[tuple[str, bytes]]) -> None:
        """Publishes, repeatedly until Kafka takes it: the vendor keeps its records meanwhile."""
        while True:
            try:
                await self._publisher.publish(topic, key, value, headers)
            except Unavailable as exc:
                if exc.code == "oversize":
                    raise
                _log.warning("Kafka does not take it, waiting topic=%s reason=%s", topic, exc.code)
                await self._sleep(_KAFKA_RETRY_S)
            else:
                return

    def _report(self, decision: PollDecision) -> None:
        """Updates logs and metrics for one decision; never with a phone number or the id of a call."""
        stopped, lag_s = decision.checkpoint.stopped, max(0.0, self._now() - decision.checkpoint.settled_s)
        self._metrics.put("callweave_poll_lag_seconds", *self._labels, value=lag_s)
        self._metrics.put("callweave_poll_stopped", *self._labels, value=float(bool(stopped)))
        if decision.note not in _QUIET or decision.alert:
            trouble = decision.checkpoint.trouble
            code = stopped or (trouble.code if trouble else "")
            known = self._poll.advice.get(code)
            _log.log(
                _LEVELS[decision.alert],
                "poller %s vendor=%s account=%s code=%s meaning=%s parked=%d",
                decision.note, *self._labels, code, known.description if known else "", len(decision.checkpoint.parked),
            )  # fmt: skip
        lagging = lag_s > _LAGGING_S + self._account.lag_s and decision.checkpoint.trouble is not None
        if lagging and not self._lagging:
            _log.error("poller lags vendor=%s account=%s lag_s=%d", *self._labels, lag_s)
        self._lagging = lagging


def name_of(account: PollAccount) -> str:
    """Returns our name of the account, in keys and headers; without one the vendor's id of it."""
    return account.account or account.app_id


def checkpoint_key(account: PollAccount) -> bytes:
    """Returns the key on the topic of checkpoints."""
    return f"{account.vendor}|{name_of(account)}".encode()
