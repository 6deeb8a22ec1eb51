"""Rows of the blocks that we write ourselves, beside the rows that clickhouse-connect inserts of the same records."""

import random
import struct
import types
import typing
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any

import msgspec
import pytest

from schemas.config.settings import Settings
from schemas.dead_letter import DeadLetter
from schemas.facts import EPOCH, Fact, Leg
from schemas.privacy.tokens import NumberTokens
from schemas.timeline import Timeline
from sinks.clickhouse import ClickHouse
from sinks.columns import WORD, Column, Table
from sinks.error_classes import RowsRefused
from sinks.rows import CDR, DEAD_LETTERS, TABLES, TIMELINES
from sinks.writing.column_writers import column_writer
from sinks.writing.native_block import Block
from tests.oracle.columns import columns_of
from tests.support.clickhouse_at import settings_at
from tests.support.processes.made_tables import make_in
from tests.support.scale import SCALE

TOKENS = NumberTokens("3f6c1a0b9d8e7f5a4c2b1d0e9f8a7b6c")
RECORDS = 300 * SCALE
TEXTS = ("", "ytx", "+8613900000001", "+8613900000002", "呼叫", "x" * 127, "x" * 128, "é" * 64, "\x00", "'\\\n", "|%")
SIZES = {"UInt8": "B", "UInt16": "H", "UInt32": "I", "UInt64": "Q", "Int32": "i", "Int64": "q"}
FAR = ("1900-01-01", "1969-12-31T23:59:59.999999", "1970-01-01", "2038-01-19T03:14:08", "2262-01-01T00:00:00.000001")


@pytest.fixture(scope="module")
async def db(clickhouse_url: str) -> AsyncIterator[ClickHouse]:
    """A migrated database of this module's own."""
    settings = Settings(clickhouse=settings_at(clickhouse_url, database=f"calls_{uuid.uuid4().hex[:12]}"))
    async with ClickHouse(settings.clickhouse, TOKENS) as client:
        await make_in(client, settings)
        yield client
        await client.command(f"DROP DATABASE {client.database}")


def integers(kind: str, rng: random.Random) -> int:
    """Returns a number that a column of this type holds, often the least or the largest."""
    code = next(code for name, code in SIZES.items() if name in kind and f"U{name}" not in kind)
    bits = struct.calcsize(f"<{code}") * 8
    low, high = (0, 2**bits - 1) if code.isupper() else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return rng.choice((low, high, 0, 1, 127, 128, rng.randint(low, high)))


