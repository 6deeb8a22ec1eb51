"""The statistics of a running stack: records in, their outcome, lag, and the freshness of the rows."""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import aiohttp
import msgspec

from deploy.local.stack import Stack
from deploy.local.stack_health import StackHealth
from deploy.process.scrape import Sample, scrape, total
from schemas.errors import CallweaveError
from sinks.clickhouse import ClickHouse

_TABLES: Final = ("v_cdr", "v_timelines", "call_events", "v_bindings", "dead_letters")
_QUERY_EVERY_S: Final = 3.0
_QUERY_TIMEOUT_S: Final = 5.0


class StackStats(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers of the live view; counts are since the parts started, rows are all that are stored."""

    received: int = 0
    refused: int = 0
    facts: int = 0
    duplicates: int = 0
    dead: int = 0
    filtered: int = 0
    by_vendor: Mapping[str, tuple[int, int, int, int]] = {}
    """Requests, facts, duplicates and dead letters of each vendor."""
    phases: Mapping[str, int] = {}
    rows: Mapping[str, int] = {}
    dispositions: Mapping[str, int] = {}
    lag: Mapping[str, int] = {}
    freshness_s: float = 0.0
    accept_ms: float = 0.0
    polled_pages: int = 0
    waiting: bool = False
    """True while the sink waits for ClickHouse."""
    parts: tuple[tuple[str, int, int, int], ...] = ()
    """Name, process id (0: between two starts), restarts, resident MiB."""
    warnings: tuple[str, ...] = ()
    """A sentence for each fault."""


class StatsCollector:
    """Collects the statistics of a stack, and queries the database only every few seconds."""

    def __init__(self, stack: Stack, session: aiohttp.ClientSession) -> None:
        self._stack = stack
        self._session = session
        ours = stack.settings.clickhouse
        self._clickhouse = ClickHouse(msgspec.structs.replace(ours, insert_timeout_s=_QUERY_TIMEOUT_S))
        self._queried_at = 0.0
        self._health = StackHealth(stack)
        self._rows: dict[str, int] = {}
        self._dispositions: dict[str, int] = {}

    async def look(self) -> StackStats:
        """Returns the statistics of this moment; numbers that cannot be read keep their last value or are zero."""
        pages = await self._pages()
        samples = [sample for page in pages.values() for sample in page or ()]
        await self._health.look(pages)
        if time.monotonic() - self._queried_at > _QUERY_EVERY_S:
            self._queried_at = time.monotonic()
            await self._query()
        vendors = sorted({labels["vendor"] for _, labels, _ in samples if "vendor" in labels})
        tables = [value for name, _, value in samples if name == "callweave_sink_freshness_seconds"]
        accepted = total(samples, "callweave_ingress_accept_seconds_count")
        return StackStats(
            received=int(total(samples, "callweave_ingress_requests_total", outcome="accepted")),
            refused=int(
                total(samples, "callweave_ingress_requests_total")
                - total(samples, "callweave_ingress_requests_total", outcome="accepted")
                - total(samples, "callweave_ingress_requests_total", outcome="console")
            ),
            facts=int(total(samples, "callweave_join_items", outcome="fact")),
            duplicates=int(total(samples, "callweave_join_items", outcome="duplicate")),
            dead=int(total(samples, "callweave_normalise_elements_total", outcome="dead")),
            filtered=int(total(samples, "callweave_normalise_elements_total", outcome="filtered")),
            by_vendor={vendor: _of_vendor(samples, vendor) for vendor in vendors},
            phases={labels["phase"]: int(value) for name, labels, value in samples if name == "callweave_join_calls"},
            rows=dict(self._rows),
            dispositions=dict(self._dispositions),
            lag=self._health.lag,
            freshness_s=max(tables, default=0.0),
            accept_ms=1000 * total(samples, "callweave_ingress_accept_seconds_sum") / accepted if accepted else 0.0,
            polled_pages=int(total(samples, "callweave_poll_pages_total")),
            waiting=total(samples, "callweave_sink_waiting") > 0,
            parts=self._parts(),
            warnings=self._health.warnings(samples),
        )

    async def close(self) -> None:
        """Closes the connections to Kafka and ClickHouse."""
        await self._health.close()
        await self._clickhouse.close()

    async def _pages(self) -> dict[str, list[Sample] | None]:
        addresses = self._stack.metrics
        pages = await asyncio.gather(*(scrape(self._session, url) for url in addresses.values()))
        return dict(zip(addresses, pages, strict=True))

    def _parts(self) -> tuple[tuple[str, int, int, int], ...]:
        restarts = self._stack.restarts()
        pids = self._stack.pids()
        return tuple((name, pids.get(name, 0), restarts[name], resident_mib(pids.get(name, 0))) for name in restarts)

    async def _query(self) -> None:
        database = self._stack.settings.clickhouse.database
        # S608: the names are those of our own views, the database's comes from the settings.
        counts = " UNION ALL ".join(f"SELECT '{name}', count() FROM {database}.{name}" for name in _TABLES)  # noqa: S608
        found = await self._pairs(counts)
        self._rows = {name: found[name] for name in _TABLES if name in found} or self._rows
        ends = f"SELECT disposition, count() FROM {database}.v_timelines GROUP BY 1 ORDER BY 2 DESC"  # noqa: S608 - as above
        self._dispositions = await self._pairs(ends) or self._dispositions

    async def _pairs(self, query: str) -> dict[str, int]:
        try:
            return {str(name): int(count) for name, count in await self._clickhouse.query(query)}
        except CallweaveError:
            return {}


def _of_vendor(samples: list[Sample], vendor: str) -> tuple[int, int, int, int]:
    requests = total(samples, "callweave_ingress_requests_total", vendor=vendor, outcome="accepted")
    pages = total(samples, "callweave_poll_pages_total", vendor=vendor)
    facts = total(samples, "callweave_join_items", vendor=vendor, outcome="fact")
    duplicates = total(samples, "callweave_join_items", vendor=vendor, outcome="duplicate")
    dead = total(samples, "callweave_normalise_elements_total", vendor=vendor, outcome="dead")
    return int(requests + pages), int(facts), int(duplicates), int(dead)


def resident_mib(pid: int) -> int:
    """Returns the resident memory of a process in MiB; 0 where the system does not tell."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) // 1024
    except OSError:
        pass
    return 0
