"""One seeded world: vendors, ingress, spool, Kafka, workers, sinks, tables, and a schedule of failures.

Between any two steps a process may die, freeze and come back as a zombie, Kafka, ClickHouse or the disk be away, the
clock of the logs jump. Then it becomes calm, everything is started again, and at rest `judge` says what is wrong.
"""

import random
from collections.abc import Callable
from functools import partial
from typing import Final

from processors.outbox import Message
from schemas.topics import FACTS, RAW
from sinks.typed_records import TOPICS as PUBLIC
from tests.property.whole_way.bodies import sends
from tests.property.whole_way.broker import PARTITIONS, Broker, Weather
from tests.property.whole_way.clickhouse import ClickHouse
from tests.property.whole_way.disk import Disk
from tests.property.whole_way.groups import SESSION_S, Group, watch
from tests.property.whole_way.ingress_side import Ingress, Vendors
from tests.property.whole_way.judge import judge
from tests.property.whole_way.loop import NoRest, Process, WorldLoop
from tests.property.whole_way.rules import RIGHT, Rules
from tests.property.whole_way.sinking import start_sink
from tests.property.whole_way.workers import start_worker

MOST_FAULTS: Final = 10
_STEPS_BETWEEN: Final = 90
_FIRST_SENDS_S: Final = 0.6
_BACK_AFTER_S: Final = 0.15
_AWAY_S: Final = 0.5
_WHILE_TIMING_OUT_S: Final = 0.015
_LOOK_S: Final = 0.15
_JUMPS_MS: Final = (31 * 60_000, 25 * 3_600_000)
_MOST_JUMPED_MS: Final = 3 * 86_400_000
"""A horizon beyond the world's end."""
_TWO_DAYS_MS: Final = 2 * 86_400_000


