"""The accounts of the embedded ClickHouse and their rights."""

import pytest

from deploy.clickhouse.accounts import (
    ANALYST,
    EVERY_DATABASE,
    GUARD,
    MIGRATOR,
    OWNER,
    READER,
    EngineRole,
    accounts_for,
    grants,
)
from schemas.errors import SetupError

NAMES = [
    pytest.param("", OWNER, id="nobody named"),
    pytest.param("default", OWNER, id="the engine's own name"),
    pytest.param("callweave", OWNER, id="the usual one"),
    pytest.param("team-1_a", "team-1_a", id="another one"),
    pytest.param("Default", "Default", id="like the engine's own"),
]


@pytest.mark.parametrize(("user", "writer"), NAMES)
def test_the_parts_are_called_as_the_settings_say(user: str, writer: str) -> None:
    assert {account.role: account.name for account in accounts_for(user)} == {
        EngineRole.WRITER: writer,
        EngineRole.MIGRATOR: MIGRATOR,
        EngineRole.READER: READER,
        EngineRole.ANALYST: ANALYST,
    }


@pytest.mark.parametrize(
    "name", [MIGRATOR, READER, ANALYST, GUARD, "1st", "-a", "a b", "a.b", "a<b", "a/b", "ü", "a\n", "'", "a:b"]
)
def test_a_name_that_cannot_be_one_is_refused(name: str) -> None:
    with pytest.raises(SetupError, match="cannot be the name") as caught:
        accounts_for(name)

    assert caught.value.code == "user"


def rights(role: EngineRole, databases: str, *, sandboxed: bool = True) -> set[tuple[str, str]]:
    """Returns each right with its object."""
    found = set()
    for grant in grants(role, databases, sandboxed=sandboxed):
        names, _, place = grant.rpartition(" ON ")
        found |= {(name, place) for name in names.split(", ")}
    return found


METADATA = {
    *(
        ("SELECT", f"system.{name}")
        for name in ("build_options", "clusters", "data_skipping_indices", "dictionaries", "parts")
    ),
    *(("SELECT", f"{database}.*") for database in ("information_schema", "INFORMATION_SCHEMA")),
}
READS = {("SHOW DATABASES", "`calls`.*"), ("SHOW TABLES", "`calls`.v_*"), ("SHOW COLUMNS", "`calls`.v_*")}
ALLOWED = {
    EngineRole.READER: READS | {("SELECT", "`calls`.v_*")},
    EngineRole.ANALYST: {
        ("SHOW DATABASES", "`calls`.*"),
        *(
            (name, f"`calls`.{view}")
            for name in ("SHOW TABLES", "SHOW COLUMNS", "SELECT")
            for view in (
                *(
                    "masked_*",
                    "v_kpi_5m*",
                    "v_kpi_hour*",
                    "v_kpi_day*",
                    "v_kpi_redials",
                    "v_charges_day",
                    "v_prefixes",
                    "v_reconciliations",
                    "v_reconciled_records",
                    "v_conferences",
                    "v_causes",
                    "v_concurrency",
                ),
                *("v_vendor_quality", "v_vendor_flags", "v_silent_vendors", "v_ledger", "v_ledger_open", "v_push_pull"),
            )
        ),
    },
    EngineRole.WRITER: {
        *((name, "`calls`.*") for name in ("SHOW DATABASES", "SHOW TABLES", "SHOW COLUMNS", "SELECT", "INSERT")),
        ("SELECT", "system.disks"),
        ("CREATE TEMPORARY TABLE", "*.*"),
        ("TABLE ENGINE", "Memory"),
    },
}


@pytest.mark.parametrize("role", ALLOWED)
@pytest.mark.parametrize("sandboxed", [True, False], ids=["in the sandbox", "without one"])
def test_readers_and_writers_may_do_this_and_nothing_else(role: EngineRole, *, sandboxed: bool) -> None:
    assert rights(role, "calls", sandboxed=sandboxed) == ALLOWED[role] | METADATA


def test_where_all_databases_are_open_the_analyst_sees_none() -> None:
    """A right cannot name the masked views of every database."""
    assert rights(EngineRole.ANALYST, EVERY_DATABASE) == {("SHOW DATABASES", "*.*")} | METADATA


@pytest.mark.parametrize("databases", ["calls", EVERY_DATABASE])
def test_the_migrator_may_insert_in_the_sandbox_alone(databases: str) -> None:
    """Without a sandbox an INSERT could read a file of the host as its source."""
    inside = rights(EngineRole.MIGRATOR, databases, sandboxed=True)
    outside = rights(EngineRole.MIGRATOR, databases, sandboxed=False)
    place = "`calls`.*" if databases == "calls" else "*.*"

    assert inside - outside == {("INSERT", place)}
    assert outside <= inside


ENDS_OR_REACHES_OUTSIDE = (
    *("ALL", "SYSTEM", "SHUTDOWN", "LISTEN", "SOURCES", "FILE", "URL", "REMOTE", "S3", "READ", "WRITE", "BACKUP"),
    *("DICTIONARY", "NAMED COLLECTION", "FUNCTION", "ACCESS MANAGEMENT", "INTROSPECTION", "CLUSTER", "ROLE"),
)
NAMED_SYSTEM_RIGHTS = {"FLUSH LOGS", "MERGES", "TTL MERGES", "DROP CACHE", "VIEWS"}


@pytest.mark.parametrize("role", EngineRole)
@pytest.mark.parametrize("databases", ["calls", EVERY_DATABASE])
def test_nobody_may_end_the_engine_or_reach_outside(role: EngineRole, databases: str) -> None:
    for name, place in rights(role, databases):
        system = name.removeprefix("SYSTEM ")
        if system != name:
            assert system in NAMED_SYSTEM_RIGHTS
        elif name == "TABLE ENGINE":
            assert place.endswith("MergeTree") or place in {"Memory", "Null", "View", "MaterializedView"}
        else:
            assert not any(word in name for word in ENDS_OR_REACHES_OUTSIDE), name


@pytest.mark.parametrize("role", EngineRole)
def test_one_database_is_all_that_an_account_of_it_sees(role: EngineRole) -> None:
    """The engine's own tables and rights without a database are excepted."""
    own = ("`calls`.", "system.", "information_schema.", "INFORMATION_SCHEMA.")
    elsewhere = {
        (name, place)
        for name, place in rights(role, "calls")
        if not place.startswith(own) and name not in {"TABLE ENGINE", "SET DEFINER"}
    }

    assert {name.split()[0] for name, _ in elsewhere} <= {"CREATE", "KILL", "SYSTEM"}
    assert ("CREATE DATABASE", "*.*") not in elsewhere
