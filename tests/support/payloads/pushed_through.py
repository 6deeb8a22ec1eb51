"""Puts requests from standard input through ingress, normaliser and joiner, in one process without Kafka; JSON out.

In: `requests` (`method`, `path`, `headers`, `body`) and `accounts` (of the settings). Out: `vendors`, a reply for each
request (`status`, `body`), and for each published record its `key`, `facts`, `dead` codes and, at the end, `timelines`.
"""

import asyncio
import json
import sys
from datetime import UTC, datetime
from typing import Any

import msgspec
from aiohttp.test_utils import TestClient, TestServer

from ingress.app import create_app
from processors.call.state import CallState
from processors.join import step
from processors.normalise import directory, normalise
from schemas.config.limits import DEFAULT
from schemas.config.secret import read_secret
from schemas.config.settings import JoinSettings, Settings
from schemas.metrics import Registry
from schemas.raw import Position, raw_from_kafka
from schemas.timeline import Timeline
from schemas.vendors import VENDORS
from tests.support.http.memory_publisher import MemoryPublisher

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


async def pushed(asked: dict[str, Any]) -> dict[str, Any]:
    """Sends the requests and follows what was published."""
    settings = msgspec.convert(
        {"accounts": asked["accounts"]}, Settings, dec_hook=lambda _, given: read_secret(given, {})
    )
    publisher = MemoryPublisher()
    replies = []
    async with TestClient(TestServer(create_app(settings, VENDORS, publisher, Registry(), lambda: NOW))) as client:
        for request in asked["requests"]:
            reply = await client.request(
                request["method"], request["path"], data=request.get("body"), headers=request.get("headers")
            )
            replies.append({"status": reply.status, "body": await reply.text()})
    states: dict[str, CallState] = {}
    timelines: dict[str, Timeline] = {}
    records = []
    for offset, record in enumerate(publisher.records):
        raw = raw_from_kafka(record.value, record.headers, 0)
        outcome = normalise(raw, Position("calls.raw", 0, offset), directory(settings.accounts), DEFAULT)
        for fact in outcome.facts:
            joined = step(states.get(fact.call_key), fact, 0, JoinSettings())
            if joined.state is not None:
                states[fact.call_key] = joined.state
            timelines |= {timeline.timeline_id: timeline for timeline in joined.timelines}
        dead = [one.code for one in outcome.dead]
        records.append({"key": record.key.decode(), "facts": outcome.facts, "dead": dead})
    return {
        "vendors": list(VENDORS), "replies": replies, "records": records, "timelines": list(timelines.values())
    }  # fmt: skip


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(asyncio.run(pushed(json.load(sys.stdin)))))
