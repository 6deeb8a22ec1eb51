"""The accounts of the embedded ClickHouse, and the rights of each. Pure.

Grants list what is allowed, one by one: no source (`file`, `url`, `remote`, `s3` and so on), no table engine that
reaches beyond the store, no SYSTEM SHUTDOWN and no SYSTEM LISTEN for any account that can log in.
"""

import re
from enum import StrEnum
from typing import Final

import msgspec

from schemas.errors import SetupError
from sinks.grants import WITHOUT_NUMBERS

OWNER: Final = "callweave"
"""The account of the parts, where the settings name no other."""
MIGRATOR: Final = "callweave_migrator"
READER: Final = "callweave_reader"
ANALYST: Final = "callweave_analyst"
GUARD: Final = "callweave_guard"
"""The account of the disk guard; its password is made at each start and stays in the process."""
BUILT_IN: Final = "default"
"""The engine's own account, with which it opens its listeners; a client that uses it may only read."""
EVERY_DATABASE: Final = "*"
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
"""A user's name becomes the name of an element in the engine's configuration file."""
ENGINES: Final = (
    *("MergeTree", "ReplacingMergeTree", "SummingMergeTree", "AggregatingMergeTree", "CollapsingMergeTree"),
    *("VersionedCollapsingMergeTree", "Memory", "Null", "View", "MaterializedView"),
)
"""None of these reads or writes anything but the store."""


_METADATA: Final = (
    *("system.build_options", "system.clusters", "system.data_skipping_indices", "system.dictionaries"),
    *("system.parts", "information_schema.*", "INFORMATION_SCHEMA.*"),
)
"""Tables that BI tools query in addition to those that all may read; they show only what the account may see."""


class EngineRole(StrEnum):
    """The purpose of an account."""

    WRITER = "writer"
    """Inserts and reads: the sink, the doctor, the commands."""
    MIGRATOR = "migrator"
    """Makes and changes tables and views."""
    READER = "reader"
    """Reads the `v_` views, which have no restricted column: BI tools."""
    ANALYST = "analyst"
    """Reads the `masked_` views and the figures, in which no clear phone number stands."""


READING: Final = (EngineRole.READER, EngineRole.ANALYST)
"""The roles of people, who change nothing."""


_VIEWS: Final = {EngineRole.READER: ("v_*",), EngineRole.ANALYST: ("masked_*", *WITHOUT_NUMBERS)}


class EngineAccount(msgspec.Struct, frozen=True, kw_only=True):
    """One account that people or parts log in with."""

    name: str
    role: EngineRole


def accounts_for(user: str) -> tuple[EngineAccount, ...]:
    """Returns the accounts of an engine with `user` as the writer; raises SetupError for a bad name."""
    names = {
        EngineRole.WRITER: OWNER if user in ("", BUILT_IN) else user,
        EngineRole.MIGRATOR: MIGRATOR,
        EngineRole.READER: READER,
        EngineRole.ANALYST: ANALYST,
    }
    if names[EngineRole.WRITER] in (MIGRATOR, READER, ANALYST, GUARD) or not _NAME.fullmatch(names[EngineRole.WRITER]):
        raise SetupError(
            f"{user!r} cannot be the name of the parts at the embedded ClickHouse",
            code="user",
            advice=f"Set clickhouse.user to letters, digits, - and _, other than {MIGRATOR}, {READER}, {ANALYST} and {GUARD}.",
        )
    return tuple(EngineAccount(name=name, role=role) for role, name in names.items())


def grants(role: EngineRole, databases: str, *, sandboxed: bool) -> tuple[str, ...]:
    """Returns the rights of a role in `databases` (a name, or `*`), as GRANT statements without the receiver.

    An INSERT can name a file of the host as its source (`FROM INFILE`), which no grant forbids: without the sandbox
    only the writer may insert.
    """
    everything = "*.*" if databases == EVERY_DATABASE else f"`{databases}`.*"
    if role in READING:
        views = tuple(f"`{databases}`.{view}" for view in _VIEWS[role])
        if databases == EVERY_DATABASE:  # a right cannot name the views of all databases
            views = ("*.*",) if role is EngineRole.READER else ()
        return (
            f"SHOW DATABASES ON {everything}",
            *(f"SHOW TABLES, SHOW COLUMNS, SELECT ON {view}" for view in views),
            *(f"SELECT ON {name}" for name in _METADATA),
        )
    temporary = ("CREATE TEMPORARY TABLE ON *.*", "TABLE ENGINE ON Memory")
    if role is EngineRole.WRITER:
        return (
            f"SHOW DATABASES, SHOW TABLES, SHOW COLUMNS, SELECT, INSERT ON {everything}",
            "SELECT ON system.disks",
            *(f"SELECT ON {name}" for name in _METADATA),
            *temporary,
        )
    insert = "INSERT, " if sandboxed else ""
    return (
        f"{insert}SHOW, SELECT, CREATE DATABASE, CREATE TABLE, CREATE VIEW, ALTER, DROP, TRUNCATE, OPTIMIZE, CHECK ON {everything}",
        *(f"TABLE ENGINE ON {engine}" for engine in ENGINES),
        "SELECT, SHOW ON system.*",
        *(f"SELECT ON {name}" for name in _METADATA),
        "CREATE TEMPORARY TABLE, KILL QUERY ON *.*",
        "SYSTEM FLUSH LOGS, SYSTEM MERGES, SYSTEM TTL MERGES, SYSTEM DROP CACHE, SYSTEM VIEWS ON *.*",
        # So that a view reads with the rights of the account that made it, and its readers need none on the tables.
        f"SET DEFINER ON {MIGRATOR}",
    )
