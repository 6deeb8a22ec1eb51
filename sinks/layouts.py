"""Turns the statements of a migration into those of a cluster with shards. Pure.

On shards every table, and every view that shows rows one by one, exists twice: `NAME_local` on each shard with its own
rows, and `NAME`, a Distributed table over all shards, which the sink and people use. All versions of a row, and all
rows of a call, have one shard, so that a shard's `FINAL` sees every version; conditions of a query reach the shards.
Views that group calls (`v_kpi_*`, `v_conferences` ...) exist once, and read what all shards have.

Servers of a cluster with a secret ask each other in the name of who asked first, also for a view with a definer
(https://github.com/ClickHouse/ClickHouse/issues/88009). Views that group calls therefore read views without restricted
columns, on which readers have the right.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from schemas.config.settings import ClickHouseSettings

_CALL: Final = "cityHash64(call_key)"
# Of the same text as before: the rows of a call stay on its shard.
_STORED_CALL: Final = (
    "cityHash64(if(key_other != '', key_other, concat(vendor, '|', key_account, '|', vendor_call_id)))"
)
SHARDING_KEYS: Final[Mapping[str, str]] = {
    "cdr_by_slot": _STORED_CALL,
    "call_events_by_slot": _STORED_CALL,
    "timelines_by_slot": _STORED_CALL,
    "bindings_by_slot": _CALL,
    "cdr_versions": _CALL,
    "call_events_versions": _CALL,
    "timelines_versions": _CALL,
    "bindings_versions": _CALL,
    # A dead letter has no call that anybody could read; all of one record are together.
    "dead_letters_versions": "cityHash64(topic, partition, offset)",
    # All entries of one element are together.
    "ledger": "cityHash64(raw_partition, raw_offset)",
}
"""Expression of each table that chooses a row's shard. It must never differ between two versions of a row."""
ROW_VIEWS: Final = (
    *("cdr", "call_events", "timelines", "bindings", "dead_letters"),
    *("v_cdr", "v_call_events", "v_timelines", "v_dead_letters", "v_conflicts", "v_bindings_rows", "v_other_parties"),
    *("v_ledger_entries", "v_ledger_ways"),
    *("masked_cdr", "masked_call_events", "masked_timelines", "masked_binding_rows", "masked_other_parties"),
)
"""Views of which each row comes from rows of one shard."""
_OPEN: Final[Mapping[str, str]] = {"cdr": "v_cdr", "bindings": "v_bindings_rows"}
"""Views with restricted columns, and those without that a view over all shards reads instead."""
_BINDINGS_ROWS: Final = """CREATE OR REPLACE VIEW {database}.v_bindings_rows_local ON CLUSTER {cluster}
SQL SECURITY DEFINER AS
SELECT * EXCEPT (from_raw, to_raw, display_raw, privacy_raw) FROM {database}.bindings_local
COMMENT 'Binding snapshots of this shard, without numbers as sent; v_bindings reads it'"""
_TARGET: Final = re.compile(r"(?:CREATE TABLE IF NOT EXISTS|CREATE OR REPLACE VIEW|ALTER TABLE) (\w+)\.(\w+)")
_PATH: Final = "'/clickhouse/tables/callweave/"


def for_shards(statements: Iterable[str], settings: ClickHouseSettings) -> list[str]:
    """Returns the statements of one migration, which were rendered for a replicated cluster, for its shards.

    A Distributed table is made anew behind the last of the statements that change what it shows.
    """
    done: list[str] = []
    changed = ""
    for statement in statements:
        name = _target(statement)
        if changed and name != changed:
            done += _over_all(changed, settings)
        changed = name if name in _SHARDED else ""
        rendered = _on_the_shard if changed else _of_all_shards
        done.append(rendered(statement, settings.database))
    return [*done, *(_over_all(changed, settings) if changed else ())]


_SHARDED: Final = frozenset((*SHARDING_KEYS, *ROW_VIEWS))


def _target(statement: str) -> str:
    found = _TARGET.match(statement)
    return found[2] if found else ""


def _on_the_shard(statement: str, database: str) -> str:
    """Returns the statement with the shard's own tables and views for those of all shards, and the shard's path."""
    names = re.compile(rf"\b{database}\.({'|'.join(map(re.escape, sorted(_SHARDED)))})\b")
    return names.sub(rf"{database}.\1_local", statement).replace(_PATH, f"{_PATH}{{shard}}/")


def _of_all_shards(statement: str, database: str) -> str:
    """Returns the statement of a view that groups calls, which reads only what its readers may read."""
    names = re.compile(rf"\bFROM {database}\.({'|'.join(_OPEN)})\b")
    return names.sub(lambda found: f"FROM {database}.{_OPEN[found[1]]}", statement)


def _over_all(name: str, settings: ClickHouseSettings) -> Iterator[str]:
    yield _distributed(name, settings)
    if name == "bindings":
        yield _BINDINGS_ROWS.format(database=settings.database, cluster=settings.cluster)
        yield _distributed("v_bindings_rows", settings)


def _distributed(name: str, settings: ClickHouseSettings) -> str:
    own = f"{settings.database}.{name}"
    key = f", {SHARDING_KEYS[name]}" if name in SHARDING_KEYS else ""
    return (
        f"CREATE OR REPLACE TABLE {own} ON CLUSTER {settings.cluster} AS {own}_local\n"
        f"ENGINE = Distributed({settings.cluster}, {settings.database}, {name}_local{key})\n"
        f"COMMENT '{name}_local of all shards'"
    )
