"""Records that are columns are placed, erased and marked as the same records are as objects."""

import random
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from schemas.codec import FACT, TIMELINE, Codecs
from schemas.facts import Disposition, Fact, FactType, RecordContent
from schemas.privacy.erasures import Erasure, Erasures, erasure_of_number
from schemas.privacy.tokens import NumberTokens
from schemas.raw import Position
from schemas.timeline import Timeline
from sinks import typed_records
from sinks.columns import NO_TOKENS, Table
from sinks.flush.batch import Origin
from sinks.flush.erasing import kept
from sinks.flush.placing import Places, row_hash
from sinks.rollups.marks import marking
from sinks.rows import CDR, TIMELINES
from sinks.writing.native_block import Block
from sinks.writing.records import Records

TOKENS = NumberTokens("k" * 32)
MOVED = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
NUMBERS = ("+8613900000001", "+8613900000002", None)
BOTH = pytest.mark.parametrize("table", [CDR, TIMELINES], ids=lambda table: table.label)
SEEDS = pytest.mark.parametrize("seed", range(12))


def content(received_at: datetime) -> RecordContent:
    return RecordContent(
        digest="a", is_shown=True, is_final=True, received_at=received_at, source="push", raw_topic="t", raw_partition=0,
        raw_offset=0, raw_element=0, disposition=Disposition.ANSWERED, from_number=NUMBERS[0],
    )  # fmt: skip


def fact(number: int, rng: random.Random, fields: dict[str, Any], received_at: datetime) -> Fact:
    identity = uuid.UUID(int=number)
    text = rng.choice((str(identity), str(identity), str(identity).upper(), identity.hex, f"{{{identity}}}"))
    contents = (content(received_at - rng.choice((0, 9)) * HOUR),) if rng.random() < 0.2 else ()
    return Fact(
        fact_id=text,
        fact_type=FactType.RECORD,
        kind="callback_cdr",
        received_at=received_at,
        contents=contents,
        **fields,
    )


def made(table: Table[Any], rng: random.Random) -> Any:
    """Returns one of a few rows: certain of its slot or not, of a time before the move or after it."""
    number = rng.randrange(0xA0, 0xC0)
    received_at = MOVED + timedelta(minutes=rng.randrange(-60, 600))
    fields: dict[str, Any] = {
        "vendor": "ytx", "call_key": f"ytx||{number}", "vendor_call_id": str(number), "from_number": rng.choice(NUMBERS),
        "account": rng.choice(("", "red")), "version": rng.randrange(9),
        "slot_at": rng.choice((None, MOVED, MOVED + rng.randrange(9) * HOUR)), "slot_certain": rng.random() < 0.8,
    }  # fmt: skip
    if table is CDR:
        return fact(number, rng, fields, received_at)
    suffix = rng.choice(("", "#red"))
    return Timeline(
        timeline_id=f"ytx||{number}{suffix}", first_received_at=received_at, started_at=received_at, **fields
    )


def both(table: Table[Any], seed: int, monkeypatch: pytest.MonkeyPatch) -> tuple[Records, list[Any]]:
    """Returns the same records as columns and as objects."""
    monkeypatch.setattr(typed_records, "MANY", 2)
    rng = random.Random(seed)
    objects = [made(table, rng) for _ in range(40)]
    topic, codec = ("calls.normalized", FACT) if table is CDR else ("calls.timelines", TIMELINE)
    origins = [
        Origin(position=Position(topic, 0, number), key=None, value=codec.encode(one))
        for number, one in enumerate(objects)
    ]
    ((_, records),), dead_letters = typed_records.gathered({topic: origins}, Codecs())
    assert dead_letters == []
    assert len(records.columns[0]) > 10
    return records, objects


class Stored:
    """A server that has some of the rows in slots of its own."""

    def __init__(self, table: Table[Any]) -> None:
        self._timelines = table is TIMELINES
        self.asked: list[list[Any]] = []

    async def query(self, sql: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        if "rows_moved" in sql:
            return [(4, MOVED)]
        self.asked.append(sorted(values["names"], key=str))
        stored = [row_hash(f"ytx||{n}") if self._timelines else uuid.UUID(int=n) for n in range(0xA0, 0xC0, 3)]
        return [(name, MOVED - 5 * HOUR) for name in values["names"] if name in stored]


@BOTH
@SEEDS
async def test_columns_are_placed_as_objects_are(table: Table[Any], seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    records, objects = both(table, seed, monkeypatch)
    one, other = Stored(table), Stored(table)
    placed = await Places(one.query, "calls").placed(table, records)
    assert [*placed] == [*await Places(other.query, "calls").placed(table, objects)] != objects
    assert one.asked == other.asked
    assert isinstance(placed, Records)
    assert len(placed.columns[0]) > 0


@BOTH
@SEEDS
@pytest.mark.parametrize("hours", [-3, 1, 4, 20])
def test_columns_are_erased_as_objects_are(
    table: Table[Any], seed: int, hours: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    records, objects = both(table, seed, monkeypatch)
    assert NUMBERS[0] is not None
    number = erasure_of_number(NUMBERS[0], TOKENS, MOVED + hours * HOUR)
    for entries in ([], [number], [Erasure(subject="account", account="red", at=MOVED + hours * HOUR)]):
        erasures = Erasures(TOKENS, entries)
        left = kept(records, erasures)
        assert [*left] == [*kept(objects, erasures)]
        assert isinstance(left, Records)
        assert left.block(table, NO_TOKENS)


@BOTH
@SEEDS
async def test_the_slots_of_columns_are_marked(table: Table[Any], seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    records, objects = both(table, seed, monkeypatch)
    marked: list[set[datetime]] = []

    async def insert(_table: Table[Any], _records: Sequence[Any]) -> None: ...

    async def mark(slots: Any) -> None:
        marked.append(set(slots))

    for one in (records, objects):
        await marking(insert, mark)(table, one)
    assert marked == ([marked[0]] * 2 if table is TIMELINES else [])


@BOTH
def test_parts_of_records_are_records(table: Table[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    records, objects = both(table, 1, monkeypatch)
    changed = records.changed({3: objects[4], 5: None})
    expected = [*objects[:3], objects[4], objects[4], *objects[6:]]
    assert [*changed] == expected
    assert ([*changed[7:19]], [*changed[1:9][2:5]]) == (expected[7:19], expected[3:6])
    assert [one.position.offset for one in changed.origins[3:6]] == [3, 4, 6]
    assert (changed[-1], len(changed)) == (objects[-1], 39)
    assert records[:0].block(table, NO_TOKENS) == Block([], NO_TOKENS).of(table)
