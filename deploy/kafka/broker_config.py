"""The configuration of an embedded broker: its properties, its logging, its JVM options. Pure.

A small broker: few threads, small buffers, no work at idle, everything on the loopback interface. Clients see no
difference from other brokers, except that topics are never created by accident.
"""

from pathlib import Path
from typing import Final

import msgspec

MESSAGE_MAX_BYTES: Final = 16 * 1024 * 1024
"""The largest batch the broker takes: above the ingress's largest body, with room for headers."""


class Listener(msgspec.Struct, frozen=True, kw_only=True):
    """One more listener of a broker, for clients that reach it in another way, as through a proxy."""

    name: str
    """Upper case letters."""
    port: int
    advertised_port: int
    """The port in the address that the broker gives to clients of this listener."""


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """One broker that is also a controller, with its directory and ports."""

    node_id: int
    data_dir: Path
    port: int
    controller_port: int
    voters: tuple[str, ...] = ()
    """All controllers as `id@host:port`; empty for a node that is alone."""
    extra_listeners: tuple[Listener, ...] = ()

    @property
    def log_dir(self) -> Path:
        """The directory of Kafka's partitions and its own metadata."""
        return self.data_dir / "log"


def server_properties(node: Node) -> str:
    """Returns the text of the broker's `server.properties`."""
    voters = node.voters or (f"{node.node_id}@127.0.0.1:{node.controller_port}",)
    copies = min(3, len(voters))
    extra_listeners = "".join(f",{listener.name}://127.0.0.1:{listener.port}" for listener in node.extra_listeners)
    advertised = "".join(
        f",{listener.name}://127.0.0.1:{listener.advertised_port}" for listener in node.extra_listeners
    )
    plain = "".join(f",{listener.name}:PLAINTEXT" for listener in node.extra_listeners)
    values = {
        "process.roles": "broker,controller",
        "node.id": node.node_id,
        "controller.quorum.voters": ",".join(voters),
        "listeners": f"BROKER://127.0.0.1:{node.port},CONTROLLER://127.0.0.1:{node.controller_port}{extra_listeners}",
        "advertised.listeners": f"BROKER://127.0.0.1:{node.port}{advertised}",
        "inter.broker.listener.name": "BROKER",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": f"BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT{plain}",
        "log.dirs": node.log_dir,
        # A misspelt topic name must be an error, not a new topic with the wrong number of partitions.
        "auto.create.topics.enable": "false",
        "default.replication.factor": copies,
        "min.insync.replicas": max(1, copies - 1),
        "offsets.topic.replication.factor": copies,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": max(1, copies - 1),
        "share.coordinator.state.topic.replication.factor": copies,
        "share.coordinator.state.topic.min.isr": max(1, copies - 1),
        # The defaults of 50 partitions each are for clusters; each costs open files and memory.
        "offsets.topic.num.partitions": 4,
        "transaction.state.log.num.partitions": 4,
        "share.coordinator.state.topic.num.partitions": 1,
        # One member is the usual case here: do not wait for others to join.
        "group.initial.rebalance.delay.ms": 0,
        "message.max.bytes": MESSAGE_MAX_BYTES,
        "replica.fetch.max.bytes": MESSAGE_MAX_BYTES,
        "num.network.threads": 2,
        "num.io.threads": 4,
        "num.recovery.threads.per.data.dir": 2,
        "background.threads": 2,
        "log.cleaner.threads": 1,
        "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
        "num.replica.fetchers": 1,
        # Short segments let retention and compaction work on a small machine's amounts of data.
        "log.segment.bytes": 128 * 1024 * 1024,
        "metadata.log.segment.bytes": 16 * 1024 * 1024,
        "metadata.max.retention.bytes": 64 * 1024 * 1024,
        # A broker that was killed can register again only after this time.
        "broker.session.timeout.ms": 5_000,
        "broker.heartbeat.interval.ms": 500,
    }
    return "".join(f"{name}={value}\n" for name, value in values.items())


def log4j_properties(log_file: Path) -> str:
    """Returns Kafka's logging configuration: warnings and worse, in one small rotated file."""
    return f"""\
status=error
name=broker
appender.file.type=RollingFile
appender.file.name=file
appender.file.fileName={log_file}
appender.file.filePattern={log_file}.%i
appender.file.layout.type=PatternLayout
appender.file.layout.pattern=%d{{yyyy-MM-dd'T'HH:mm:ss.SSSXXX}} %p %c{{1}} %m%n
appender.file.policies.type=Policies
appender.file.policies.size.type=SizeBasedTriggeringPolicy
appender.file.policies.size.size=10MB
appender.file.strategy.type=DefaultRolloverStrategy
appender.file.strategy.max=2
rootLogger.level=warn
rootLogger.appenderRef.file.ref=file
"""


def jvm_options(*, heap: str, log4j_file: Path) -> tuple[str, ...]:
    """Returns the options of a JVM that stays small; `heap` as in `-Xmx` (`512m`)."""
    return (
        f"-Xmx{heap}",
        "-Xms64m",
        "-Xss512k",
        # One collector thread and the least bookkeeping; its pauses on a heap of this size are a few milliseconds.
        "-XX:+UseSerialGC",
        # Gives memory back after a burst.
        "-XX:MinHeapFreeRatio=10",
        "-XX:MaxHeapFreeRatio=30",
        "-XX:ReservedCodeCacheSize=64m",
        "-XX:MaxDirectMemorySize=128m",
        "-XX:+ExitOnOutOfMemoryError",
        "-XX:-UsePerfData",
        # The quick compiler only: at the load of one machine the thorough one costs more than it gives back. Measured
        # with `python -m tests.bench whole_way`: 130 us of CPU an event with it, 85 us without, a third less when cold.
        "-XX:TieredStopAtLevel=1",
        "-Djava.awt.headless=true",
        f"-Dlog4j2.configurationFile={log4j_file}",
    )
