"""Comments: every table, view and column of a migrated database says what it is."""

from typing import Final

import pytest

from sinks.clickhouse import ClickHouse
from tests.oracle.views import named

FEWEST: Final = 700
"""Columns that there are at the least, so that the test cannot pass over an empty list."""


async def test_every_table_and_view_says_what_it_is(db: ClickHouse) -> None:
    rows = await db.query(f"SELECT name, comment FROM system.tables WHERE database = '{db.database}'")
    assert len(rows) > 35
    assert [name for name, comment in rows if len(comment) < 15] == []


async def test_every_column_says_what_it_is(db: ClickHouse) -> None:
    rows = await db.query(f"SELECT table, name, comment FROM system.columns WHERE database = '{db.database}'")
    assert len(rows) > FEWEST
    said_nothing = {"", *(name for _, name, _ in rows)}
    assert [(table, name) for table, name, comment in rows if comment in said_nothing] == []


async def test_a_view_with_parameters_says_in_its_comment_what_each_column_is(db: ClickHouse) -> None:
    """The engine knows the columns of such a view only when it is asked, so they have no comments of their own."""
    rows = await db.query(
        "SELECT name, create_table_query, comment FROM system.tables "
        f"WHERE database = '{db.database}' AND create_table_query LIKE '%{{from:%'"
    )
    assert len(rows) >= 1
    plain = {"vendor", "account", "account_id", "direction", "call_type"}
    for view, definition, comment in rows:
        described = await db.query(f"DESCRIBE TABLE {db.database}.{named(view, definition)}")
        assert [
            row[0] for row in described if row[0] not in {*plain, *comment.replace(":", " ").replace(",", " ").split()}
        ] == []


@pytest.mark.parametrize(
    ("one", "other"),
    [("v_cdr", "masked_cdr"), ("v_timelines", "masked_timelines"), ("v_cdr", "v_timelines"), ("cdr_by_slot", "v_cdr")],
    ids=str,
)
async def test_one_word_has_one_meaning_wherever_it_stands(db: ClickHouse, one: str, other: str) -> None:
    rows = await db.query(f"SELECT table, name, comment FROM system.columns WHERE database = '{db.database}'")
    said = {(table, name): comment for table, name, comment in rows}
    both = {name for table, name in said if table == one} & {name for table, name in said if table == other}
    assert len(both) > 30
    assert [name for name in sorted(both) if said[one, name] != said[other, name]] == []
