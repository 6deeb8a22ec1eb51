"""`python -m tests.chaos.kills.fork_server`: bears one life of a sink or a worker after the other, each a process of its own.

Everything is imported once, so that a life costs a fork and not a start of Python. Orders come as lines of JSON on the
standard input; what happens goes out as lines of JSON. It has one thread whenever it forks.
"""

import asyncio
import ctypes
import os
import signal
import sys
import threading
import traceback
from typing import Final, Literal

import msgspec

from deploy.admin.tables import migrate_tables
from deploy.cli.part_commands import with_codecs
from deploy.runtime import run_part
from processors.main import run as run_process
from schemas.config.settings import Settings
from schemas.metrics import Registry
from sinks.worker import run as run_sink
from tests.chaos.judge.naive import NAIVE, Naive
from tests.chaos.kills.failpoints import AT_WORK, POINTS, PartName, after, arm

_PARENT_ENDS: Final = 1
"""PR_SET_PDEATHSIG: a signal to us when our parent ends."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """A life to be."""

    number: int
    part: PartName
    settings: Settings
    point: str = ""
    """The failpoint at which it ends; "" for a life that lasts until it is told to stop."""
    passage: int = 1
    ripe: bool = False
    """Count passages from the first commit on."""
    naive: Naive = ""
    """A way of doing it that loses calls."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to a life."""

    number: int
    what: Literal["born", "at work", "at the point", "dead"]
    value: int = 0
    """The process id of the born; the exit status of the dead, negative for a signal."""


async def _sink(settings: Settings, stop: asyncio.Event, metrics: Registry) -> None:
    """As it is deployed: first the tables, then the sink."""
    await migrate_tables(settings)
    await with_codecs(run_sink)(settings, stop, metrics)


def _tell(event: Event) -> None:
    os.write(1, msgspec.json.encode(event) + b"\n")


def _end_with_parent(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PARENT_ENDS, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


def _live(order: Order) -> int:
    """The whole life; returns the exit code."""
    at_work = threading.Event()

    def worked() -> None:
        if not at_work.is_set():
            at_work.set()
            _tell(Event(number=order.number, what="at work"))

    def die() -> None:
        _tell(Event(number=order.number, what="at the point"))
        os.kill(os.getpid(), signal.SIGKILL)

    if order.naive:
        NAIVE[order.naive]()
    if order.point:
        arm(POINTS[order.part][order.point], order.passage, lambda: at_work.is_set() or not order.ripe, die)
    after(*AT_WORK[order.part], worked)
    if order.part == "sink":
        return run_part(_sink, order.settings, metrics_port=order.settings.sink.metrics_port)
    return run_part(with_codecs(run_process), order.settings, metrics_port=order.settings.process.metrics_port)


def _bear(order: Order) -> None:
    """Fork, and wait for the child's end."""
    server = os.getpid()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            _end_with_parent(server)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            code = _live(order)
        except BaseException:  # noqa: BLE001  # the fork must never become a second server
            traceback.print_exc()
        finally:
            os._exit(code)
    _tell(Event(number=order.number, what="born", value=child))
    _, status = os.waitpid(child, 0)
    _tell(Event(number=order.number, what="dead", value=os.waitstatus_to_exitcode(status)))


def main() -> None:
    """Until the standard input ends."""
    _end_with_parent(os.getppid())
    for line in sys.stdin.buffer:
        assert threading.active_count() == 1
        _bear(msgspec.json.decode(line, type=Order))


if __name__ == "__main__":
    main()
