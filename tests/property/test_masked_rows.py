"""The rows of many calls of every vendor, as the analyst sees them: the same rows, with no clear number in them."""

import json
import random
import re
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec
import pytest

from schemas.privacy.masks import masked
from schemas.privacy.tokens import NumberTokens
from sinks.clickhouse import ClickHouse
from sinks.retention import EXPIRING
from tests.oracle.figures import rolled
from tests.property.real_rows.engine import ask, put, tables
from tests.property.real_rows.extremes import bare
from tests.property.real_rows.way import Way
from tests.property.test_differential import history, interleaved

MASKED: Final = (
    *("masked_binding_rows", "masked_bindings", "masked_call_events", "masked_cdr", "masked_timelines"),
    "masked_other_parties",
)
FIGURES: Final = (
    *("v_charges_day", "v_conferences", "v_kpi_5m", "v_kpi_day", "v_kpi_hour", "v_causes", "v_vendor_quality"),
    "v_vendor_flags",
)
WITH_PARAMETERS: Final = ("v_concurrency(from = '2000-01-01 00:00:00', to = '2100-01-01 00:00:00')",)
CALLS: Final = 300
TOKENS: Final = NumberTokens("3f6c1a0b9d8e7f5a4c2b1d0e9f8a7b6c")
_DIGITS: Final = re.compile(r"\d{7,}")
"""Digits of clear numbers that are long enough for not being found by chance in an id."""


class Masked(msgspec.Struct, kw_only=True):
    """A filled database, and what must not be seen of it."""

    db: ClickHouse
    numbers: frozenset[str]
    """The digits of every clear number, and of every number as it was sent."""


@pytest.fixture(scope="module")
async def filled(clickhouse_url: str) -> AsyncIterator[Masked]:
    rng, way = random.Random("masked"), Way()
    histories = [history(number, rng, "binding" if number % 5 == 0 else "")[:3] for number in range(CALLS)]
    for sent in interleaved(histories, rng):
        way.push(sent.call, sent.kind, bare(sent.kind.body(*sent.elements)), sent.received_at)
    way.join_all()
    async with tables(clickhouse_url, TOKENS) as db:
        assert await put(db, way.normalized, way.timelines, random.Random(1)) == []
        assert await rolled(db) > 0
        yield Masked(db=db, numbers=frozenset(await _clear(db)))


async def _clear(db: ClickHouse) -> set[str]:
    """Returns the digits of what stands in the columns that expire, but for addresses and undocumented fields."""
    found: set[str] = set()
    for each in EXPIRING:
        for column in each.columns:
            if column.endswith(("number", "raw")) or column == "leg":
                for (value,) in await ask(db, f"SELECT DISTINCT `{column}` FROM {{db}}.{each.table}"):
                    for number in value if isinstance(value, list) else [value]:
                        found |= set(_DIGITS.findall(number or ""))
    return found


async def test_no_clear_number_stands_in_a_masked_view_or_a_figure(filled: Masked) -> None:
    assert len(filled.numbers) > 10
    for view in (*MASKED, *FIGURES, *WITH_PARAMETERS):
        rows = await ask(filled.db, f"SELECT * FROM {{db}}.{view}")
        assert rows, view
        shown = json.dumps(rows, default=str)
        runs = set(_DIGITS.findall(shown))
        assert {run for run in runs if any(number in run for number in filled.numbers)} == set(), view


FORBIDDEN: Final = re.compile(r"(number|_raw|url|extras|^leg|agent_name|record_id|sha256|digest|original|headers)$")


async def test_masked_views_have_no_column_that_could_hold_one(filled: Masked) -> None:
    """`record_id` and `raw_sha256` hash numbers without a key: four hidden digits could be tried in no time."""
    columns = await ask(filled.db, "SELECT table, name FROM system.columns WHERE database = '{db}'")
    seen = [(table, name) for table, name in columns if table in (*MASKED, *FIGURES)]

    assert {table for table, _ in seen} == {*MASKED, *FIGURES}
    assert [one for one in seen if FORBIDDEN.search(one[1])] == []


JOINS: Final = {
    "records": ("v_cdr", "masked_cdr", "raw_topic, raw_partition, raw_offset, raw_element, version"),
    "calls": ("v_timelines", "masked_timelines", "timeline_id"),
    "events": ("v_call_events", "masked_call_events", "raw_topic, raw_partition, raw_offset, raw_element, version"),
    "bindings": ("v_bindings", "masked_bindings", "vendor, account, account_id, binding_id"),
}


@pytest.mark.parametrize(("clear", "view", "key"), JOINS.values(), ids=JOINS)
async def test_a_masked_view_shows_the_same_rows(filled: Masked, clear: str, view: str, key: str) -> None:
    """With the token and the masked form of the number that the other view shows."""
    party = "leg" if "events" in clear else "from"
    columns = f"{key}, {party}_token, {party}_masked"
    rows = await ask(filled.db, f"SELECT account, {party}_number, {columns} FROM {{db}}.{clear} ORDER BY {key}")
    shown = await ask(filled.db, f"SELECT {columns} FROM {{db}}.{view} ORDER BY {key}")

    assert [row[2:] for row in rows] == shown
    assert any(row[1] for row in rows)
    assert [row[-2:] for row in rows] == [(TOKENS.of(row[0], row[1]), masked(row[1])) for row in rows]


async def test_calls_of_one_number_are_joined_by_its_token(filled: Masked) -> None:
    by_number = "SELECT count() FROM {db}.v_cdr a JOIN {db}.v_timelines b ON a.from_number = b.from_number AND a.account = b.account"
    by_token = "SELECT count() FROM {db}.masked_cdr a JOIN {db}.masked_timelines b ON a.from_token = b.from_token WHERE a.from_token != ''"
    ((numbers,),), ((tokens,),) = await ask(filled.db, by_number), await ask(filled.db, by_token)

    assert numbers == tokens > 0


@pytest.mark.parametrize("table", ["cdr_by_slot", "call_events_by_slot", "timelines_by_slot"])
async def test_a_token_is_looked_up_by_an_index(filled: Masked, table: str) -> None:
    plan: list[tuple[Any, ...]] = await ask(
        filled.db, f"EXPLAIN indexes = 1 SELECT count() FROM {{db}}.{table} WHERE from_token = 'f'"
    )

    assert "ix_from_token" in json.dumps(plan)
