"""The processes, servers, partitions and disks that a rate of events takes, worked out from measured costs. Pure.

`python -m deploy.admin.capacity` writes the tables of `deploy/CAPACITY.md` anew; a test compares the two. After a
change of a cost, `COSTS` is the only place to change.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import msgspec

from deploy.admin.contract_lists import texts_below
from schemas.config.settings import Settings
from schemas.topics import FACTS, NORMALIZED, RAW, STATE, TIMELINES

FILE: Final = Path(__file__).parents[1] / "CAPACITY.md"
BEGIN: Final = "<!-- written by python -m deploy.admin.capacity -->\n"
END: Final = "<!-- end -->\n"
RATES: Final = (10_000, 100_000, 1_000_000)
_DAY_S: Final = 86_400


class Cost(msgspec.Struct, frozen=True):
    """One measured cost of an event, and the command that measures it."""

    value: float
    unit: str
    meaning: str
    command: str


_WHOLE_WAY: Final = "make bench ARGS=whole_way"
_COMPARE: Final = "make bench ARGS=compare"
COSTS: Final[Mapping[str, Cost]] = MappingProxyType(
    {
        "ingress": Cost(46, "us", "CPU of the ingress", _WHOLE_WAY),
        "worker": Cost(121, "us", "CPU of the workers", _WHOLE_WAY),
        "sink": Cost(18, "us", "CPU of the sink", _WHOLE_WAY),
        "clickhouse": Cost(44, "us", "CPU of ClickHouse, merges with it", _WHOLE_WAY),
        "broker": Cost(23, "us", "CPU of the broker, one replica", _WHOLE_WAY),
        "request": Cost(383, "B", "a request on the wire, head and body", _COMPARE),
        RAW.name: Cost(90, "B", f"on disk in `{RAW.name}`", _COMPARE),
        FACTS.name: Cost(298, "B", f"on disk in `{FACTS.name}`", _COMPARE),
        NORMALIZED.name: Cost(227, "B", f"on disk in `{NORMALIZED.name}`", _COMPARE),
        TIMELINES.name: Cost(62, "B", f"on disk in `{TIMELINES.name}`", _COMPARE),
        STATE.name: Cost(168, "B", f"on disk in `{STATE.name}`", _COMPARE),
        "rows": Cost(173, "B", "on disk in ClickHouse's tables", _COMPARE),
        "remembered": Cost(1181, "B", "memory of the workers for a call that is remembered", _COMPARE),
    }
)


class Machines(msgspec.Struct, frozen=True, kw_only=True):
    """The servers, and how full they may be."""

    busy: float = 0.5
    """Share of a core that live events may take: the rest makes up an hour's backlog in an hour."""
    events_a_call: float = 1.0
    """Events of one call: 1 where vendors send a record alone."""
    replication: int = 3
    """Replicas on Kafka, as `kafka.replication` should be on a cluster."""
    broker_cores: int = 8
    """Cores of a broker."""
    broker_disk_tb: float = 16.0
    """Disk of a broker, TB."""
    network_gbit: float = 10.0
    """Network of a server in each direction, Gbit/s."""
    clickhouse_cores: int = 16
    """Cores of a ClickHouse server."""
    clickhouse_disk_tb: float = 16.0
    """Disk of a ClickHouse server, TB."""
    clickhouse_replicas: int = 2
    """Servers that hold each shard."""
    disk_full: float = 0.8
    """Share of a disk that may be used."""
    kept_days: int = 365
    """Days that are counted of what the settings keep for ever."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The needs of a rate of events."""

    ingress: int
    workers: int
    sinks: int
    partitions: int
    brokers_by_cpu: int
    brokers_by_network: int
    brokers_by_disk: int
    shards_by_cpu: int
    shards_by_disk: int
    kafka_tb: float
    """All replicas, with the retention of the topics' contract."""
    clickhouse_tb: float
    """One replica, with the days of `keep`."""
    remembered_gb: float
    """Memory of all workers for the calls of `join.horizon_s`."""
    from_vendors_gbit: float
    into_brokers_gbit: float
    """The bytes that are produced, and those that other replicas fetch."""
    out_of_brokers_gbit: float

    @property
    def brokers(self) -> int:
        """The most that CPU, network and disk ask for, and no fewer than the replicas."""
        return max(self.brokers_by_cpu, self.brokers_by_network, self.brokers_by_disk)

    @property
    def shards(self) -> int:
        """The most that CPU and disk ask for."""
        return max(self.shards_by_cpu, self.shards_by_disk)


