"""Reads the topics and views of a stack without traffic, and judges them with the vendors' ledger."""

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Final

import aiokafka
import msgspec

from deploy.local.stack import Stack
from deploy.simulator.sending.ledger import LedgerEntry, digest_of
from schemas.raw import raw_from_kafka
from schemas.topics import RAW
from tests.chaos.judge.judge import (
    Body,
    Finding,
    Stored,
    expected_of,
    findings,
    identity_broken,
    ledger_wrong,
    stored,
    unlike,
)
from tests.oracle.compare import compare, compare_counts
from tests.oracle.expected import Counts
from tests.oracle.figures import VIEWS, differing
from tests.support import whole_stack as ws

_RECORDS: Final = (
    "SELECT record_id, version FROM v_cdr UNION ALL SELECT record_id, version FROM call_events"
    " UNION ALL SELECT record_id, version FROM bindings"
)
_BOOKS: Final = (
    "SELECT vendor, sum(elements) AS elements, sum(facts) AS facts, sum(duplicates) AS duplicates, sum(dead) AS dead,"
    " sum(waiting) + sum(difference) AS open FROM v_ledger GROUP BY vendor"
)
_LOOKS: Final = 4
"""The most readings of the raw topic, before and after the views are read."""
_SETTLED_S: Final = 3.0
_FIGURES_S: Final = 40.0
"""The longest wait for figures: a sink that was killed comes back, and works off what it left."""
REFUSED_VENDOR: Final = "refused"
"""The vendor of records whose rows ClickHouse cannot take; the simulator does not send them."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a comparison."""

    findings: tuple[Finding, ...]
    repeated: int
    """The number of bodies that were stored more often than acknowledged; the views must not show it."""


async def verdict(
    stack: Stack,
    entries: list[LedgerEntry],
    *,
    refused: Collection[str] = (),
    restarted: bool = True,
    whole_ledger: bool = True,
) -> Verdict:
    """Compares the raw topic with the ledger, and views, public topics and books (guarantee 7) with the raw topic.

    `refused` are the ids of facts that a test put on the public topic itself: a dead letter each, and no row.
    Normalisers that never restarted have counted their elements, and this count is then compared too. Where workers
    without a ledger took part, it is not whole: then only what it has open counts.
    """
    raw = await bodies_on_raw(stack)
    for _ in range(_LOOKS):
        found = await _of_all(stack, stored(entries, raw), refused, restarted=restarted, whole_ledger=whole_ledger)
        before, raw = raw, await bodies_on_raw(stack)
        if raw == before:
            break
        # A body that went to the spool may come through Kafka as well, much later: then there is one more than read.
        await asyncio.sleep(_SETTLED_S)
    return found


async def _of_all(
    stack: Stack, what: Stored, refused: Collection[str], *, restarted: bool, whole_ledger: bool
) -> Verdict:
    try:
        return await _of_views(stack, what, refused, restarted=restarted, whole_ledger=whole_ledger)
    except AssertionError as exc:
        # The rows of a view that cannot be read are lost to its readers.
        unread = Finding(harm="lost", where=("", ""), text=f"a view cannot be read: {exc}")
        return Verdict(findings=(*what.findings, unread), repeated=what.repeated)


async def _of_views(
    stack: Stack, what: Stored, refused: Collection[str], *, restarted: bool, whole_ledger: bool
) -> Verdict:
    expected = expected_of(what)
    if refused:
        expected.dead[REFUSED_VENDOR] = {"row": len(refused)}
    shown = {name: await ws.rows(stack, f"SELECT * FROM {view}") for name, view in ws.VIEWS.items()}
    counts = await ws.counted(stack, sorted(expected.counts), restarted=restarted)
    facts, calls = await ws.newest_on_topics(stack)
    records = {str(row["record_id"]): int(row["version"]) for row in await ws.rows(stack, _RECORDS)}
    query = "SELECT timeline_id, version FROM v_timelines"
    timelines = {str(row["timeline_id"]): int(row["version"]) for row in await ws.rows(stack, query)}
    return Verdict(
        findings=(
            *what.findings,
            *findings(compare(expected, **shown)),
            *findings(compare_counts(expected, counts)),
            *identity_broken(counts),
            *unlike("records", records, {name: version for name, version in facts.items() if name not in refused}),
            *unlike("v_timelines", timelines, calls),
            *await _of_figures(stack),
            *await _of_ledger(stack, counts if whole_ledger else {}),
        ),
        repeated=what.repeated,
    )


async def _of_figures(stack: Stack) -> list[Finding]:
    """Returns how figures differ from those of all calls; the sink computes them a second or two after its rows."""
    database = stack.settings.clickhouse.database

    async def wrong() -> list[Finding]:
        found = {view: await ws.rows(stack, differing(view, database)) for view in VIEWS}
        return [
            Finding(harm="wrong", where=(view, ""), text=f"{view}: {row['surplus']} x {row['row']}")
            for view, rows in found.items()
            for row in rows
        ]

    return list(await ws.until(wrong, _FIGURES_S))


async def _of_ledger(stack: Stack, counts: Mapping[str, Counts]) -> list[Finding]:
    """Returns what the ledger has open, and where it counts otherwise than the parts that keep what they count."""

    async def wrong() -> list[Finding]:
        books = {str(row["vendor"]): row for row in await ws.rows(stack, _BOOKS)}
        lines = [str(row) for row in await ws.rows(stack, "SELECT * EXCEPT (open_s) FROM v_ledger_open LIMIT 20")]
        return ledger_wrong(books, counts, lines)

    return list(await ws.until(wrong, _FIGURES_S))


async def bodies_on_raw(stack: Stack) -> Counter[Body]:
    """Returns the number of times that each pushed body is on the raw topic."""
    found: Counter[Body] = Counter()
    consumer = aiokafka.AIOKafkaConsumer(
        bootstrap_servers=stack.settings.kafka.bootstrap, auto_offset_reset="earliest", enable_auto_commit=False
    )
    places = [aiokafka.TopicPartition(RAW.name, n) for n in range(stack.settings.kafka.partitions)]
    await consumer.start()
    try:
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        await consumer.seek_to_beginning(*places)
        while any([await consumer.position(place) < ends[place] for place in places]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    raw = raw_from_kafka(record.value, record.headers, record.timestamp)
                    if raw.source == "push":
                        found[raw.vendor, digest_of(raw.body)] += 1
    finally:
        await consumer.stop()
    return found
