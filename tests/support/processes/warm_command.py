"""The `callweave` command without the load of its modules, which takes ten times as long as what most commands do.

One process for each process of the tests has imported the command line, and forks for each command: a process of its
own, with its own folder, environment, output and exit code, and with nothing left from the one before.
"""

import asyncio
import atexit
import contextlib
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

_ROOT: Final = Path(__file__).parents[3]
_MAX_ORDER: Final = 1 << 18
_USED_BY_COMMANDS: Final = ("aiokafka.admin", "schemas.kafka.clients", "sinks.clickhouse")
"""Modules that commands load when they run, and that have nothing running then."""


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
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with mine:
            mine.setblocking(False)
            with theirs:
                order = {"arguments": arguments, "cwd": str(cwd), "environment": dict(environment)}
                socket.send_fds(self._orders, [json.dumps(order).encode()], [theirs.fileno(), *files])
            loop = asyncio.get_running_loop()
            pid = int(await loop.sock_recv(mine, 32))
            try:
                return int(await loop.sock_recv(mine, 32))
            except asyncio.CancelledError:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                raise


def _next_command(orders: socket.socket) -> tuple[str, ...]:
    """Forks for each order, and returns the arguments in the process that is to run it."""
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


def _watched(order: Mapping[str, Any], answers: int, *files: int) -> tuple[str, ...]:
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
    return tuple(order["arguments"])


if __name__ == "__main__":
    from deploy.cli.main import main

    for _name in _USED_BY_COMMANDS:
        importlib.import_module(_name)
    sys.argv[1:] = _next_command(socket.socket(fileno=int(sys.argv[1])))
    main()