def instant(name: str, rng: random.Random) -> datetime:
    if name == "slot_at":
        return EPOCH + timedelta(hours=rng.choice((0, 1, 492_000, 492_001, 2**32 // 3600 - 1)))
    near = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(microseconds=rng.randrange(10**13))
    return rng.choice((near, near, datetime.fromisoformat(rng.choice(FAR)).replace(tzinfo=UTC)))


def value(name: str, kind: Any, columns: dict[str, str], rng: random.Random) -> Any:  # noqa: C901, PLR0911 - one for each type
    """Returns a random value of a record's field."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        inner = next(each for each in typing.get_args(kind) if each is not type(None))
        return None if rng.random() < 0.3 else value(name, inner, columns, rng)
    if typing.get_origin(kind) is typing.Literal:
        return rng.choice(typing.get_args(kind))
    if typing.get_origin(kind) is tuple:
        return tuple(value(name, typing.get_args(kind)[0], columns, rng) for _ in range(rng.choice((0, 0, 1, 2, 3))))
    if typing.get_origin(kind) is not None:  # a mapping of texts
        return {rng.choice(TEXTS): rng.choice(TEXTS) for _ in range(rng.choice((0, 1, 2)))}
    if issubclass(kind, msgspec.Struct):
        return record(kind, columns, rng, f"{name}.")
    if issubclass(kind, Enum):
        return rng.choice([*kind])
    if kind is datetime:
        return instant(name, rng)
    if kind is Decimal:
        return Decimal(rng.randint(-(10**17), 10**17)).scaleb(-6)
    if kind is bool:
        return rng.random() < 0.5
    if kind is int:
        return integers(columns.get(name, "UInt8"), rng)
    if kind is str and rng.random() < 0.001:
        return "x" * 16_384
    return rng.choice(TEXTS) if kind is str else bytes(rng.randrange(256) for _ in range(3))


def record(kind: type[Any], columns: dict[str, str], rng: random.Random, parent: str = "") -> Any:
    """Returns a record with a random value in every field."""
    hints = typing.get_type_hints(kind, include_extras=False)
    fields = {name: value(f"{parent}{name}", hints[name], columns, rng) for name in kind.__struct_fields__}
    if kind is Fact:
        fields["fact_id"] = str(uuid.UUID(int=rng.getrandbits(128)))
    if kind is Timeline:
        fields["timeline_id"] = fields["call_key"] + rng.choice(TEXTS)
    if kind in (Fact, Timeline) and rng.random() < 0.5:
        fields["call_key"] = f"{fields['vendor']}|acc|{fields['vendor_call_id']}"
        fields["timeline_id"] = fields["call_key"] + rng.choice(("", "#acc"))
    return kind(**{name: fields[name] for name in kind.__struct_fields__})


def records(table: Table[Any], seed: int) -> list[Any]:
    rng = random.Random(seed)
    kind = Timeline if table is TIMELINES else DeadLetter if table is DEAD_LETTERS else Fact
    columns = {column.name: column.type for column in table.columns}
    return [record(kind, columns, rng) for _ in range(RECORDS)]


async def stored(db: ClickHouse, table: Table[Any]) -> list[tuple[Any, ...]]:
    """Returns the rows of a table, which is then empty."""
    names = ", ".join(f"toString(`{column.name}`)" for column in table.columns)
    rows = await db.query(f"SELECT {names} FROM {db.database}.{table.name} ORDER BY ALL")
    await db.command(f"TRUNCATE TABLE {db.database}.{table.name}")
    return rows


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.label)
async def test_the_rows_are_those_that_the_library_inserts(db: ClickHouse, table: Table[Any]) -> None:
    sent = records(table, seed=7)
    await db.insert(table, sent)
    ours = await stored(db, table)
    columns = columns_of(table, sent, TOKENS)
    client = db._open(db.settings.url)  # the library's own insert has no other use
    client.insert(
        f"{db.database}.{table.name}",
        columns,
        [column.name for column in table.columns],
        column_type_names=[column.type for column in table.columns],
        column_oriented=True,
        settings={"max_partitions_per_insert_block": 0, "optimize_on_insert": 0},
    )
    theirs = await stored(db, table)
    assert len(ours) > RECORDS // 2
    assert ours == theirs


def one(kind: str) -> Table[Any]:
    """Returns a table with one column, of which the value is the record itself."""
    return Table("t", (Column("it", kind, lambda record: record),))


REFUSED = [
    pytest.param("String", "\ud800", id="half a character"),
    pytest.param("String", 7, id="a number for a text"),
    pytest.param(WORD, None, id="no word"),
    pytest.param("UInt8", 256, id="above eight bits"),
    pytest.param("UInt16", -1, id="below zero"),
    pytest.param("Nullable(UInt32)", 2**32, id="above 32 bits"),
    pytest.param("UInt64", 2**64, id="above 64 bits"),
    pytest.param("Int64", "7", id="a text for a number"),
    pytest.param("Nullable(Decimal(18, 6))", Decimal("0.0000001"), id="an amount with seven places"),
    pytest.param("Nullable(Decimal(18, 6))", Decimal(10**12), id="an amount with thirteen digits"),
    pytest.param("Nullable(Decimal(18, 6))", Decimal("NaN"), id="no amount"),
    pytest.param("DateTime('UTC')", datetime(1969, 12, 31, tzinfo=UTC), id="an hour before 1970"),
    pytest.param("DateTime('UTC')", datetime(2107, 1, 1, tzinfo=UTC), id="an hour after 2106"),
    pytest.param("DateTime64(6, 'UTC')", datetime(2026, 1, 1), id="an instant without a zone"),  # noqa: DTZ001 - it is the case
    pytest.param("Array(Nullable(UInt16))", [1, 65536], id="a member above 16 bits"),
]


@pytest.mark.parametrize(("kind", "value"), REFUSED)
def test_what_a_column_cannot_hold_is_refused_with_its_name(kind: str, value: Any) -> None:
    with pytest.raises(RowsRefused, match=r"^column it: \w+$") as refused:
        Block([value], TOKENS).of(one(kind))
    assert refused.value.code == "row"


def test_the_first_record_that_does_not_fit_is_the_reason() -> None:
    good = msgspec.structs.replace(records(CDR, seed=1)[0], version=1, q850=None)
    content = next(each for one in records(CDR, seed=1) for each in one.contents)
    bad = msgspec.structs.replace(good, contents=(msgspec.structs.replace(content, q850=70_000),))
    with pytest.raises(RowsRefused, match=r"column contents\.q850: OverflowError"):
        Block([good, bad, good], TOKENS).of(CDR)
    worse = msgspec.structs.replace(good, legs=(Leg(role="a", sip_code=-1),))  # type: ignore[arg-type]  # any word
    with pytest.raises(RowsRefused, match=r"column legs\.sip_code: OverflowError"):
        Block([good, worse, bad], TOKENS).of(CDR)


def test_a_type_without_a_writer_is_an_error_when_the_writer_is_made() -> None:
    with pytest.raises(TypeError, match="Float64"):
        column_writer("Float64")


@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 65_536, 65_537])
async def test_words_of_any_number_come_back(db: ClickHouse, count: int) -> None:
    words = [f"word {number}" for number in range(count)] * 2
    table = Table("words", (Column("it", WORD, lambda record: record), Column("n", "UInt64", hash_of)))
    await db.command(f"CREATE OR REPLACE TABLE {db.database}.words (it {WORD}, n UInt64) ENGINE = Memory")
    if words:
        await db.insert(table, words)
    rows = await db.query(f"SELECT it, n FROM {db.database}.words")
    assert rows == [(word, hash_of(word)) for word in words]


def hash_of(word: str) -> int:
    return sum(word.encode())
