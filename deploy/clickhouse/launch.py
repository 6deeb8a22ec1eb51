"""Starts and stops the embedded ClickHouse as a process of its own, with a memory of its own."""

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self

import aiohttp
from msgspec.structs import replace

from deploy.clickhouse import passwords
from deploy.clickhouse.accounts import EVERY_DATABASE, EngineRole, accounts_for
from deploy.process.child import Child, spawn
from deploy.process.ports import free_port, require_free
from schemas.config.secret import Secret
from schemas.config.settings import ClickHouseSettings
from schemas.errors import SetupError

START_LIMIT_S: Final = 60.0
"""Loading many parts takes long; a healthy start takes about a second."""
STOP_LIMIT_S: Final = 20.0
_POLL_S: Final = 0.05
MIN_FREE_MB: Final = 1
"""The free space above the engine's reserve (`config.RESERVE_BYTES`) below which an insert may have lost data
(`disk_guard`)."""
_QUOTED_LINES: Final = 12

# Text in the output of the process -> the code of the error. The message is the process's own sentence.
_CODES: Final = (
    ("already runs on", "locked"),
    ("needs port", "port_in_use"),
    ("address already in use", "port_in_use"),
    ("MiB are free", "no_disk"),
    ("cannot be written", "no_access"),
    ("chdb-core", "engine"),
)
# Text in the output of the engine -> the code of the error, the sentence for people, and what to do.
_CAUSES: Final = (
    (
        "(MEMORY_LIMIT_EXCEEDED)",
        *("no_memory", "the embedded ClickHouse was given too little memory to start"),
        "Set embedded.clickhouse_memory_mb higher, or to 0 for a quarter of the machine's.",
    ),
    (
        "thread constructor failed",
        *("no_memory", "the system gave the embedded ClickHouse no more threads or memory"),
        "Raise the limits of this user or container (ulimit -u, ulimit -v, pids and memory of the cgroup).",
    ),
    (
        "annot allocate memory",
        *("no_memory", "the system gave the embedded ClickHouse no more memory"),
        "Free some memory, or raise the limit of this user or container.",
    ),
    (
        "No space left on device",
        *("no_disk", "the disk of the embedded ClickHouse is full"),
        "Free some space, or set a data directory on another disk.",
    ),
    (
        "Another server instance",
        *("locked", "another ClickHouse already uses this store"),
        "Stop it, or set another data directory for this one.",
    ),
    (
        "callback is not set",
        *("engine", "the engine of the installed chdb-core opens no listener"),
        "Install the versions of deploy/requirements.txt, or set clickhouse.url to a ClickHouse of your own.",
    ),
)


