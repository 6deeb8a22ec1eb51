"""The statements that set how long columns are kept: differences alone, and every column with a number or a body."""

import re
from typing import Final

import pytest

from schemas.config.privacy import PrivacySettings
from sinks.retention import EXPIRING, changes, days_found
from sinks.rows import CDR, TABLES

ALL: Final = PrivacySettings(clear_number_days=30, address_days=10, body_days=7)


def tables(**ttl: str) -> dict[str, str]:
    """Returns the CREATE statements of all tables, with a TTL in the columns of records that are named."""
    columns = ", ".join(f"`{column.name}` {column.type}{ttl.get(column.name, '')}" for column in CDR.columns)
    return {table.name: f"CREATE TABLE calls.{table.name} ({columns if table is CDR else ''})" for table in TABLES}


def test_without_days_nothing_is_changed() -> None:
    assert changes(tables(), PrivacySettings()) == {}


def test_only_known_tables_are_changed() -> None:
    assert changes({}, ALL) == {}
    assert set(changes(tables(), ALL)) == {table.name for table in TABLES}


def after(days: int, clock: str = "received_at") -> str:
    return f" TTL toDateTime({clock}) + toIntervalDay({days})"


CASES: Final = {
    "clear numbers": (PrivacySettings(clear_number_days=30), "from_number", after(30)),
    "numbers as sent, with their clear ones": (PrivacySettings(clear_number_days=30), "from_raw", after(30)),
    "numbers as sent, before their clear ones": (ALL, "from_raw", after(10)),
    "numbers as sent, when clear ones go first": (
        PrivacySettings(clear_number_days=5, address_days=10), "from_raw", after(5),
    ),
    "undocumented fields": (PrivacySettings(address_days=10), "extras", after(10)),
    "addresses": (ALL, "recording_url", after(10)),
}  # fmt: skip


@pytest.mark.parametrize(("privacy", "column", "ttl"), CASES.values(), ids=CASES)
def test_the_days_of_a_column(privacy: PrivacySettings, column: str, ttl: str) -> None:
    assert f"MODIFY COLUMN `{column}`{ttl}" in changes(tables(), privacy)[CDR.name]


@pytest.mark.parametrize(
    ("privacy", "column"),
    [(PrivacySettings(clear_number_days=30), "recording_url"), (PrivacySettings(address_days=10), "from_number")],
    ids=["addresses beside clear numbers", "clear numbers beside addresses"],
)
def test_other_columns_stay(privacy: PrivacySettings, column: str) -> None:
    assert f"`{column}`" not in changes(tables(), privacy)[CDR.name]


def test_the_fact_that_a_call_was_answered_never_expires() -> None:
    expiring = {(each.table, column) for each in EXPIRING for column in each.columns}
    kept = {(table.name, column.name) for table in TABLES for column in table.columns} - expiring
    restricted = re.compile(r"(_raw|_url|^original|^headers|^extras|^leg)$")
    numbers = {
        (table.name, column.name)
        for table in TABLES
        for column in table.columns
        if "Nullable(String)" in column.type or restricted.search(column.name)
    }

    assert numbers == expiring
    assert {(CDR.name, "answer_at"), (CDR.name, "from_token"), (CDR.name, "from_masked")} <= kept


def test_what_is_as_wanted_is_not_said_again() -> None:
    found = tables(recording_url=after(10), extras=after(10))
    statement = changes(found, PrivacySettings(address_days=10))[CDR.name]

    assert "recording_url" not in statement
    assert "extras" not in statement
    assert "from_raw" in statement


def test_other_days_replace_the_days_of_before_and_none_remove_them() -> None:
    found = tables(recording_url=after(10))

    assert changes(found, PrivacySettings(address_days=11))[CDR.name].count(f"`recording_url`{after(11)}") == 1
    assert changes(found, PrivacySettings()) == {
        CDR.name: "ALTER TABLE {{database}}.cdr_by_slot {{on_cluster}}\n    MODIFY COLUMN `recording_url` REMOVE TTL"
    }


OTHER_TTL: Final = {
    "another clock": after(10, "ingested_at"),
    "another unit": " TTL toDateTime(received_at) + toIntervalMonth(10)",
    "in a comment": f" COMMENT 'said\\' to be `x`{after(10)}'",
    "of the next column": f", `custom` String{after(10)}",
}


@pytest.mark.parametrize("ttl", OTHER_TTL.values(), ids=OTHER_TTL)
def test_another_ttl_is_not_ours(ttl: str) -> None:
    """Nobody's own TTL is removed because the settings say nothing."""
    assert changes(tables(recording_url=ttl), PrivacySettings()) == {}


def test_a_column_with_codec_and_comment_is_recognised() -> None:
    found = tables(recording_url=f" COMMENT 'restricted: whoever has it, can listen' CODEC(ZSTD(3)){after(9)}")
    (expiring,) = (each for each in EXPIRING if each.columns == ("recording_url",) and each.table == CDR.name)

    assert days_found(found[CDR.name], expiring) == {"recording_url": 9}


def test_emptied_arrays_keep_the_length_of_their_siblings() -> None:
    statement = changes(tables(), ALL)[CDR.name]

    assert (
        "`legs.own_number` DEFAULT arrayResize(CAST([], 'Array(Nullable(String))'), length(`legs.role`))" + after(30)
    ) in statement
    assert (
        "`contents.to_number` DEFAULT arrayResize(CAST([], 'Array(Nullable(String))'), length(`contents.digest`))"
        in statement
    )
