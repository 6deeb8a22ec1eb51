"""The statements of a migration on a cluster with shards."""

import pytest

from schemas.config.settings import ClickHouseSettings
from sinks.layouts import ROW_VIEWS, SHARDING_KEYS
from sinks.migrate import migrations, statements
from sinks.moving.moved_columns import MOVED
from sinks.rows import TABLES
from sinks.writing.ledger import LEDGER

SHARDED = ClickHouseSettings(database="d", cluster="main", sharded=True)
REPLICATED = ClickHouseSettings(database="d", cluster="main")


def on_shards(template: str) -> list[str]:
    return [" ".join(one.split()) for one in statements(template, SHARDED)]


def test_a_table_is_made_on_each_shard_and_over_all() -> None:
    table = (
        "CREATE TABLE IF NOT EXISTS {{database}}.bindings_by_slot {{on_cluster}}\n(a Int8)\nENGINE = {{replacing}};\n"
    )
    assert on_shards(table) == [
        (
            "CREATE TABLE IF NOT EXISTS d.bindings_by_slot_local ON CLUSTER main (a Int8) ENGINE = ReplicatedReplacingMergeTree("
            "'/clickhouse/tables/callweave/{shard}/{database}/{table}', '{replica}', version)"
        ),
        (
            "CREATE OR REPLACE TABLE d.bindings_by_slot ON CLUSTER main AS d.bindings_by_slot_local ENGINE = Distributed("
            "main, d, bindings_by_slot_local, cityHash64(call_key)) COMMENT 'bindings_by_slot_local of all shards'"
        ),
    ]


def test_what_changes_a_table_changes_each_shards_and_then_the_one_over_all_once() -> None:
    change = "ALTER TABLE {{database}}.dead_letters_versions {{on_cluster}} ADD COLUMN a Int8;\n"
    first, second, over_all = on_shards(change * 2)
    assert first == second == "ALTER TABLE d.dead_letters_versions_local ON CLUSTER main ADD COLUMN a Int8"
    assert over_all.startswith(
        "CREATE OR REPLACE TABLE d.dead_letters_versions ON CLUSTER main AS d.dead_letters_versions_local"
    )
    assert "cityHash64(topic, partition, offset)" in over_all


def test_a_view_of_rows_reads_its_own_shard() -> None:
    view = "CREATE OR REPLACE VIEW {{database}}.v_cdr {{on_cluster}} AS\nSELECT * FROM {{database}}.cdr;\n"
    own, over_all = on_shards(view)
    assert own == "CREATE OR REPLACE VIEW d.v_cdr_local ON CLUSTER main AS SELECT * FROM d.cdr_local"
    assert "ENGINE = Distributed(main, d, v_cdr_local) COMMENT" in over_all


def test_a_view_that_groups_calls_reads_all_shards_without_restricted_columns() -> None:
    view = (
        "CREATE OR REPLACE VIEW {{database}}.v_bindings {{on_cluster}} AS\nSELECT 1 FROM {{database}}.bindings\n"
        "UNION ALL SELECT 2 FROM {{database}}.cdr;\n"
    )
    assert on_shards(view) == [
        (
            "CREATE OR REPLACE VIEW d.v_bindings ON CLUSTER main AS SELECT 1 FROM d.v_bindings_rows "
            "UNION ALL SELECT 2 FROM d.v_cdr"
        )
    ]


def test_every_table_has_a_sharding_key() -> None:
    assert set(SHARDING_KEYS) == {table.name for table in (*TABLES, LEDGER)} | {moved.old for moved in MOVED}


@pytest.mark.parametrize("migration", migrations(), ids=lambda migration: migration.name)
def test_nothing_on_a_shard_reads_all_shards_and_nothing_over_all_reads_one(migration: object) -> None:
    """Otherwise each shard would count the rows of all, or a view would miss those of the others."""
    over_all = {f"d.{name}" for name in (*SHARDING_KEYS, *ROW_VIEWS)}
    of_a_shard = {f"{name}_local" for name in over_all}  # a figure by local time is called v_..._local, too
    for one in on_shards(migration.template):  # type: ignore[attr-defined]
        words = set(one.replace("(", " ").replace(")", " ").split())
        target = one.partition(" ON CLUSTER")[0].split()[-1]
        if one.startswith("CREATE OR REPLACE TABLE"):
            assert words & over_all == {target}
            assert f"{target}_local" in words
        elif target in of_a_shard:
            assert words & over_all == set()
        else:
            assert not words & of_a_shard
            assert not words & {"d.cdr", "d.bindings", "d.timelines", "d.call_events", "d.dead_letters"}


def test_without_shards_nothing_is_distributed() -> None:
    found = [one for migration in migrations() for one in statements(migration.template, REPLICATED)]
    made = [one for one in found if not one.startswith("DROP TABLE IF EXISTS")]
    words = ("Distributed", "{shard}", *(f".{name}_local" for name in (*SHARDING_KEYS, *ROW_VIEWS)))
    assert not [one for one in made if any(word in one for word in words)]
