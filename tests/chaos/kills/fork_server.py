"""Starts processes of a sink or a worker, one after the other: `python -m tests.chaos.kills.fork_server`.

Everything is imported once, so that a process costs a fork and not a start of Python. Orders come as lines of JSON on
the standard input, events leave as lines of JSON on the standard output. It has one thread whenever it forks.
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

from deploy.cli.part_commands import with_codecs
from deploy.runtime import run_part
from processors.main import run as run_process
from processors.poison.breadcrumb import read
from processors.poison.crashes import SUFFIX, crash_dir, read_book
from schemas.config.secret import read_secret
from schemas.config.settings import Settings
from schemas.metrics import Registry
from sinks.main import run as run_sink
from sinks.migrate import migrate_tables
from tests.chaos.judge.naive import NAIVE, Naive
from tests.chaos.kills.failpoints import POINTS, WORK_DONE, PartName, after, arm

_PARENT_ENDS: Final = 1
"""PR_SET_PDEATHSIG: a signal to us when our parent ends."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """The order to start a process."""

    number: int
    part: PartName
    settings: Settings
    point: str = ""
    """The failpoint at which it ends; "" for a process that lasts until it is asked to stop."""
    passage: int = 1
    after_commit: bool = False
    """True when passages count from the first commit on."""
    naive: Naive = ""
    """The wrong way of work that loses calls; "" for the right one."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """An event of a process."""

    number: int
    what: Literal["started", "working", "at failpoint", "ended"]
    value: int = 0
    """The process id at the start; the exit status at the end, negative for a signal."""


async def _sink(settings: Settings, stop: asyncio.Event, metrics: Registry) -> None:
    """Runs the sink as it is deployed: first the tables, then the sink."""
    await migrate_tables(settings)
    await with_codecs(run_sink)(settings, stop, metrics)


def _emit(event: Event) -> None:
    os.write(1, msgspec.json.encode(event) + b"\n")


def _end_with_parent(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PARENT_ENDS, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


def _accuses_again(order: Order) -> bool:
    """True where this worker computes a record at which one died before.

    A second death there puts the record aside, as it must: no judge could call that call whole.
    """
    suspects = read_book(crash_dir(order.settings)).suspects if order.part == "worker" else ()
    if not suspects:
        return False
    computed = [
        place
        for path in crash_dir(order.settings).glob(f"{order.settings.process.instance}@*{SUFFIX}")
        for note in (read(path.read_bytes()),)
        for place in (note.place, note.thread_place)
        if place is not None
    ]
    return any(
        (place.topic, place.partition) == (one.place.topic, one.place.partition)
        and place.first < one.place.next
        and one.place.first < place.next
        for place in computed
        for one in suspects
    )


def _run_part(order: Order) -> int:
    """Runs the part to its end; returns the exit code."""
    at_work = threading.Event()

    def worked() -> None:
        if not at_work.is_set():
            at_work.set()
            _emit(Event(number=order.number, what="working"))

    def kill() -> None:
        _emit(Event(number=order.number, what="at failpoint"))
        os.kill(os.getpid(), signal.SIGKILL)

    def counts() -> bool:
        return (at_work.is_set() or not order.after_commit) and not _accuses_again(order)

    if order.naive:
        NAIVE[order.naive]()
    if order.point:
        arm(POINTS[order.part][order.point], order.passage, counts, kill)
    after(*WORK_DONE[order.part], worked)
    if order.part == "sink":
        return run_part(_sink, order.settings, metrics_port=order.settings.sink.metrics_port)
    return run_part(with_codecs(run_process), order.settings, metrics_port=order.settings.process.metrics_port)


def _fork(order: Order) -> None:
    """Forks, and waits for the child's end."""
    server = os.getpid()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            _end_with_parent(server)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            code = _run_part(order)
        except BaseException:  # noqa: BLE001  # the fork must never become a second server
            traceback.print_exc()
        finally:
            os._exit(code)
    _emit(Event(number=order.number, what="started", value=child))
    _, status = os.waitpid(child, 0)
    _emit(Event(number=order.number, what="ended", value=os.waitstatus_to_exitcode(status)))


def main() -> None:
    """Carries out orders until the standard input ends."""
    _end_with_parent(os.getppid())
    for line in sys.stdin.buffer:
        assert threading.active_count() == 1
        _fork(msgspec.json.decode(line, type=Order, dec_hook=lambda _, given: read_secret(given, {})))


if __name__ == "__main__":
    main()
