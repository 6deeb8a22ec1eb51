"""Superset as a process beside the running stack: started, awaited with its steps told, and stopped with its parent."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import msgspec

from deploy.bi.environment import SUPERSET, Step, python_of
from deploy.clickhouse.passwords import FILE
from deploy.process.child import Child, spawn
from deploy.process.ports import require_free
from deploy.runtime import clickhouse_dir
from schemas.config.secret import Secret
from schemas.config.settings import Settings
from schemas.errors import SetupError

_LOOK_EVERY_S: Final = 0.2
_STOP_S: Final = 15.0
_LAST_LINES: Final = 8


class Superset(msgspec.Struct, frozen=True, kw_only=True):
    """A Superset that answers, and who may log in."""

    url: str
    user: str
    password: Secret
    child: Child


@contextlib.asynccontextmanager
async def running_superset(
    settings: Settings, home: Path, state: Path, port: int, step: Step
) -> AsyncIterator[Superset]:
    """Yields a Superset that has all dashboards; raises SetupError with what to do.

    `home` has its environment, `state` its own database, which later starts use again.
    """
    passwords = clickhouse_dir(settings.embedded) / FILE
    _require_embedded(settings, passwords)
    require_free(port, what="Superset", setting="--port")
    _prepare(state)
    child = await spawn(
        (
            *(str(python_of(home)), str(SUPERSET / "serve.py"), "--home", str(state)),
            *("--address", f"127.0.0.1:{port}", "--clickhouse", f"127.0.0.1:{settings.embedded.clickhouse_port}"),
            *("--password-file", str(passwords)),
        ),
        output=state / "superset.log",
    )
    try:
        user, password = await _until_ready(child, state, step)
        yield Superset(url=f"http://127.0.0.1:{port}", user=user, password=Secret(password), child=child)
    finally:
        await child.stop(grace_s=_STOP_S)
        _told(state).unlink(missing_ok=True)


def _require_embedded(settings: Settings, passwords: Path) -> None:
    if settings.clickhouse.url or not passwords.exists():
        raise SetupError(
            "no embedded ClickHouse is here to be shown",
            code="external",
            advice="Start `callweave up` first, in this folder. For a ClickHouse of your own, deploy/superset/README.md says how "
            "your own Superset imports the dashboards.",
        )


def _told(state: Path) -> Path:
    """Returns the file in which Superset says what it does."""
    return state / "progress"


def _prepare(state: Path) -> None:
    """Makes the folder and, once, the key of Superset's sessions: with another one, nobody would stay logged in."""
    state.mkdir(parents=True, exist_ok=True)
    _told(state).unlink(missing_ok=True)
    key = state / "secret-key"
    if not key.exists():
        key.touch(mode=0o600)
        key.write_text(secrets.token_hex(32), "utf-8")


async def _until_ready(child: Child, state: Path, step: Step) -> tuple[str, str]:
    """Passes on what it says, until it answers; returns who may log in."""
    seen = 0
    login = ("", "")
    while True:
        lines = _lines(_told(state))
        for line in lines[seen:]:
            what, _, rest = line.partition(": ")
            if what == "step":
                step(rest)
            elif what == "login":
                user, _, password = rest.partition(" ")
                login = (user, password)
            elif what == "ready":
                return login
        seen = len(lines)
        if child.returncode is not None:
            log = state / "superset.log"
            last = "\n  ".join(_lines(log)[-_LAST_LINES:])
            raise SetupError(
                f"Superset ended with {child.returncode}:\n  {last}", code="superset", advice=f"All of it: {log}"
            )
        await asyncio.sleep(_LOOK_EVERY_S)


def _lines(file: Path) -> list[str]:
    return file.read_text("utf-8", errors="replace").splitlines() if file.exists() else []
