"""Runs the `callweave` command as a process, with its settings in the environment."""

import asyncio
import os
import sys
from pathlib import Path

import msgspec

from deploy.local.stack import Stack
from schemas.config.settings import ClickHouseSettings

_LIMIT_S = 60.0


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a command."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        """The text that it printed."""
        return self.out.decode()

    @property
    def lines(self) -> list[str]:
        """The lines that it printed."""
        return self.text.splitlines()


def clean_env(**settings: object) -> dict[str, str]:
    """Returns the environment without the settings in it, and with these: `kafka__bootstrap="..."`."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CALLWEAVE_")}
    return {**inherited, **{f"CALLWEAVE_{name.upper()}": str(value) for name, value in settings.items()}}


def addresses(stack: Stack) -> dict[str, object]:
    """Returns the settings that point a command at a running stack."""
    return {
        "kafka__bootstrap": stack.settings.kafka.bootstrap,
        "kafka__partitions": stack.settings.kafka.partitions,
        **clickhouse_env(stack.settings.clickhouse),
        "ingress__port": stack.settings.ingress.port,
    }


def clickhouse_env(clickhouse: ClickHouseSettings) -> dict[str, object]:
    """Returns the settings that point a command at a ClickHouse."""
    return {
        "clickhouse__url": clickhouse.url,
        "clickhouse__user": clickhouse.user,
        "clickhouse__password": clickhouse.password.value,
        "clickhouse__migrator": clickhouse.migrator,
        "clickhouse__migrator_password": clickhouse.migrator_password.value,
        "clickhouse__database": clickhouse.database,
    }


async def callweave(*arguments: str, cwd: Path, settings: dict[str, object] | None = None) -> Done:
    """Runs the command to its end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deploy.cli.main", *arguments),
        cwd=cwd,
        env={**clean_env(**(settings or {})), "PYTHONPATH": str(Path(__file__).parents[2])},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), _LIMIT_S)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    assert process.returncode is not None
    return Done(code=process.returncode, out=out, err=err.decode())
