"""Looks at all that a stack has stored: every row, the newest record of every call, and the work that is left."""

from typing import Any, Final

import aiokafka

from deploy.doctor.group_offsets import KafkaOffsets, connected_offsets
from deploy.doctor.stalled_partitions import PartitionOffsets
from deploy.local.stack import Stack
from schemas.topics import DEAD, FACTS, NORMALIZED, RAW, TIMELINES
from tests.support import whole_stack as ws

TABLES: Final = {
    "cdr_by_slot": "record_id",
    "call_events_by_slot": "record_id",
    "timelines_by_slot": "timeline_id",
    "bindings_by_slot": "record_id",
    "dead_letters_versions": "concat(topic, toString(partition), '/', toString(offset), '/', toString(element), stage, origin_hash)",
}

Rows = dict[str, dict[tuple[str, int], dict[str, Any]]]
"""Table to (identity, version) to the row."""


async def snapshot(stack: Stack) -> Rows:
    found: Rows = {}
    for table, identity in TABLES.items():
        rows = await ws.rows(stack, f"SELECT toString({identity}) AS identity, * FROM {table} FINAL")
        found[table] = {(row["identity"], row["version"]): row for row in rows}
    return found


async def everywhere(stack: Stack, text: str) -> list[str]:
    """Returns where a text stands in any column of any version of any row, the names of identities apart."""
    wrong = []
    for table in TABLES:
        for row in await ws.rows(stack, f"SELECT * FROM {table}"):
            wrong += [f"{table}.{name}" for name, value in row.items() if text in str(value)]
    return wrong


async def newest_timelines(stack: Stack) -> dict[bytes, bytes | None]:
    """Returns what compaction leaves of the calls: the last record of each."""
    consumer = aiokafka.AIOKafkaConsumer(
        bootstrap_servers=stack.settings.kafka.bootstrap, auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    found: dict[bytes, bytes | None] = {}
    try:
        places = [aiokafka.TopicPartition(TIMELINES.name, number) for number in range(ws.PARTITIONS)]
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        await consumer.seek_to_beginning(*places)
        while any([await consumer.position(place) < ends[place] for place in places]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                found |= {record.key: record.value for record in records}
    finally:
        await consumer.stop()
    return found


async def worked_off(stack: Stack) -> None:
    """Waits until all that is on the topics now has gone its whole way, stage by stage."""
    async with connected_offsets(stack.settings.kafka) as offsets:
        for topics in ((RAW.name,), (FACTS.name,), (NORMALIZED.name, TIMELINES.name, DEAD.name)):
            ends = {(one.topic, one.partition): one.end for one in await places(offsets) if one.topic in topics}

            async def done(ends: dict[tuple[str, int], int] = ends) -> bool:
                now = {(one.topic, one.partition): one.committed for one in await places(offsets)}
                return all(now[place] >= end for place, end in ends.items())

            await ws.until_true(f"{topics} are worked off", done)


async def places(offsets: KafkaOffsets) -> list[PartitionOffsets]:
    return [one for group in await offsets.look() for one in group.partitions]
