"""Answers the status paths, which people and monitoring read."""

import asyncio
from collections.abc import Callable

import msgspec
from aiohttp import web

from ingress.kafka.publisher import Publisher


class StatusHandler:
    """Handles the status paths, which people and monitoring read."""

    def __init__(self, publisher: Publisher, render: Callable[[], str], leaving: asyncio.Event) -> None:
        self._publisher = publisher
        self._render = render
        self._leaving = leaving

    async def alive(self, _: web.Request) -> web.Response:
        """Answers 200 while the process runs."""
        return web.Response(text="ok\n")

    async def ready(self, _: web.Request) -> web.Response:
        """Answers 200 when a body would be made durable now, else 503 with the reason; a note describes the spool."""
        reason = "it is about to end" if self._leaving.is_set() else self._publisher.why_not()
        return web.Response(
            status=503 if reason else 200,
            body=msgspec.json.encode({"ready": not reason, "reason": reason, "note": self._publisher.note()}),
            content_type="application/json",
        )

    async def ready_or_not(self, _: web.Request) -> web.Response:
        """Answers 200 or 503 and not a word more, for a load balancer on a port that strangers reach."""
        return web.Response(status=503 if self._leaving.is_set() or self._publisher.why_not() else 200)

    async def metrics(self, _: web.Request) -> web.Response:
        """Answers with all metrics in Prometheus's text format."""
        return web.Response(body=self._render().encode(), headers={"Content-Type": "text/plain; version=0.0.4"})