class ClickHouseServer:
    """A server that runs between `start` and `stop`; also an async context manager."""

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int = 0,
        tcp_port: int = 0,
        given: ClickHouseSettings = ClickHouseSettings(),  # noqa: B008 - frozen
        databases: str = EVERY_DATABASE,
        memory_mib: int = 0,
    ) -> None:
        """A port of 0 is picked at start; `given` may name the writer's account and passwords; the others are made.

        The accounts may use `databases`: one, or `*` for all. Memory of 0 is a quarter of the machine's, at most 2 GiB.
        """
        self._data_dir = data_dir.absolute()
        self._asked_port = port
        self._asked_tcp_port = tcp_port
        self._given = given
        self._databases = databases
        self._memory_mib = memory_mib
        self._port = 0
        self._tcp_port = 0
        self._passwords: dict[str, str] = {}
        self._child: Child | None = None

    @property
    def port(self) -> int:
        """The port it listens on; known after `start`."""
        if not self._port:
            raise RuntimeError("the server was not started")
        return self._port

    @property
    def tcp_port(self) -> int:
        """The port of the native protocol; known after `start`."""
        self.port  # noqa: B018 - raises before the start
        return self._tcp_port

    @property
    def url(self) -> str:
        """The address for clients."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process."""
        if self._child is None:
            raise RuntimeError("the server was not started")
        return self._child.pid

    def password(self, role: EngineRole) -> str:
        """Returns the password of an account; known after `start`."""
        return self._passwords[self.account(role)]

    def account(self, role: EngineRole) -> str:
        """Returns the name of an account."""
        return next(account.name for account in accounts_for(self._given.user) if account.role is role)

    def settings(self) -> ClickHouseSettings:
        """Returns the settings with which parts and commands reach it."""
        return engine_settings(self._given, self.url, self._passwords)

    async def start(self) -> None:
        """Starts it and returns when it answers; raises SetupError with what to do when it cannot."""
        for asked, what in ((self._asked_port, "ClickHouse"), (self._asked_tcp_port, "ClickHouse's native protocol")):
            if asked:
                require_free(asked, what=what, setting="its port")
        self._port = self._asked_port or free_port()
        self._tcp_port = self._asked_tcp_port or self._tcp_port or free_port()
        arguments = [
            *(f"--data-dir={self._data_dir}", f"--port={self._port}", f"--tcp-port={self._tcp_port}"),
            *(f"--user={self.account(EngineRole.WRITER)}", f"--databases={self._databases}"),
        ]
        if self._memory_mib:
            arguments.append(f"--memory-mib={self._memory_mib}")
        try:
            self._data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Once: a restart of the process must not change a password that clients already use.
            self._passwords = self._passwords or passwords.ready(self._data_dir, given_passwords(self._given))
            self._child = await spawn((sys.executable, "-m", "deploy.clickhouse", *arguments), output=self._console)
        except OSError as exc:
            raise SetupError(
                f"the data directory {self._data_dir} of ClickHouse cannot be written: {exc.strerror}",
                code="no_access",
                advice="Make it writable for you, or set another data directory.",
            ) from exc
        try:
            await self._until_it_answers(self._child)
        except BaseException:
            await self.stop()
            raise

    async def wait(self) -> SetupError:
        """Waits until a started server ends by itself; returns the reason as far as its output tells."""
        if self._child is None:
            raise RuntimeError("the server was not started")
        return self._explain(await self._child.wait())

    async def stop(self) -> None:
        """Stops it: asks first, kills after a bound; does nothing when it does not run."""
        if self._child is not None:
            await self._child.stop(grace_s=STOP_LIMIT_S)
            self._child = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def _console(self) -> Path:
        return self._data_dir / "console.log"

    async def _until_it_answers(self, child: Child) -> None:
        deadline = asyncio.get_running_loop().time() + START_LIMIT_S
        timeout = aiohttp.ClientTimeout(total=5)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while child.returncode is None:
                try:
                    async with session.get(f"{self.url}/ping") as response:
                        if response.status == 200 and await self._native_answers():
                            return
                except (aiohttp.ClientError, TimeoutError):
                    pass
                if asyncio.get_running_loop().time() > deadline:
                    raise self._explain(None)
                await asyncio.sleep(_POLL_S)
        raise self._explain(child.returncode)

    async def _native_answers(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self._tcp_port)
        except OSError:
            return False
        writer.close()
        return True

    def _explain(self, code: int | None) -> SetupError:
        lines = [
            line
            for line in self._console.read_text(errors="replace").splitlines()
            if not line.startswith("Logging ")  # the engine's line on the place of its log
        ][-_QUOTED_LINES:]
        output = "\n".join(lines)
        for sign, error_code in _CODES:
            if sign in output:
                return SetupError(output, code=error_code)
        quoted = "\n".join(f"    {line}" for line in lines) or "    (it said nothing)"
        for sign, error_code, sentence, advice in _CAUSES:
            if sign in output:
                return SetupError(f"{sentence}; it said:\n{quoted}", code=error_code, advice=advice)
        what = "did not answer in time" if code is None else f"ended with exit code {code}"
        return SetupError(
            f"the embedded ClickHouse {what}; it said last:\n{quoted}",
            code="crash",
            advice=f"A damaged data directory ({self._data_dir}) can be moved away to start anew.",
        )


def given_passwords(given: ClickHouseSettings) -> dict[str, str]:
    """Returns the password in the settings for each account's name, "" where there is none."""
    given_for = {
        EngineRole.WRITER: given.password.value,
        EngineRole.MIGRATOR: given.migrator_password.value,
    }
    return {account.name: given_for.get(account.role, "") for account in accounts_for(given.user)}


def engine_settings(given: ClickHouseSettings, url: str, known: Mapping[str, str]) -> ClickHouseSettings:
    """Returns the settings of an embedded engine at `url` with these passwords; the sink then watches its free disk."""
    names = {account.role: account.name for account in accounts_for(given.user)}
    return replace(
        given,
        url=url,
        user=names[EngineRole.WRITER],
        password=Secret(known.get(names[EngineRole.WRITER], "")),
        migrator=names[EngineRole.MIGRATOR],
        migrator_password=Secret(known.get(names[EngineRole.MIGRATOR], "")),
        min_free_mb=given.min_free_mb or MIN_FREE_MB,
    )
