"""Starts and stops the embedded ClickHouse as a process of its own, so that a query's memory is never ours."""

import asyncio
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Self

import aiohttp
import msgspec

from deploy.child import Child, spawn
from deploy.clickhouse.users import User
from deploy.ports import free_port, require_free
from schemas.errors import SetupError

START_LIMIT_S: Final = 60.0
"""Loading many parts takes long; a healthy start takes about a second."""
STOP_LIMIT_S: Final = 20.0
_POLL_S: Final = 0.05
_QUOTED_LINES: Final = 12

# What the process says -> the code of our error. The sentence itself is the process's own.
_CODES: Final = (
    ("already runs on", "locked"),
    ("Cannot lock file", "locked"),
    ("needs port", "port_in_use"),
    ("address already in use", "port_in_use"),
    ("MiB are free", "no_disk"),
    ("No space left on device", "no_disk"),
    ("cannot be written", "no_access"),
)


def _quiet(_stage: str, _fraction: float | None) -> None:
    """The progress of a start that nobody watches."""


class ClickHouseServer:
    """A server that runs between `start` and `stop`; also an async context manager."""

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int = 0,
        host: str = "127.0.0.1",
        users: Mapping[str, User] | None = None,
        memory_mib: int | None = None,
        progress: Callable[[str, float | None], None] = _quiet,
    ) -> None:
        """A port of 0 is picked at start; without users, `default` has an empty password."""
        self._data_dir = data_dir.absolute()
        self._asked_port = port
        self._host = host
        self._users = users
        self._memory_mib = memory_mib
        self._progress = progress
        self._port = 0
        self._child: Child | None = None

    @property
    def port(self) -> int:
        """The port it listens on; known after `start`."""
        if not self._port:
            raise RuntimeError("the server was not started")
        return self._port

    @property
    def url(self) -> str:
        """The address for clients."""
        return f"http://{self._host}:{self.port}"

    @property
    def pid(self) -> int:
        """The process."""
        if self._child is None:
            raise RuntimeError("the server was not started")
        return self._child.pid

    async def start(self) -> None:
        """Starts it and returns when it answers; raises SetupError with what to do when it cannot."""
        self._progress("Starting ClickHouse", None)
        if self._asked_port:
            require_free(self._asked_port, what="ClickHouse", setting="its port", host=self._host)
        self._port = self._asked_port or free_port(self._host)
        arguments = [f"--data-dir={self._data_dir}", f"--host={self._host}", f"--port={self._port}"]
        if self._memory_mib is not None:
            arguments.append(f"--memory-mib={self._memory_mib}")
        try:
            self._data_dir.mkdir(parents=True, exist_ok=True)
            if self._users is not None:
                arguments.append(f"--users={self._write_users(self._users)}")
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
        self._progress("ClickHouse is ready", 1.0)

    async def wait(self) -> SetupError:
        """Waits until a started server ends by itself; gives the reason as far as it said one."""
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

    def _write_users(self, users: Mapping[str, User]) -> Path:
        path = self._data_dir / "users.json"
        path.touch(mode=0o600)
        path.write_bytes(msgspec.json.encode(dict(users)))
        return path

    async def _until_it_answers(self, child: Child) -> None:
        deadline = asyncio.get_running_loop().time() + START_LIMIT_S
        timeout = aiohttp.ClientTimeout(total=5)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while child.returncode is None:
                try:
                    async with session.get(f"{self.url}/ping") as response:
                        if response.status == 200:
                            return
                except (aiohttp.ClientError, TimeoutError):
                    pass
                if asyncio.get_running_loop().time() > deadline:
                    raise self._explain(None)
                await asyncio.sleep(_POLL_S)
        raise self._explain(child.returncode)

    def _explain(self, code: int | None) -> SetupError:
        lines = self._console.read_text(errors="replace").splitlines()[-_QUOTED_LINES:]
        said = "\n".join(lines)
        for sign, error_code in _CODES:
            if sign in said:
                return SetupError(said, code=error_code)
        what = "did not answer in time" if code is None else f"ended with exit code {code}"
        quoted = "\n".join(f"    {line}" for line in lines) or "    (it said nothing)"
        return SetupError(
            f"the embedded ClickHouse {what}; it said last:\n{quoted}",
            code="crash",
            advice=f"A damaged data directory ({self._data_dir}) can be moved away to start anew.",
        )
