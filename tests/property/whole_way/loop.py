"""An event loop for worlds: time is a number, and chance decides which process goes on.

Each process keeps the order that asyncio promises it; between processes there is none. A process can be killed between
any two of its steps, and frozen and thawed as by SIGSTOP and SIGCONT. It must not know what the processes do.
"""

import asyncio
import contextvars
import heapq
import random
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Final

MOST_STEPS: Final = 200_000
"""A world that takes more does not come to rest."""
_BURST: Final = 5
_me: Final[contextvars.ContextVar["Process"]] = contextvars.ContextVar("process")


class NoRest(Exception):
    """A world went on and on."""


class Step:
    """A callback to come: asyncio's handle without what debugging needs."""

    __slots__ = ("arguments", "callback", "cancelled", "context")

    def __init__(
        self, callback: Callable[..., object], arguments: tuple[Any, ...], context: contextvars.Context
    ) -> None:
        self.callback = callback
        self.arguments = arguments
        self.context = context
        self.cancelled = False

    def cancel(self) -> None:
        """Skip the callback when its time comes."""
        self.cancelled = True


class Process:
    """One process, which lives and dies as a whole."""

    def __init__(self, loop: "WorldLoop", name: str) -> None:
        self.name = name
        self.alive = True
        self.frozen = False
        self.ready: deque[Step] = deque()
        self.tasks: list[asyncio.Task[Any]] = []
        self.exit: Callable[[], object] = self.kill
        """The effect of `os._exit`; the owner of the process may set it."""
        self._loop = loop
        self.context = contextvars.copy_context()
        self.context.run(_me.set, self)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Run something in this process; that it fails is a finding, unless the process is dead."""
        task = self._loop.create_task(work, context=self.context.copy())
        task.add_done_callback(self._ended)
        return task

    def soon(self, work: Callable[..., object], *arguments: object) -> None:
        """Call something in this process."""
        self._loop.call_soon(work, *arguments, context=self.context)

    def exit_soon(self) -> None:
        """End this process; the current step is still finished."""
        if self.alive:
            self._loop.nature.soon(lambda: self.alive and self.exit())

    def kill(self) -> None:
        """Die at once: nothing that the process still does reaches the world.

        Not from within a task: one step cannot run inside another.
        """
        self.alive, self.frozen = False, False
        while unfinished := [task for task in self.tasks if not task.done()]:
            for task in unfinished:
                task.cancel()
            while self.ready:
                self._loop.one(self)
        self.tasks.clear()

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None and self.alive:
            self._loop.errors.append(error)


class WorldLoop(asyncio.AbstractEventLoop):
    """The part of an event loop that the parts use; everything random comes from `dice`."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._now_s = 0.0
        self._timers: list[tuple[float, int, Step, Process]] = []
        self._serial = 0
        self.processes: list[Process] = []
        self.steps = 0
        self.fault_at = 0
        self.over = False
        self.errors: list[BaseException] = []
        self.nature = self.process("nature")
        """The process of networks, vendors and faults, which never dies."""

    def process(self, name: str) -> Process:
        """Make a new process."""
        made = Process(self, name)
        self.processes.append(made)
        return made

    def bury(self, process: Process) -> None:
        """Kill it and forget it."""
        process.kill()
        self.processes.remove(process)

    def run(self, fault: Callable[[], None]) -> None:
        """Run until `over`; `fault` is called after `fault_at` steps, between two of them and outside all processes."""
        dice, processes = self._dice.random, self.processes
        events._set_running_loop(self)
        try:
            while not self.over:
                awake = [process for process in processes if process.ready and not process.frozen]
                if awake:
                    process = awake[int(dice() * len(awake))]
                    for _ in range(min(len(process.ready), 1 + int(dice() * _BURST))):
                        self.one(process)
                else:
                    self._tick()
                if self.steps >= self.fault_at:
                    fault()
                if self.steps > MOST_STEPS:
                    raise NoRest(f"it does not come to rest in {self.steps} steps")
                if self.errors:
                    raise self.errors[0]
        finally:
            for process in processes:
                process.kill()
            events._set_running_loop(None)

    def one(self, process: Process) -> None:
        """One step of a process that has one."""
        step = process.ready.popleft()
        self.steps += 1
        if not step.cancelled:
            step.context.run(step.callback, *step.arguments)

    def _tick(self) -> None:
        """Go on to the next timers' time."""
        timers = self._timers
        now_s = self._now_s = max(self._now_s, timers[0][0])
        while timers and timers[0][0] <= now_s:
            _, _, step, owner = heapq.heappop(timers)
            if owner.alive and not step.cancelled:
                owner.ready.append(step)

    # Called by asyncio.

    def time(self) -> float:
        return self._now_s

    def call_soon(  # type: ignore[override]  # a step is all that anybody needs of a handle
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> Step:
        context = context or contextvars.copy_context()
        step = Step(callback, args, context)
        context[_me].ready.append(step)
        return step

    call_soon_threadsafe = call_soon  # type: ignore[assignment]  # as above

    def call_at(  # type: ignore[override]  # as above
        self, when: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> Step:
        context = context or contextvars.copy_context()
        step = Step(callback, args, context)
        self._serial += 1
        heapq.heappush(self._timers, (when, self._serial, step, context[_me]))
        return step

    def call_later(  # type: ignore[override]  # as above
        self, delay: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> Step:
        return self.call_at(self._now_s + delay, callback, *args, context=context)

    def create_future(self) -> "asyncio.Future[Any]":
        return asyncio.Future(loop=self)

    def create_task(
        self, coro: Any, *, name: str | None = None, context: contextvars.Context | None = None
    ) -> "asyncio.Task[Any]":
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, name=name, context=context)
        owner = _me.get() if context is None else context[_me]
        owner.tasks.append(task)
        return task

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Ignore it: nobody waits for what a dead process left behind."""
