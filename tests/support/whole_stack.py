"""The whole stack of `callweave up` under test, on free ports, with the simulator's traffic and the views' contents."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import aiokafka
import msgspec

from deploy.local.stack import Stack, running_stack
from deploy.process.ports import free_port
from deploy.process.scrape import Sample, scrape, total
from schemas.codec import FACT, TIMELINE
from schemas.config.settings import (
    ClickHouseSettings,
    EmbeddedSettings,
    IngressSettings,
    KafkaSettings,
    PollAccount,
    Settings,
)
from schemas.topics import NORMALIZED, TIMELINES
from tests.oracle.expected import Counts
from tests.support.clickhouse_at import address_of
from tests.support.processes.filled_store import filled
from tests.support.processes.formatted import formatted
from tests.support.processes.looking import pauses

PARTITIONS = 6
_LIMIT_S = 60.0
VIEWS = {
    "cdr": "v_cdr",
    "events": "call_events",
    "bindings": "v_bindings",
    "timelines": "v_timelines",
    "dead": "v_dead_letters",
}


def settings_for(data_dir: Path, **sections: Any) -> Settings:
    """Returns settings with everything embedded, on free ports."""
    base = Settings(
        kafka=KafkaSettings(partitions=PARTITIONS),
        ingress=IngressSettings(port=free_port()),
        embedded=EmbeddedSettings(
            data_dir=str(data_dir),
            kafka_port=free_port(),
            clickhouse_port=free_port(),
            # Set, because the port derived from the other one may be in use.
            clickhouse_tcp_port=free_port(),
            metrics_base_port=free_port(run=4),
        ),
    )
    return msgspec.structs.replace(base, **sections)


@contextlib.asynccontextmanager
async def whole_stack(data_dir: Path, *poll: PollAccount, **sections: Any) -> AsyncIterator[Stack]:
    """Yields a running stack in `data_dir`."""
    formatted(data_dir / "kafka")
    if "clickhouse" not in sections:
        filled(data_dir / "clickhouse")
    async with running_stack(settings_for(data_dir, **sections), lambda _step, _share: None, poll_also=poll) as stack:
        yield stack


async def rows(stack: Stack, sql: str) -> list[dict[str, Any]]:
    """Returns the rows of a query, by column name."""
    return await query(stack.settings.clickhouse, sql)


async def query(clickhouse: ClickHouseSettings, sql: str) -> list[dict[str, Any]]:
    """Returns the rows of a query to this ClickHouse."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(
            address_of(clickhouse),
            params={
                "database": "calls",
                "default_format": "JSONEachRow",
                "output_format_json_quote_64bit_integers": "0",
            },
            data=sql.encode(),
        ) as answer,
    ):
        text = await answer.text()
        assert answer.status == 200, text
        return [msgspec.json.decode(line) for line in text.splitlines()]


async def samples(stack: Stack) -> list[Sample]:
    """Returns every metric of every part."""
    async with aiohttp.ClientSession() as session:
        return [sample for url in stack.metrics.values() for sample in await scrape(session, url) or ()]


async def counted(stack: Stack, vendors: list[str], *, restarted: bool) -> dict[str, Counts]:
    """Returns the numbers of guarantee 7 (the books balance); a restarted normaliser has lost its own counters."""
    metrics = await samples(stack)
    dead = Counter(
        {
            row["vendor"]: int(row["n"])
            for row in await rows(stack, "SELECT vendor, count() AS n FROM dead_letters GROUP BY vendor")
        }
    )
    found = {}
    for vendor in vendors:
        facts = int(total(metrics, "callweave_join_items", vendor=vendor, outcome="fact"))
        duplicates = int(total(metrics, "callweave_join_items", vendor=vendor, outcome="duplicate"))
        filtered = int(total(metrics, "callweave_normalise_elements_total", vendor=vendor, outcome="filtered"))
        elements = int(total(metrics, "callweave_normalise_elements_total", vendor=vendor))
        found[vendor] = Counts(
            elements=facts + duplicates + dead[vendor] + filtered if restarted else elements,
            facts=facts,
            duplicates=duplicates,
            dead=dead[vendor],
            filtered=filtered,
        )
    return found


async def until(probe: Callable[[], Any], limit_s: float, *, every_s: float = 0.5) -> Any:
    """Returns the first empty answer of `probe`, or the last one before the limit."""
    deadline = asyncio.get_running_loop().time() + limit_s
    while True:
        answer = await probe()
        if not answer or asyncio.get_running_loop().time() > deadline:
            return answer
        await asyncio.sleep(every_s)


async def until_true(what: str, condition: Callable[[], Awaitable[bool]]) -> None:
    """Waits until the condition is true; fails with `what` after a minute."""
    deadline = asyncio.get_running_loop().time() + _LIMIT_S
    for pause_s in pauses():
        if await condition():
            return
        assert asyncio.get_running_loop().time() < deadline, f"in vain: {what}"
        await asyncio.sleep(pause_s)


async def newest_on_topics(stack: Stack) -> tuple[dict[str, int], dict[str, int]]:
    """Returns the highest version of each record and of each call on the public topics."""
    facts: dict[str, int] = {}
    calls: dict[str, int] = {}
    consumer = aiokafka.AIOKafkaConsumer(
        bootstrap_servers=stack.settings.kafka.bootstrap, auto_offset_reset="earliest", enable_auto_commit=False
    )
    places = [aiokafka.TopicPartition(topic.name, n) for topic in (NORMALIZED, TIMELINES) for n in range(PARTITIONS)]
    await consumer.start()
    try:
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        await consumer.seek_to_beginning(*places)
        while any([await consumer.position(place) < ends[place] for place in places]):
            for place, records in (await consumer.getmany(timeout_ms=500)).items():
                for record in records:
                    if place.topic == NORMALIZED.name:
                        fact = FACT.decode(record.value)
                        facts[fact.fact_id] = max(facts.get(fact.fact_id, 0), fact.version)
                    else:
                        call = TIMELINE.decode(record.value)
                        calls[call.timeline_id] = max(calls.get(call.timeline_id, 0), call.version)
    finally:
        await consumer.stop()
    return facts, calls
