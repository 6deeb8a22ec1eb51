"""The beginning and the end of each fault. A fault whose target is not running has nothing to do."""

import asyncio
import itertools
import os
import signal
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Final

from tests.chaos.faults.faults import Action, Injection
from tests.chaos.world import World

_SLOW_S: Final = 0.2
_DISK_BROKER: Final = 2
_AHEAD_S: Final = -1500
"""Half an hour less the longest fault, which the poller's look back covers."""
_JUMPS_S: Final = itertools.cycle((-79_200, 7_200, 79_200, -1_800))
"""Back and forth by less than a day: a vendor's instant that lies further in the future is not believed."""


def impossible(world: World, injection: Injection) -> str:
    """Returns the reason for which the fault is impossible on this machine; "" when it is possible."""
    if injection.fault.action == "disk full":
        return world.disks[injection.targets[0]].refusal
    if injection.fault.action == "part clock":
        return world.walls.refusal
    return ""


async def run_fault(world: World, injection: Injection) -> None:
    """Begins the fault, waits for its duration, and ends it."""
    await _ACTIONS[injection.fault.action](world, injection)


async def _signal(world: World, injection: Injection, what: signal.Signals) -> None:
    for name in injection.targets:
        if pid := world.parts[name].pid:
            os.kill(pid, what)
    await asyncio.sleep(injection.duration_s)


async def _kill(world: World, injection: Injection) -> None:
    await _signal(world, injection, signal.SIGKILL)


async def _terminate(world: World, injection: Injection) -> None:
    await _signal(world, injection, signal.SIGTERM)


async def _freeze(world: World, injection: Injection) -> None:
    pids = [pid for name in injection.targets if (pid := world.parts[name].pid)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(injection.duration_s)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


async def _broker_kill(world: World, injection: Injection) -> None:
    numbers = [int(target) for target in injection.targets]
    try:
        await asyncio.gather(*(world.cluster.kill(number) for number in numbers))
        await asyncio.sleep(injection.duration_s)
    finally:
        await asyncio.gather(*(world.cluster.restart(number) for number in numbers))


async def _broker_freeze(world: World, injection: Injection) -> None:
    number = int(injection.targets[0])
    world.cluster.send(number, signal.SIGSTOP)
    try:
        await asyncio.sleep(injection.duration_s)
    finally:
        world.cluster.send(number, signal.SIGCONT)


async def _cut(world: World, injection: Injection) -> None:
    for name in injection.targets:
        world.links[name].cut()
    await _then_mend(world, injection)


async def _hold(world: World, injection: Injection) -> None:
    for name in injection.targets:
        world.links[name].hold()
    await _then_mend(world, injection)


async def _slow(world: World, injection: Injection) -> None:
    for name in injection.targets:
        world.links[name].slow(_SLOW_S)
    await _then_mend(world, injection)


async def _then_mend(world: World, injection: Injection) -> None:
    try:
        await asyncio.sleep(injection.duration_s)
    finally:
        for name in injection.targets:
            world.links[name].mend()


async def _clickhouse_kill(world: World, injection: Injection) -> None:
    os.kill(world.clickhouse.pid, signal.SIGKILL)
    try:
        await asyncio.sleep(injection.duration_s)
    finally:
        await world.clickhouse.stop()
        await world.clickhouse.start()


async def _clickhouse_freeze(world: World, injection: Injection) -> None:
    pid = world.clickhouse.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(injection.duration_s)
    finally:
        os.kill(pid, signal.SIGCONT)


async def _disk_full(world: World, injection: Injection) -> None:
    """A broker whose only disk fails ends itself, so it is started again when there is room; ClickHouse goes on."""
    disk = world.disks[injection.targets[0]]
    await asyncio.to_thread(disk.fill)
    try:
        await asyncio.sleep(injection.duration_s)
    finally:
        disk.free()
        if injection.targets[0] == "broker-disk":
            await world.cluster.restart(_DISK_BROKER)


async def _clock(world: World, injection: Injection) -> None:
    world.clock.ahead = timedelta(seconds=_AHEAD_S)
    try:
        await asyncio.sleep(injection.duration_s)
    finally:
        world.clock.ahead = timedelta()


async def _part_clock(world: World, injection: Injection) -> None:
    world.walls.set(injection.targets[0], next(_JUMPS_S))
    try:
        await asyncio.sleep(injection.duration_s)
    finally:
        world.walls.set(injection.targets[0], 0)


_ACTIONS: Final[Mapping[Action, Callable[[World, Injection], Awaitable[None]]]] = {
    "kill": _kill,
    "freeze": _freeze,
    "terminate": _terminate,
    "broker kill": _broker_kill,
    "broker freeze": _broker_freeze,
    "cut": _cut,
    "hold": _hold,
    "slow": _slow,
    "clickhouse kill": _clickhouse_kill,
    "clickhouse freeze": _clickhouse_freeze,
    "disk full": _disk_full,
    "clock": _clock,
    "part clock": _part_clock,
}
