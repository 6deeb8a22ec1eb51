"""Runs the `callweave` command as a process, with its settings in the environment."""

import asyncio
import os
from pathlib import Path
from tempfile import TemporaryFile
from typing import TypeVar

import msgspec

from deploy.local.stack import Stack
from schemas.config.secret import read_secret, written
from schemas.config.settings import ClickHouseSettings
from tests.support.processes.warm_command import warm

T = TypeVar("T")
_LIMIT_S = 180.0


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


def encoded(order: msgspec.Struct) -> bytes:
    """Returns settings, or an order with settings in it, as JSON for a process of the tests: with its secrets."""
    return msgspec.json.encode(order, enc_hook=written)


def decoded(text: str | bytes, kind: type[T]) -> T:
    """Returns what `encoded` was given."""
    return msgspec.json.decode(text, type=kind, dec_hook=lambda _, given: read_secret(given, os.environ))


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


async def callweave(
    *arguments: str, cwd: Path, settings: dict[str, object] | None = None, stdin: bytes = b"", limit_s: float = _LIMIT_S
) -> Done:
    """Runs the command to its end, with `stdin` as its standard input."""
    environment = {**clean_env(**(settings or {})), "PYTHONPATH": str(Path(__file__).parents[2])}
    with TemporaryFile() as given, TemporaryFile() as out, TemporaryFile() as err:
        given.write(stdin)
        given.seek(0)
        files = (given.fileno(), out.fileno(), err.fileno())
        running = warm().run(arguments, cwd=cwd, environment=environment, files=files)
        code = await asyncio.wait_for(running, limit_s)
        out.seek(0)
        err.seek(0)
        return Done(code=code, out=out.read(), err=err.read().decode())