def plan(
    events_a_second: float,
    settings: Settings | None = None,
    machines: Machines | None = None,
    costs: Mapping[str, Cost] = COSTS,
) -> Plan:
    """Returns what a rate takes with these settings, their defaults without any."""
    settings, machines = settings or Settings(), machines or Machines()

    def cores(part: str) -> float:
        return events_a_second * costs[part].value / 1e6 / machines.busy

    def at_least_one(needed: float) -> int:
        return max(1, math.ceil(round(needed, 9)))

    produced = {
        topic.name: events_a_second * costs[topic.name].value for topic in (RAW, FACTS, NORMALIZED, TIMELINES, STATE)
    }
    kafka_bytes = machines.replication * _kept_bytes(produced, settings, machines)
    written = sum(produced.values()) * machines.replication
    read = sum(produced[topic.name] for topic in (RAW, FACTS, NORMALIZED, TIMELINES))
    out = read + sum(produced.values()) * (machines.replication - 1)
    usable_bytes_s = machines.network_gbit * 1e9 / 8 * machines.busy
    rows_bytes = events_a_second * costs["rows"].value * _DAY_S * (_row_days(settings) or machines.kept_days)
    calls = events_a_second / machines.events_a_call * settings.join.horizon_s
    workers = at_least_one(cores("worker"))
    return Plan(
        ingress=at_least_one(cores("ingress")),
        workers=workers,
        sinks=at_least_one(cores("sink")),
        partitions=_partitions(workers),
        brokers_by_cpu=max(
            machines.replication, at_least_one(cores("broker") * machines.replication / machines.broker_cores)
        ),
        brokers_by_network=at_least_one(max(written, out) / usable_bytes_s),
        brokers_by_disk=at_least_one(kafka_bytes / (machines.broker_disk_tb * 1e12 * machines.disk_full)),
        shards_by_cpu=at_least_one(cores("clickhouse") / machines.clickhouse_cores),
        shards_by_disk=at_least_one(rows_bytes / (machines.clickhouse_disk_tb * 1e12 * machines.disk_full)),
        kafka_tb=kafka_bytes / 1e12,
        clickhouse_tb=rows_bytes / 1e12,
        remembered_gb=calls * costs["remembered"].value / 1e9,
        from_vendors_gbit=events_a_second * costs["request"].value * 8 / 1e9,
        into_brokers_gbit=written * 8 / 1e9,
        out_of_brokers_gbit=out * 8 / 1e9,
    )


def _kept_bytes(produced: Mapping[str, float], settings: Settings, machines: Machines) -> float:
    """Returns the bytes of one replica: of `STATE` those of the horizon, of `TIMELINES` those that are counted."""
    kept_s = {topic.name: topic.retention_days * _DAY_S for topic in (RAW, FACTS, NORMALIZED)}
    kept_s |= {TIMELINES.name: machines.kept_days * _DAY_S, STATE.name: settings.join.horizon_s}
    return sum(produced[name] * seconds for name, seconds in kept_s.items())


def _row_days(settings: Settings) -> int:
    """Returns the days that the rows of calls are kept; 0: for ever."""
    days = (settings.keep.cdr_days, settings.keep.timelines_days)
    return 0 if 0 in days else max(days)


def _partitions(workers: int) -> int:
    """Returns twice as many as there are workers, so that there may be more workers later; the default at least."""
    default: int = Settings().kafka.partitions
    return max(default, default * math.ceil(2 * workers / default))


def tables() -> str:
    """Returns all tables as Markdown."""
    plans = {rate: plan(rate) for rate in RATES}
    head = ("events a second", *(f"{rate:,}" for rate in plans))

    def rows(*wanted: tuple[str, Callable[[Plan], float]]) -> list[tuple[str, ...]]:
        return [(what, *(_number(value(each)) for each in plans.values())) for what, value in wanted]

    costs = [(one.meaning, f"{one.value:,g} {one.unit}", f"`{one.command}`") for one in COSTS.values()]
    return "\n".join(
        (
            "## What it takes\n",
            _table(head, rows(*_TAKES)),
            "## Why so many\n",
            _table(head, rows(*_REASONS)),
            "## Measured costs\n",
            "Each for one event, on a machine of two cores that all parts shared.\n",
            _table(("cost of an event", "value", "command"), costs),
            "## What is assumed of the machines\n",
            _table(("assumed", "value"), [(text, f"{getattr(Machines(), name):g}") for name, text in _texts(Machines)]),
        )
    )


_TAKES: Final[tuple[tuple[str, Callable[[Plan], float]], ...]] = (
    ("ingress processes", lambda one: one.ingress),
    ("workers (`callweave process`)", lambda one: one.workers),
    ("sinks", lambda one: one.sinks),
    ("partitions (`kafka.partitions`)", lambda one: one.partitions),
    ("brokers", lambda one: one.brokers),
    ("ClickHouse shards, each of two servers", lambda one: one.shards),
    ("Kafka's disks, all replicas, TB", lambda one: one.kafka_tb),
    ("ClickHouse's disks, one replica, TB", lambda one: one.clickhouse_tb),
    ("memory of all workers for calls of 7 days, GB", lambda one: one.remembered_gb),
)
_REASONS: Final[tuple[tuple[str, Callable[[Plan], float]], ...]] = (
    ("brokers by their CPU", lambda one: one.brokers_by_cpu),
    ("brokers by their network", lambda one: one.brokers_by_network),
    ("brokers by their disks", lambda one: one.brokers_by_disk),
    ("shards by CPU", lambda one: one.shards_by_cpu),
    ("shards by disk, a year of rows", lambda one: one.shards_by_disk),
    ("network from vendors, Gbit/s", lambda one: one.from_vendors_gbit),
    ("network into brokers, replicas with it, Gbit/s", lambda one: one.into_brokers_gbit),
    ("network out of brokers, replicas with it, Gbit/s", lambda one: one.out_of_brokers_gbit),
)


def _number(value: float) -> str:
    digits = 0 if value >= 100 or value == int(value) else 1 if value >= 1 else 2
    return f"{value:,.{digits}f}"


def _texts(definition: type) -> list[tuple[str, str]]:
    """Returns the fields of a class, each with its sentence, which becomes a cell."""
    return [(name, text.removesuffix(".")) for name, text in texts_below(definition)]


def _table(titles: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [titles, ("---",) * len(titles), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def document() -> str:
    """Returns the whole file: its text around the tables as it is, and the tables as they should be."""
    before, _, rest = FILE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{tables()}\n{END}{after}"


if __name__ == "__main__":
    FILE.write_text(document(), encoding="utf-8")
