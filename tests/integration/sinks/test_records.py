"""The sink between a real broker and the real engine: every record becomes a row or a dead letter."""

import os
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from schemas.codec import DEAD_LETTER, FACT
from schemas.config.settings import Settings
from schemas.dead_letter import DeadLetter
from schemas.facts import FactType
from schemas.metrics import Registry
from schemas.raw import Position
from sinks.clickhouse import ClickHouse
from sinks.flush.batch import Origin
from sinks.flush.insert import insert_or_bisect
from sinks.queries.dead_letter_store import DeadFilter, list_dead
from sinks.rows import CDR
from sinks.writing.records import Records
from tests.integration.sinks.driving import (
    START,
    call,
    count,
    fact,
    forget,
    producing,
    send,
    send_calls,
    send_facts,
    sinking,
    uncommitted,
    until,
    until_committed,
    until_count,
)


async def test_every_kind_of_record_is_inserted_into_its_table_and_then_its_offset_is_committed(
    settings: Settings, db: ClickHouse
) -> None:
    await send_facts(settings.kafka, [fact(n) for n in range(1, 21)])
    await send_facts(settings.kafka, [fact(n, FactType.STATE) for n in range(21, 31)])
    await send_facts(settings.kafka, [fact(31, FactType.BINDING, binding_id="b1")])
    await send_calls(settings.kafka, [call(n, version=v, talk_ms=v) for v in (1, 2, 3) for n in range(10)])
    sent = DeadLetter(
        stage="normalise", code="json", detail="d", topic="calls.raw", partition=0, offset=1, original=b"\xff{", occurred_at=START
    )  # fmt: skip
    await send(settings.kafka, "calls.dead", [("ytx", DEAD_LETTER.encode(sent))])

    async with sinking(settings) as metrics:
        for view, expected in (
            ("v_cdr", 20),
            ("call_events", 10),
            ("v_bindings", 1),
            ("v_timelines", 10),
            ("dead_letters", 1),
        ):
            await until_count(db, view, expected)
        await until(lambda: _all_read(metrics), "the lag to be 0")
        assert await db.query(f"SELECT DISTINCT version, talk_ms FROM {db.database}.v_timelines") == [(3, 3)]
        assert metrics.get("callweave_sink_rows_total", "cdr") == 20
        assert metrics.get("callweave_sink_waiting") == 0
    assert [found.dead_letter for found in await list_dead(db, DeadFilter())] == [sent]
    assert await uncommitted(settings.kafka) == {}


async def _all_read(metrics: Registry) -> bool:
    return 'callweave_lag_records{stage="sink"} 0' in metrics.text()


async def test_what_cannot_be_read_becomes_a_dead_letter_once_and_a_tombstone_nothing(
    settings: Settings, db: ClickHouse
) -> None:
    large = b"junk " * 600_000  # larger than what one fetch asks for
    await send(settings.kafka, "calls.normalized", [("ytx|acc|1", b"junk"), ("ytx|acc|1", large), ("k", None)])
    await send(settings.kafka, "calls.timelines", [("gone", None), ("ytx|acc|2", b"\x00\x00\x00\x00\x01junk")])
    await send(settings.kafka, "calls.dead", [("ytx", b"no letter")])
    await send_facts(settings.kafka, [fact(1)])
    async with sinking(settings):
        await until_count(db, "dead_letters", 5)
        await until_count(db, "v_cdr", 1)
    dead_letters = [found.dead_letter for found in await list_dead(db, DeadFilter())]
    assert {(one.topic, one.original, one.stage, one.code) for one in dead_letters} == {
        ("calls.normalized", b"junk", "sink", "schema"),
        ("calls.normalized", large, "sink", "schema"),
        ("calls.normalized", b"", "sink", "schema"),
        ("calls.timelines", b"\x00\x00\x00\x00\x01junk", "sink", "schema"),
        ("calls.dead", b"no letter", "sink", "schema"),
    }
    async with sinking(settings):  # once more: the dead letters published above are read too
        await until_committed(settings.kafka, "everything to be committed")
    assert await count(db, "dead_letters") == 5


