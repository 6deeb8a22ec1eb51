"""Rows are looked at again before each insert: those of an erased account are left out, numbers and bytes go."""

import gzip
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from schemas.dead_letter import DeadLetter
from schemas.enums import Flag
from schemas.errors import Unavailable
from schemas.facts import Fact, FactType, Kind
from schemas.privacy.erasures import Erasure, Erasures, erasure_of_number
from schemas.privacy.tokens import NumberTokens
from schemas.timeline import Timeline
from sinks.columns import Table
from sinks.flush.erasing import erasing
from sinks.rows import CDR, DEAD_LETTERS, TIMELINES

TOKENS = NumberTokens("k" * 32)
NUMBER = "+8613000001234"
AT = datetime(2026, 3, 1, tzinfo=UTC)
FACT = Fact(fact_type=FactType.RECORD, vendor="ytx", kind=Kind.CALLBACK_CDR, from_number=NUMBER, received_at=AT)
CALL = Timeline(timeline_id="t", call_key="t", vendor="ytx", to_number=NUMBER, first_received_at=AT, account="red")


def letter(original: bytes, **fields: Any) -> DeadLetter:
    default: dict[str, Any] = {
        "stage": "normalise", "code": "json", "detail": "not JSON", "topic": "calls.raw", "partition": 0, "offset": 1,
        "occurred_at": AT,
    }  # fmt: skip
    return DeadLetter(**{**default, **fields}, original=original)


class Inserted:
    """A table that takes rows, after it was away so many times."""

    def __init__(self, away: int = 0) -> None:
        self.rows: list[Any] = []
        self.calls = 0
        self.away = away

    async def insert(self, _table: Table[Any], records: Sequence[Any]) -> None:
        self.calls += 1
        if self.calls <= self.away:
            raise Unavailable("away")
        self.rows += records


def erased(number: str = NUMBER, at: datetime = AT) -> Erasures:
    return Erasures(TOKENS, [erasure_of_number(number, TOKENS, at)])


async def through(table: Table[Any], record: Any, erasures: Erasures) -> list[Any]:
    inserted = Inserted()
    await erasing(inserted.insert, erasures)(table, [record])
    return inserted.rows


async def test_without_erasures_the_rows_are_the_very_same() -> None:
    (row,) = await through(CDR, FACT, Erasures(TOKENS))
    assert row is FACT


async def test_a_record_and_a_call_are_inserted_without_the_number() -> None:
    (record,) = await through(CDR, FACT, erased())
    (call,) = await through(TIMELINES, CALL, erased())
    assert (record.from_number, record.quality_flags) == (None, (Flag.ERASED,))
    assert (call.to_number, call.quality_flags) == (None, (Flag.ERASED,))


async def test_a_batch_of_an_erased_account_alone_is_no_insert() -> None:
    inserted = Inserted()
    gone = Erasures(TOKENS, [Erasure(subject="account", account="red", at=AT)])
    await erasing(inserted.insert, gone)(TIMELINES, [CALL])
    assert inserted.calls == 0


async def test_an_erasure_that_comes_while_rows_wait_for_clickhouse_counts() -> None:
    inserted, erasures = Inserted(away=1), Erasures(TOKENS)
    insert = erasing(inserted.insert, erasures)
    with pytest.raises(Unavailable):
        await insert(CDR, [FACT])
    erasures.take(erasure_of_number(NUMBER, TOKENS, AT))
    await insert(CDR, [FACT])
    assert [row.from_number for row in inserted.rows] == [None]


BODY = b'{"caller": "013000001234", "cut'
LETTERS: dict[str, tuple[DeadLetter, bool]] = {
    "in its bytes": (letter(BODY), True),
    "in a form": (letter(b"caller=%31%33000001234&x=1"), True),
    "behind escapes of JSON": (letter(b'{"caller": "\\u0031\\u0033000001234"}'), True),
    "in UTF-16": (letter(BODY.decode().encode("utf-16")), True),
    "compressed": (letter(gzip.compress(BODY), headers={"content_encoding": "gzip"}), True),
    "compressed, and nobody says so": (letter(gzip.compress(BODY)), True),
    "in a header": (letter(b"x", headers={"kafka_key": "ytx|a|8613000001234"}), True),
    "another number": (letter(b'{"caller": "13900005678"'), False),
    "received later": (letter(BODY, occurred_at=AT + timedelta(seconds=1)), False),
}


@pytest.mark.parametrize(("one", "found"), LETTERS.values(), ids=LETTERS)
async def test_a_dead_letter_with_the_number_loses_its_bytes(one: DeadLetter, found: bool) -> None:  # noqa: FBT001 - a column
    (row,) = await through(DEAD_LETTERS, one, erased())

    if not found:
        assert row is one
        return
    assert row.original == b""
    assert "3000001234" not in str(row)
    assert row.detail == "not JSON (bytes erased)"
    assert (row.topic, row.offset, row.origin_hash) == (one.topic, one.offset, one.origin_hash)
