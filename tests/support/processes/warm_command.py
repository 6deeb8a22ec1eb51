"""The `callweave` command without the load of its modules, which takes ten times as long as what most commands do.

One process for each process of the tests has imported the command line and the parts, and forks for each command: a
process of its own, with its own folder, environment, output and exit code, and with nothing left from the one before.
Parts with several processes, and those whose memory is measured, start without it.
"""

import asyncio
import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Final

_ROOT: Final = Path(__file__).parents[3]
_MAX_ORDER: Final = 1 << 18
COMMAND_LINE: Final = "deploy.cli.main"
_USED_BY_COMMANDS: Final = (
    *("aiokafka.admin", "schemas.kafka.clients", "sinks.clickhouse"),
    *("ingress.main", "processors.main", "sinks.main"),
)
"""Modules that commands and parts load when they run, and that have nothing running then."""


class WarmProcess:
    """A process that was forked, with what tests use of one that they start themselves."""

    def __init__(self, pid: int, answers: socket.socket) -> None:
        self.pid = pid
        self.returncode: int | None = None
        """The exit code, negative for a signal; None while it runs."""
        self._ended = asyncio.create_task(self._end(answers))

    async def wait(self) -> int:
        """Waits until it ends, and returns its exit code."""
        return await asyncio.shield(self._ended)

    def send_signal(self, number: int) -> None:
        """Sends a signal, unless it has ended."""
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Asks it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kills it."""
        self.send_signal(signal.SIGKILL)

    async def _end(self, answers: socket.socket) -> int:
        with answers:
            self.returncode = int(await asyncio.get_running_loop().sock_recv(answers, 32))
        return self.returncode


class WarmCommand:
    """The process that forks; it ends with the one that made it."""

    def __init__(self) -> None:
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                (sys.executable, "-m", __name__, str(theirs.fileno())),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                cwd=_ROOT,
                env={**os.environ, "PYTHONPATH": str(_ROOT)},
                pass_fds=(theirs.fileno(),),
            )
        atexit.register(self.stop)

    def stop(self) -> None:
        """Ends the process."""
        self._orders.close()
        self._process.wait()

    async def run(
        self, arguments: tuple[str, ...], *, cwd: Path, environment: Mapping[str, str], files: tuple[int, int, int]
    ) -> int:
        """Runs a command with three open files (its input, its output, its errors); returns its exit code.

        When cancelled, it kills the command.
        """
        process = await self.start(COMMAND_LINE, arguments, cwd=cwd, environment=environment, files=files)
        try:
            return await process.wait()
        except asyncio.CancelledError:
            process.kill()
            raise

    async def start(
        self,
        module: str,
        arguments: tuple[str, ...],
        *,
        cwd: Path,
        environment: Mapping[str, str],
        files: tuple[int, int, int],
    ) -> WarmProcess:
        """Starts a process that calls `main` of a module, as `python -m` would."""
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        mine.setblocking(False)
        with theirs:
            order = {"module": module, "arguments": arguments, "cwd": str(cwd), "environment": dict(environment)}
            socket.send_fds(self._orders, [json.dumps(order).encode()], [theirs.fileno(), *files])
        return WarmProcess(int(await asyncio.get_running_loop().sock_recv(mine, 32)), mine)


@functools.cache
def warm() -> WarmCommand:
    """Returns the one of this process."""
    return WarmCommand()


async def start_warm(
    module: str, *arguments: str, environment: Mapping[str, str], output: IO[bytes], errors: IO[bytes] | None = None
) -> WarmProcess:
    """Starts a process of a module, in the folder of the project; errors go to its output where they have no file."""
    with open(os.devnull, "rb") as nothing:  # noqa: ASYNC230, PTH123 - a device never blocks
        files = (nothing.fileno(), output.fileno(), (errors or output).fileno())
        return await warm().start(module, arguments, cwd=_ROOT, environment=environment, files=files)


def _next_command(orders: socket.socket) -> str:
    """Forks for each order, and returns the module in the process that is to run it."""
    signal.signal(signal.SIGCHLD, _forget_ended)
    while True:
        text, files, _, _ = socket.recv_fds(orders, _MAX_ORDER, 4)
        if not text:
            sys.exit(0)
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            orders.close()
            return _watched(json.loads(text), *files)
        for file in files:
            os.close(file)


def _forget_ended(*_: object) -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _watched(order: Mapping[str, Any], answers: int, *files: int) -> str:
    """Forks once more: this process says the id and the exit code of the other one, which becomes the command."""
    pid = os.fork()
    if pid:
        for file in files:
            os.close(file)
        os.write(answers, b"%d" % pid)
        _, status = os.waitpid(pid, 0)
        os.write(answers, b"%d" % os.waitstatus_to_exitcode(status))
        os._exit(0)
    for place, file in enumerate(files):
        os.dup2(file, place)
    for file in (answers, *files):
        os.close(file)
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["environment"])
    sys.argv[1:] = order["arguments"]
    sys.orig_argv[:] = [sys.executable, "-m", order["module"], *order["arguments"]]
    return str(order["module"])


if __name__ == "__main__":
    for _name in (COMMAND_LINE, *_USED_BY_COMMANDS):
        importlib.import_module(_name)
    # What is loaded is out of the collector's sight: at its end each process would look at all of it, and so copy it,
    # which takes 0.11 s of CPU.
    gc.collect()
    gc.freeze()
    importlib.import_module(_next_command(socket.socket(fileno=int(sys.argv[1])))).main()