class World:
    """Everything that outlives a process, and the start, stop and faults of processes."""

    def __init__(self, seed: int, rules: Rules) -> None:
        self.dice = random.Random(seed)
        random.seed(seed)  # the source of the sink's backoff
        self.rules = rules
        self.loop = WorldLoop(self.dice)  # type: ignore[abstract]  # the rest of a loop says so itself when it is called
        self.weather = Weather(self.loop, self.dice)
        self.broker = Broker(self.weather)
        self.disk = Disk(self.weather)
        self.clickhouse = ClickHouse(self.weather)
        self.vendors = Vendors(self.broker)
        self.processing = Group(self.broker, (RAW.name, FACTS.name))
        self.sinking = Group(self.broker, PUBLIC)
        self.jumped = False
        self._running: dict[str, Process] = {}
        self._faults = self.dice.randint(0, MOST_FAULTS)
        self.loop.fault_at = self._gap()
        self._closed = False

    def begin(self) -> None:
        """Start everything and let the vendors send."""
        for name in ("ingress", "worker-0", "sink-0"):
            self._start(name)
        for send in sends(self.dice):
            self.vendors.send(send, self.dice.random() * _FIRST_SENDS_S)
        self.loop.nature.spawn(watch((self.processing, self.sinking)))
        self.loop.call_later(_LOOK_S, self._look, context=self.loop.nature.context)

    def fault(self) -> None:
        """Let something go wrong; returns the time of the next fault."""
        self.loop.fault_at = self.loop.steps + self._gap()
        if self._faults:
            self._faults -= 1
            self.dice.choice(_FAULTS)(self)

    def _gap(self) -> int:
        return 1 + int(self.dice.expovariate(1 / _STEPS_BETWEEN))

    # Processes.

    def _start(self, name: str) -> None:
        if name in self._running:
            return
        process = self.loop.process(name)
        self._running[name] = process
        process.exit = partial(self._die, process)
        process.context.run(self._wire, name, process)

    def _wire(self, name: str, process: Process) -> None:
        if name == "ingress":
            self.vendors.ingress = Ingress(process, self.broker, self.disk, self.rules)
        elif name.startswith("worker"):
            start_worker(name, process, self.broker, self.processing, self.rules)
        else:
            start_sink(name, process, self.broker, self.sinking, self.clickhouse, self.rules)

    def _die(self, process: Process) -> None:
        """Kill it; its supervisor starts it again, unless it was replaced or is not wanted any more."""
        if not process.alive:
            return
        self.loop.bury(process)
        if self._running.get(process.name) is process:
            del self._running[process.name]
            self._later(_BACK_AFTER_S, self._start, process.name)

    def _later(self, most_s: float, work: Callable[..., object], *arguments: object) -> None:
        delay_s = 0.0 if self.weather.calm else self.dice.random() * most_s
        self.loop.call_later(delay_s, work, *arguments, context=self.loop.nature.context)

    # Faults.

    def kill(self) -> None:
        """Kill -9."""
        if victim := self._victim():
            self._die(victim)

    def freeze(self) -> None:
        """SIGSTOP; past the session others have its partitions, or a successor has its name, before SIGCONT."""
        process = self._victim()
        if process is None:
            return
        process.frozen = True
        self._later(3 * SESSION_S, self._thaw, process)
        if process.name != "ingress" and self.dice.random() < 0.7:
            del self._running[process.name]
            self._later(_BACK_AFTER_S, self._start, process.name)

    def _thaw(self, process: Process) -> None:
        """SIGCONT; a little later its successor dies now and then, and another one reads what the zombie left."""
        process.frozen = False
        successor = self._running.get(process.name)
        if successor is not None and successor is not process and self.dice.random() < 0.5:
            self._later(_BACK_AFTER_S, self._die, successor)

    def _victim(self) -> Process | None:
        """Choose a victim, mostly a worker: they have the most to lose."""
        workers = [process for name, process in self._running.items() if name.startswith("worker")]
        anyone = [*self._running.values(), *workers]
        return self.dice.choice(anyone) if anyone else None

    def scale(self) -> None:
        """One more worker or sink, or one less."""
        name = self.dice.choice(("worker-1", "worker-1", "sink-1"))
        process = self._running.get(name)
        if process is None:
            self._start(name)
        else:
            self.loop.bury(process)
            del self._running[name]

    def lose_kafka(self) -> None:
        """Stop all brokers' answers."""
        self.weather.kafka_away = True
        self._later(_AWAY_S, partial(setattr, self.weather, "kafka_away", False))

    def lose_clickhouse(self) -> None:
        """Stop the database's answers."""
        self.weather.clickhouse_away = True
        self._later(_AWAY_S, partial(setattr, self.weather, "clickhouse_away", False))

    def lose_disk(self) -> None:
        """Let the disk below the spool give errors."""
        self.weather.disk_broken = True
        self._later(_AWAY_S, partial(setattr, self.weather, "disk_broken", False))

    def jump(self) -> None:
        """Let the logs' clock jump by half an hour or a day; a tick may show it, a worker die while calls time out."""
        if self.rules.time_passes and self.broker.jumped_ms < _MOST_JUMPED_MS:
            self.jumped = True
            self.broker.jumped_ms += self.dice.choice(_JUMPS_MS)
            if self.dice.random() < 0.7:
                self._tick()
                if "worker-0" in self._running and self.dice.random() < 0.7:
                    self._later(_WHILE_TIMING_OUT_S, self._die, self._running["worker-0"])

    def _tick(self) -> None:
        for number in range(PARTITIONS):
            self.broker.append(Message(topic=FACTS.name, key=None, value=None, partition=number))

    # The end.

    def _look(self) -> None:
        """Calm down when all bodies are sent, and close when all is done."""
        if not self.vendors.unfinished and not self._faults:
            self.weather.calm = True
        if self.weather.calm and self._at_rest():
            if self._closed:
                self.loop.over = True
                return
            self._closed = True
            self.broker.jumped_ms += _TWO_DAYS_MS
            self._tick()
        elif not self.vendors.unfinished and self.loop.time() > 4 * _FIRST_SENDS_S:
            self._faults = 0
        self.loop.call_later(_LOOK_S, self._look, context=self.loop.nature.context)

    def _at_rest(self) -> bool:
        zombies = any(process.frozen for process in self.loop.processes)
        busy = self.disk.entries or self.broker.under_way or self.processing.behind() or self.sinking.behind()
        return not zombies and not busy


_FAULTS: Final = (
    World.kill,
    World.kill,
    World.kill,
    World.freeze,
    World.freeze,
    World.scale,
    World.lose_kafka,
    World.lose_clickhouse,
    World.lose_disk,
    World.jump,
)


def play(seed: int, rules: Rules = RIGHT) -> World:
    """Run a world until it is at rest; raises `NoRest`."""
    world = World(seed, rules)
    world.loop.nature.context.run(world.begin)
    world.loop.run(world.fault)
    return world


def wrongs(seed: int, rules: Rules = RIGHT) -> list[str]:
    """Return what is wrong in the end: nothing, for the right rules."""
    try:
        return list(judge(play(seed, rules)))
    except NoRest as exc:
        return [str(exc)]
