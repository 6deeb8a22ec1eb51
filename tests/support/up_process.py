"""`callweave up` as a process: started, awaited, stopped, and all of its descendants observed."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from schemas.config.settings import Settings
from tests.support.command import clean_env

READY_S = 90.0
STOP_S = 60.0


def up_env(settings: Settings) -> dict[str, object]:
    """Returns the settings of a `callweave up` on these ports and this data directory."""
    embedded = settings.embedded
    return {
        "kafka__partitions": settings.kafka.partitions,
        "ingress__port": settings.ingress.port,
        "embedded__data_dir": embedded.data_dir,
        "embedded__kafka_port": embedded.kafka_port,
        "embedded__clickhouse_port": embedded.clickhouse_port,
        "embedded__clickhouse_tcp_port": embedded.clickhouse_tcp_port,
        "embedded__metrics_base_port": embedded.metrics_base_port,
    }


class Up:
    """A running `callweave up`."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self.process = process
        self.log = log
        self.family: frozenset[tuple[int, str]] = frozenset()
        """Every descendant, by id and start time, because an id can be used again."""

    async def ready(self) -> None:
        """Waits until it prints that it is ready."""
        deadline = asyncio.get_running_loop().time() + READY_S
        while "ready after" not in self.log.read_text():
            assert self.process.returncode is None, self.log.read_text()
            assert asyncio.get_running_loop().time() < deadline, self.log.read_text()
            await asyncio.sleep(0.1)
        self.family = frozenset(descendants(self.process.pid))

    async def ended(self, number: signal.Signals | None = None) -> int:
        """Sends the signal; returns the exit code when all descendants have ended too."""
        if number and self.process.returncode is None:
            self.process.send_signal(number)
        code = await asyncio.wait_for(self.process.wait(), STOP_S)
        deadline = asyncio.get_running_loop().time() + STOP_S
        while left := [one for one in self.family if started_at(one[0]) == one[1]]:
            assert asyncio.get_running_loop().time() < deadline, f"still running: {left}"
            await asyncio.sleep(0.05)
        return code


@contextlib.asynccontextmanager
async def running_up(folder: Path, env: dict[str, object], *, umask: int = -1) -> AsyncIterator[Up]:
    """Yields a `callweave up` that is ready, without a simulator; its output goes to `up.log` in the folder.

    A umask of -1 is that of the tests.
    """
    log = folder / "up.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "deploy.cli.main", "up", "--plain", "--no-simulator"),
            env=clean_env(**env),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            umask=umask,
        )
    up = Up(process, log)
    try:
        await up.ready()
        yield up
    finally:
        await up.ended(signal.SIGTERM)


def descendants(pid: int) -> set[tuple[int, str]]:
    """Returns all descendants of `pid`."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found: set[int] = set()
    level = {pid}
    while level:
        level = {child for child, parent in parents.items() if parent in level}
        found |= level
    return {(one, started_at(one)) for one in found}


def started_at(pid: int) -> str:
    """Returns when a living process started, in ticks; "" when there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]
