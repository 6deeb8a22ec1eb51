"""Superset as a process beside the running stack: started, awaited with its steps told, and stopped with its parent."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path
from typing import Final

import aiohttp
import msgspec

from deploy.bi.environment import SUPERSET, Step, python_of
from deploy.clickhouse import passwords
from deploy.clickhouse.accounts import ANALYST
from deploy.process.child import Child, spawn
from deploy.runtime import clickhouse_dir
from schemas.config.secret import Secret
from schemas.config.settings import Settings
from schemas.errors import SetupError

LOG: Final = "superset.log"
_LOOK_EVERY_S: Final = 0.2
_STOP_S: Final = 5.0
_LAST_LINES: Final = 8
_ANSWER_S: Final = 10.0
_DOWN: Final = "Start `callweave up` (`make run`) in this folder first, and wait until it says that it is ready."
_FIRST_STEPS: Final = 5
_LATER_STEPS: Final = 3


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
    _prepare(state)
    child = await spawn(
        (
            *(str(python_of(home)), str(SUPERSET / "serve.py"), "--home", str(state)),
            *("--address", f"127.0.0.1:{port}", "--clickhouse", f"127.0.0.1:{settings.embedded.clickhouse_port}"),
            *("--password-file", str(clickhouse_dir(settings.embedded) / passwords.FILE)),
        ),
        output=state / LOG,
    )
    try:
        user, password = await _until_ready(child, state, step)
        yield Superset(url=f"http://127.0.0.1:{port}", user=user, password=Secret(password), child=child)
    finally:
        await child.stop(grace_s=_STOP_S)
        _told(state).unlink(missing_ok=True)


async def require_stack(settings: Settings) -> None:
    """Raises SetupError where no embedded ClickHouse is here that lets the account of the dashboards in."""
    if settings.clickhouse.url:
        raise SetupError(
            "clickhouse.url is set, and `callweave bi` shows the embedded ClickHouse alone",
            code="external",
            advice="deploy/superset/README.md says how your own Superset imports the dashboards.",
        )
    known = passwords.read(clickhouse_dir(settings.embedded)).get(ANALYST)
    if not known:
        raise SetupError("nothing is here to be shown: no ClickHouse was started in this folder", advice=_DOWN)
    port = settings.embedded.clickhouse_port
    timeout = aiohttp.ClientTimeout(total=_ANSWER_S)
    login = {"X-ClickHouse-User": ANALYST, "X-ClickHouse-Key": known[0]}
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, headers=login) as http,
            http.post(f"http://127.0.0.1:{port}", data=b"SELECT 1") as answer,
        ):
            answers = answer.status == HTTPStatus.OK
    except (aiohttp.ClientError, TimeoutError) as exc:
        raise SetupError(f"the stack does not run: no ClickHouse answers at 127.0.0.1:{port}", advice=_DOWN) from exc
    if not answers:
        raise SetupError(
            f"what answers at 127.0.0.1:{port} is not the ClickHouse of this folder: it does not let {ANALYST} in",
            advice="Run `callweave bi` in the folder of `callweave up`, with the same settings.",
        )


def steps(state: Path) -> int:
    """Returns the number of steps of a start."""
    return _LATER_STEPS if (state / "prepared").exists() else _FIRST_STEPS


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
            log = state / LOG
            last = "\n  ".join(_lines(log)[-_LAST_LINES:])
            raise SetupError(
                f"Superset ended with {child.returncode}:\n  {last}", code="superset", advice=f"All of it: {log}"
            )
        await asyncio.sleep(_LOOK_EVERY_S)


def _lines(file: Path) -> list[str]:
    return file.read_text("utf-8", errors="replace").splitlines() if file.exists() else []
