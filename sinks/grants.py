"""The rights that each account needs on a ClickHouse of one's own, as data and as SQL. Pure.

`callweave migrate --grants` prints them for the configured database, cluster and accounts. A test runs migrations,
inserts and queries with exactly these, and shows that each of them is needed.
"""

from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from schemas.config.settings import ClickHouseSettings

Role = Literal["writer", "migrator", "reader", "analyst"]
ROLES: Final[tuple[Role, ...]] = ("writer", "migrator", "reader", "analyst")


class Right(msgspec.Struct, frozen=True, kw_only=True):
    """One right of one account; `{database}` and `{migrator}` stand for the configured names."""

    role: Role
    what: str
    on: str
    when: Literal["always", "cluster", "one server", "shards", "no shards", "room"] = "always"
    """The servers that need it: a cluster, one server or Cloud, shards, or a disk with `clickhouse.min_free_mb`."""
    note: str = ""
    """Says to people when it can be left out."""


_VIEW: Final = "SHOW TABLES, SHOW COLUMNS, SELECT"
# Shards are asked in the name of who asks, and only for these columns of the view that charges are computed from.
_OF_RECORDS: Final = (
    *("vendor", "account", "account_id", "kind", "setup_at", "alerting_at", "answer_at", "end_at", "received_at"),
    *("`legs.setup_at`", "`legs.alerting_at`", "`legs.answer_at`", "`legs.end_at`", "billable_s", "cost", "currency"),
    *("is_final", "quality_flags"),
)


def _columns(names: Iterable[str]) -> str:
    return ", ".join(f"SELECT({name})" for name in names)


_FIGURES: Final = (
    *("v_kpi_5m*", "v_kpi_hour*", "v_kpi_day*"),
    *("v_charges_day", "v_prefixes", "v_reconciliations", "v_reconciled_records"),
)
_OF_ALL_ROWS: Final = (
    *("v_conferences", "v_causes", "v_concurrency", "v_vendor_quality", "v_vendor_flags", "v_silent_vendors"),
    *("v_ledger", "v_ledger_open", "v_push_pull", "v_kpi_redials"),
)
"""Views that compute figures from rows with numbers."""
WITHOUT_NUMBERS: Final = (*_FIGURES, *_OF_ALL_ROWS)
"""The views of figures, in which no phone number stands."""
_ENGINES: Final = "where table_engines_require_grant is on"
RIGHTS: Final = (
    Right(role="writer", what="SHOW TABLES, SELECT, INSERT", on="{database}.*"),
    Right(role="writer", what="SELECT", on="system.disks", when="room"),
    Right(role="migrator", what="SHOW TABLES, SHOW COLUMNS, SELECT, CREATE DATABASE", on="{database}.*"),
    Right(role="migrator", what="CREATE TABLE, CREATE VIEW, ALTER, DROP TABLE, DROP VIEW", on="{database}.*"),
    Right(role="migrator", what="SET DEFINER", on="{migrator}"),
    Right(role="migrator", what="TABLE ENGINE", on="ReplacingMergeTree", when="one server", note=_ENGINES),
    Right(role="migrator", what="TABLE ENGINE", on="ReplicatedReplacingMergeTree", when="cluster", note=_ENGINES),
    Right(role="migrator", what="CLUSTER", on="*.*", when="cluster"),
    Right(role="migrator", what="TABLE ENGINE", on="Distributed", when="shards", note=_ENGINES),
    Right(role="migrator", what="REMOTE", on="*.*", when="shards"),
    Right(role="reader", what="SHOW DATABASES", on="{database}.*"),
    Right(role="reader", what="SHOW TABLES, SHOW COLUMNS, SELECT", on="{database}.v_*"),
    # Shards are asked in the name of who asks, and v_kpi_*_detail read the masked form for everybody.
    Right(role="reader", what="SELECT", on="{database}.masked_timelines_local", when="shards"),
    Right(role="analyst", what="SHOW DATABASES", on="{database}.*"),
    *(Right(role="analyst", what=_VIEW, on=f"{{database}}.{view}") for view in ("masked_*", *_FIGURES)),
    # On shards these would need rights on rows that have the numbers.
    *(Right(role="analyst", what=_VIEW, on=f"{{database}}.{view}", when="no shards") for view in _OF_ALL_ROWS),
    Right(role="analyst", what=_columns(_OF_RECORDS), on="{database}.v_cdr_local", when="shards"),
)
READER_SETTINGS: Final = "readonly = 2, additional_table_filters CONST"
"""A reader changes no data; a filter on the table behind a view could find out restricted columns."""
_READS: Final[tuple[Role, ...]] = ("reader", "analyst")
_ON_SHARDS: Final = ", distributed_product_mode = 'global'"
"""Otherwise a join of two views over all shards is refused."""


def account(role: Role, settings: ClickHouseSettings) -> str:
    """Returns the configured name of an account; without a migrator the writer makes the tables, too."""
    names = {
        "writer": settings.user,
        "migrator": settings.migrator or settings.user,
        "reader": settings.reader,
        "analyst": settings.analyst,
    }
    return names[role]


def rights(settings: ClickHouseSettings) -> tuple[Right, ...]:
    """Returns the rights that are needed with these settings."""
    needed = {
        "always": True,
        "cluster": bool(settings.cluster),
        "one server": not settings.cluster,
        "shards": settings.sharded,
        "no shards": not settings.sharded,
        "room": settings.min_free_mb > 0,
    }
    return tuple(right for right in RIGHTS if needed[right.when])


def grant(right: Right, settings: ClickHouseSettings) -> str:
    """Returns the statement that gives one right."""
    on = right.on.format(database=settings.database, migrator=_quoted(account("migrator", settings)))
    return f"GRANT{_on_cluster(settings)} {right.what} ON {on} TO {_quoted(account(right.role, settings))}"


def document(settings: ClickHouseSettings) -> str:
    """Returns all statements as text to be run by an administrator; making the users is left in comments.

    Run as it is, it sets no password.
    """
    blocks = [_heading(settings)]
    for role in ROLES:
        user = _quoted(account(role, settings))
        lines = [f"-- CREATE USER IF NOT EXISTS {user}{_on_cluster(settings)} IDENTIFIED BY '...';"]
        if role in _READS:
            lines.append(
                f"ALTER USER {user}{_on_cluster(settings)} SETTINGS {READER_SETTINGS}{_ON_SHARDS * settings.sharded};"
            )
        for right in rights(settings):
            if right.role == role:
                note = f"  -- {right.note}" if right.note else ""
                lines.append(f"{grant(right, settings)};{note}")
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def _heading(settings: ClickHouseSettings) -> str:
    return f"CREATE DATABASE IF NOT EXISTS {settings.database}{_on_cluster(settings)};"


def _on_cluster(settings: ClickHouseSettings) -> str:
    return f" ON CLUSTER {settings.cluster}" if settings.cluster else ""


def _quoted(name: str) -> str:
    """Returns a name as SQL, in backticks where it is more than letters, digits and _."""
    if name.replace("_", "a").isascii() and name.replace("_", "a").isalnum() and not name[0].isdigit():
        return name
    escaped = name.replace("\\", "\\\\").replace("`", "\\`")
    return f"`{escaped}`"
