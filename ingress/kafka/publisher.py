"""Publisher: the interface to whatever makes a body durable.

The HTTP handlers and the pollers know only `Publisher`. The ingress's own publisher also keeps bodies on a local disk,
of which neither side knows. This module must not know vendors, HTTP or what a body holds.
"""

import asyncio
from collections.abc import Callable
from typing import Literal, Protocol

from schemas.errors import Unavailable
from schemas.raw import Headers

WhyNot = Literal["timeout", "buffer_full", "kafka", "oversize", "spool", "spool_full"]
"""Codes of a publisher's `Unavailable`."""
Settled = Callable[[Unavailable | None], None]
"""A hearer of a record's fate: it gets None once it is durable, else the error. It must not raise."""


class Publisher(Protocol):
    """Makes bodies durable."""

    async def publish(self, topic: str, key: bytes, value: bytes, headers: Headers, *, no_retry: bool = False) -> None:
        """Returns when the record is durable; else raises `Unavailable` with a code of `WhyNot`.

        `no_retry` says that nobody will send it again: where room is short, others are refused for its sake. A record
        given up as `timeout` may still arrive later: a sender that repeats it makes a duplicate, never a loss.
        """

    def submit(
        self, topic: str, key: bytes, value: bytes, headers: Headers, settled: Settled, *, no_retry: bool = False
    ) -> None:
        """Begins what `publish` does, for a caller without a task; `settled` is called once, now or later."""

    def why_not(self) -> str:
        """Returns why no body would be taken now, as a sentence for people; "" when one would."""

    def note(self) -> str:
        """Returns what people should know although bodies are taken; "" when there is nothing."""


def settle(told: "asyncio.Future[None]", error: Unavailable | None) -> None:
    """Passes a record's fate on to whoever waits for it; who was cancelled hears nothing."""
    if told.done():
        return
    if error is None:
        told.set_result(None)
    else:
        told.set_exception(error)
