"""A migrated database of their own for the tests of reconciliations, and what runs one."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from deploy.reconcile.plan import FileChoice, planned
from deploy.reconcile.run import Choice, Reconciled, reconciled
from schemas.config.settings import Account, Settings
from sinks.clickhouse import ClickHouse
from sinks.rows import CDR
from tests.contract.reconcile.carrier import ACCOUNT
from tests.support.clickhouse_at import settings_at
from tests.support.processes.made_tables import make_in

Reconcile = Callable[..., Awaitable[Reconciled]]


@pytest.fixture(scope="session")
async def made(clickhouse_url: str) -> AsyncIterator[tuple[Settings, ClickHouse]]:
    settings = Settings(clickhouse=settings_at(clickhouse_url, database=f"calls_{uuid.uuid4().hex[:12]}"))
    async with ClickHouse(settings.clickhouse) as client:
        await make_in(client, settings)
        yield settings, client
        await client.command(f"DROP DATABASE {client.database}")


@pytest.fixture
async def db(made: tuple[Settings, ClickHouse]) -> ClickHouse:
    client = made[1]
    for table in (CDR.name, "reconciliations", "reconciled_records"):
        await client.command(f"TRUNCATE TABLE {client.database}.{table}")
    return client


@pytest.fixture
def reconcile(made: tuple[Settings, ClickHouse], db: ClickHouse, tmp_path: Path) -> Reconcile:
    """Returns what compares the bytes of a file with the records in the database."""

    async def run(
        content: bytes,
        *,
        now: datetime | None = None,
        vendor: str = "ytx",
        account: str = ACCOUNT,
        file: Any = None,
        accounts: tuple[Account, ...] = (),
        **more: Any,
    ) -> Reconciled:
        path = tmp_path / "carrier.file"
        if not path.exists() or path.read_bytes() != content:
            path.write_bytes(content)
        choice = FileChoice(path=path, vendor=vendor, account=account, **(file or {}))
        plan = planned(choice, lambda *_: lambda _: None)
        settings = replace(made[0], accounts=accounts)
        return await reconciled(settings, plan, Choice(**more), lambda *_: lambda _: None, now)

    return run