async def test_no_record_ends_the_sink_or_holds_a_partition_up(settings: Settings, db: ClickHouse) -> None:
    """Internal facts, no identity, values out of range, headers of any kind: a dead letter each, the rest are rows."""
    odd: list[tuple[bytes, dict[str, Any]]] = [
        (FACT.encode(fact(1, FactType.RESOLUTION, keeps="00")), {}),
        (FACT.encode(fact(2, fact_id="")), {}),
        (FACT.encode(fact(3, talk_ms=1 << 32)), {}),
        (FACT.encode(fact(4, billable_s=-1)), {}),
        (FACT.encode(fact(5, raw_offset=(1 << 63) - 1, raw_element=1 << 40)), {}),
        (FACT.encode(fact(6, version=-1)), {}),
        (b"junk", {"headers": [("trace", b"\xff\xfe"), ("vendor", b"\x00" * 300)]}),
        (b"junk of 1970", {"timestamp_ms": 1}),
        (b"junk with large headers", {"headers": [("trace", os.urandom(9 << 20))], "key": b"k" * (3 << 20)}),
    ]
    await forget(settings.kafka)
    async with sinking(settings) as metrics:
        async with producing(settings.kafka) as producer:
            for value, more in odd:
                await producer.send_and_wait("calls.normalized", value, partition=0, **more)
        await send_facts(settings.kafka, [fact(n) for n in range(100, 200)])
        await until_count(db, "dead_letters", len(odd))
        await until_count(db, "v_cdr", 100)
        await until_committed(settings.kafka, "everything to be committed")
        assert metrics.get("callweave_sink_waiting") == 0
    found = [one.dead_letter for one in await list_dead(db, DeadFilter())]
    assert sorted(one.code for one in found) == ["row"] * 5 + ["schema"] * 4
    assert {one.stage for one in found} == {"sink"}
    assert len({one.offset for one in found}) == len(odd)


async def test_extremes_of_every_column_are_rows_and_no_dead_letters(settings: Settings, db: ClickHouse) -> None:
    """Values that earlier stages let through are never refused for their range."""
    most = (1 << 32) - 1
    early, late = datetime(1900, 1, 1, tzinfo=UTC), datetime(2299, 12, 31, 23, 59, 59, tzinfo=UTC)
    fields: list[dict[str, Any]] = [
        {"talk_ms": value, "billable_s": value, "vendor_duration_s": value, "ring_ms": value} for value in (0, most)
    ]
    fields += [
        {"cost": Decimal(text), "currency": "CNY"} for text in ("0", "999999999999.999999", "-999999999999.999999")
    ]
    fields += [{"setup_at": at, "end_at": at} for at in (early, datetime(2106, 2, 7, 6, 28, 16, tzinfo=UTC), late)]
    await send_facts(settings.kafka, [fact(n, **one) for n, one in enumerate(fields, 1)])
    await send_calls(settings.kafka, [call(n, started_at=early, **one) for n, one in enumerate(fields, 1)])
    async with sinking(settings):
        await until_count(db, "v_cdr", len(fields))
        await until_count(db, "v_timelines", len(fields))
        await until_committed(settings.kafka, "everything to be committed")
    assert await count(db, "dead_letters") == 0


async def test_bad_rows_among_many_become_dead_letters_and_all_others_are_inserted(
    settings: Settings, db: ClickHouse
) -> None:
    """One that the client cannot write, one that the server refuses."""
    await db.command(f"ALTER TABLE {db.database}.cdr_by_slot MODIFY COLUMN custom_ref FixedString(5)")
    facts = [fact(n) for n in range(1, 2501)]
    facts[1234] = fact(1235, q850=70_000)
    facts[2321] = fact(2322, custom_ref="refuse me")
    await send_facts(settings.kafka, facts)
    async with sinking(settings):
        await until_count(db, "v_cdr", 2498)
        await until_count(db, "dead_letters", 2)
    found = {one.dead_letter.original: one.dead_letter for one in await list_dead(db, DeadFilter())}
    assert set(found) == {FACT.encode(facts[1234]), FACT.encode(facts[2321])}
    assert {(one.stage, one.code, one.topic) for one in found.values()} == {("sink", "row", "calls.normalized")}
    assert found[FACT.encode(facts[1234])].detail == "column q850: OverflowError"
    refused = found[FACT.encode(facts[2321])].detail
    assert refused == 'ClickHouse code 131 TOO_LARGE_STRING_SIZE, column "custom_ref"'
    assert await uncommitted(settings.kafka) == {}


@pytest.mark.parametrize("rows", [5000, pytest.param(200_000, marks=pytest.mark.long)])
async def test_one_bad_row_among_very_many_is_found(settings: Settings, db: ClickHouse, rows: int) -> None:
    bad = 123_456 * rows // 200_000
    facts = [fact(n, q850=70_000 if n == bad else None) for n in range(rows)]
    origins = [Origin(position=Position("calls.normalized", 0, n), key=None, value=b"") for n in range(rows)]
    refused = await insert_or_bisect(CDR, Records.of(facts, origins), db.insert, Registry())
    assert [one.origin for one in refused] == [origins[bad]]
    assert await count(db, "v_cdr") == rows - 1
