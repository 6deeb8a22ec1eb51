"""Helpers for the processes of embedded servers: one lives, and one ends when its parent is killed."""

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path

LIMIT_S = 60.0
_PARENT = """
import asyncio, importlib, sys
from pathlib import Path

async def main():
    server = getattr(importlib.import_module(sys.argv[1]), sys.argv[2])(Path(sys.argv[3]))
    await server.start()
    print(server.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def until(true: Callable[[], bool]) -> None:
    """Waits until the condition is true."""
    async with asyncio.timeout(LIMIT_S):
        while not true():  # noqa: ASYNC110 - another process's state has no event to wait for
            await asyncio.sleep(0.02)


def alive(pid: int) -> bool:
    """True when a process runs; a zombie does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


async def ends_with_its_parent(server: type, data_dir: Path) -> None:
    """Starts the server in a process of its own, kills that process, and checks that the server ends."""
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _PARENT, server.__module__, server.__name__, str(data_dir)),
        stdout=asyncio.subprocess.PIPE,
    )
    assert parent.stdout is not None
    try:
        async with asyncio.timeout(LIMIT_S):
            pid = int(await parent.stdout.readline())
        running, session = alive(pid), os.getsid(pid)
    finally:
        parent.kill()
        await parent.wait()

    assert running
    assert session != os.getsid(0), "a terminal's Ctrl-C would reach the server before us"
    await until(lambda: not alive(pid))
