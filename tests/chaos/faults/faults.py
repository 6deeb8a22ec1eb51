"""The table of faults, and a schedule of them that a seed repeats. Pure: `inject.py` carries the faults out."""

import random
from collections.abc import Collection, Iterator
from typing import Final, Literal

import msgspec

Action = Literal[
    "kill", "freeze", "terminate", "broker kill", "broker freeze", "cut", "hold", "slow", "clickhouse kill",
    "clickhouse freeze", "disk full", "clock", "part clock",
]  # fmt: skip

WORKERS: Final = ("process-1", "process-2")
ON_KAFKA: Final = ("ingress", "poll", *WORKERS, "sink")


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of fault."""

    name: str
    action: Action
    targets: tuple[str, ...]
    """The parts, brokers or links of which `at_once` are hit each time."""
    weight: int
    min_s: float = 0.0
    """The shortest duration in seconds."""
    max_s: float = 0.0
    """The longest duration."""
    at_once: int = 1
    """The number of targets that are hit together."""
    watch: tuple[str, ...] = ()
    """The parts that must get back to work; empty means the target."""


class Injection(msgspec.Struct, frozen=True, kw_only=True):
    """A fault with its targets and its duration."""

    fault: Fault
    targets: tuple[str, ...]
    duration_s: float

    @property
    def watched(self) -> tuple[str, ...]:
        """The parts that must get back to work."""
        return self.fault.watch or self.targets


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """Faults that begin together, and the pause before the next ones."""

    injections: tuple[Injection, ...]
    calm_s: float


_BROKERS: Final = ("0", "1", "2")

TABLE: Final[tuple[Fault, ...]] = (
    Fault(name="ingress killed", action="kill", targets=("ingress",), weight=4),
    Fault(name="poller killed", action="kill", targets=("poll",), weight=4),
    Fault(name="worker killed", action="kill", targets=WORKERS, weight=6),
    Fault(name="both workers killed", action="kill", targets=WORKERS, at_once=2, weight=2),
    Fault(name="sink killed", action="kill", targets=("sink",), weight=6),
    Fault(name="ingress frozen", action="freeze", targets=("ingress",), weight=2, min_s=1, max_s=12),
    Fault(name="poller frozen", action="freeze", targets=("poll",), weight=2, min_s=1, max_s=12),
    Fault(name="worker frozen", action="freeze", targets=WORKERS, weight=2, min_s=1, max_s=6),
    # After its session the others have its partitions, while it still holds records of them.
    Fault(name="worker frozen past its session", action="freeze", targets=WORKERS, weight=3, min_s=13, max_s=20, watch=WORKERS),
    Fault(name="sink frozen", action="freeze", targets=("sink",), weight=2, min_s=1, max_s=12),
    Fault(name="sink frozen past its session", action="freeze", targets=("sink",), weight=1, min_s=48, max_s=52),
    Fault(name="ingress restarted", action="terminate", targets=("ingress",), weight=3),
    Fault(name="poller restarted", action="terminate", targets=("poll",), weight=2),
    Fault(name="worker restarted", action="terminate", targets=WORKERS, weight=3),
    Fault(name="sink restarted", action="terminate", targets=("sink",), weight=3),
    Fault(name="a broker down", action="broker kill", targets=_BROKERS, weight=5, min_s=1, max_s=15, watch=ON_KAFKA),
    Fault(name="two brokers down", action="broker kill", targets=_BROKERS, at_once=2, weight=3, min_s=2, max_s=15, watch=ON_KAFKA),
    Fault(name="a broker frozen", action="broker freeze", targets=_BROKERS, weight=3, min_s=2, max_s=15, watch=ON_KAFKA),
    Fault(name="ingress cut off Kafka", action="cut", targets=("ingress-kafka",), weight=3, min_s=1, max_s=12, watch=("ingress",)),
    Fault(name="poller cut off Kafka", action="cut", targets=("poll-kafka",), weight=2, min_s=1, max_s=12, watch=("poll",)),
    Fault(name="workers cut off Kafka", action="cut", targets=("workers-kafka",), weight=3, min_s=1, max_s=20, watch=WORKERS),
    Fault(name="sink cut off Kafka", action="cut", targets=("sink-kafka",), weight=3, min_s=1, max_s=15, watch=("sink",)),
    Fault(name="sink cut off ClickHouse", action="cut", targets=("sink-clickhouse",), weight=3, min_s=1, max_s=15, watch=("sink",)),
    Fault(name="vendors cut off", action="cut", targets=("vendors-ingress",), weight=2, min_s=1, max_s=6, watch=("ingress",)),
    Fault(name="poller cut off the vendor", action="cut", targets=("poll-vendor",), weight=2, min_s=1, max_s=12, watch=("poll",)),
    Fault(name="ingress's packets dropped", action="hold", targets=("ingress-kafka",), weight=2, min_s=2, max_s=14, watch=("ingress",)),
    Fault(name="workers' packets dropped", action="hold", targets=("workers-kafka",), weight=2, min_s=2, max_s=20, watch=WORKERS),
    Fault(name="sink's packets dropped", action="hold", targets=("sink-kafka", "sink-clickhouse"), weight=2, min_s=2, max_s=20, watch=("sink",)),
    Fault(name="vendors' packets dropped", action="hold", targets=("vendors-ingress", "poll-vendor"), weight=2, min_s=2, max_s=12, watch=("ingress", "poll")),
    Fault(name="slow network to Kafka", action="slow", targets=("ingress-kafka", "workers-kafka", "sink-kafka"), weight=2, min_s=3, max_s=12, watch=ON_KAFKA),
    Fault(name="ClickHouse killed", action="clickhouse kill", targets=("clickhouse",), weight=4, min_s=0, max_s=15, watch=("sink",)),
    Fault(name="ClickHouse frozen", action="clickhouse freeze", targets=("clickhouse",), weight=2, min_s=2, max_s=30, watch=("sink",)),
    Fault(name="a broker's disk full", action="disk full", targets=("broker-disk",), weight=2, min_s=4, max_s=12, watch=ON_KAFKA),
    Fault(name="ClickHouse's disk full", action="disk full", targets=("clickhouse-disk",), weight=2, min_s=4, max_s=12, watch=("sink",)),
    Fault(name="the spool's disk full", action="disk full", targets=("spool-disk",), weight=2, min_s=4, max_s=12, watch=("ingress",)),
    # The poller looks back half an hour; a clock that is further behind hides a vendor's calls until its daily sweep.
    Fault(name="vendors' clock jumps", action="clock", targets=("vendors",), weight=2, min_s=3, max_s=10, watch=("ingress", "poll")),
    Fault(name="a part's clock jumps", action="part clock", targets=("ingress", *WORKERS, "sink"), weight=3, min_s=3, max_s=15),
)  # fmt: skip

_TOGETHER: Final = 0.2
"""Share of steps in which a second fault begins with the first."""


def schedule(seed: int, *, table: tuple[Fault, ...] = TABLE, without: Collection[str] = ()) -> Iterator[Step]:
    """Yields steps without end: first every fault of the table once in the seed's order, then by weight."""
    rng = random.Random(f"chaos/{seed}")
    table = tuple(fault for fault in table if fault.name not in without)
    for fault in rng.sample(table, len(table)):
        yield Step(injections=(_injection(rng, fault),), calm_s=rng.uniform(0.5, 3))
    while True:
        first, second = (rng.choices(table, [fault.weight for fault in table])[0] for _ in range(2))
        faults = (first, second) if first != second and rng.random() < _TOGETHER else (first,)
        yield Step(injections=_compatible(rng, faults), calm_s=rng.uniform(0.5, 4))


def _compatible(rng: random.Random, faults: tuple[Fault, ...]) -> tuple[Injection, ...]:
    """Two faults never hit the same thing at once: healing one of them would heal the other."""
    made = [_injection(rng, fault) for fault in faults]
    hit = [_places(injection) for injection in made]
    return tuple(made) if len(made) == 1 or not hit[0] & hit[1] else (made[0],)


def _places(injection: Injection) -> set[str]:
    """The things that the fault affects: its targets; brokers, database and clock count as a whole."""
    words = {injection.fault.action.split()[0], *(target.removesuffix("-disk") for target in injection.targets)}
    return {*injection.targets, *(words & {"broker", "clickhouse", "clock"})}


def _injection(rng: random.Random, fault: Fault) -> Injection:
    return Injection(
        fault=fault,
        targets=tuple(rng.sample(fault.targets, fault.at_once)),
        duration_s=round(rng.uniform(fault.min_s, fault.max_s), 2),
    )
