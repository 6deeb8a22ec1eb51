"""The configuration of an embedded broker: its properties, its logging, its JVM options. Pure.

A small broker: few threads, small buffers, no work at idle, everything on the loopback interface. Clients see no
difference from other brokers, except that topics are never created by accident.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

NODE_ID: Final = 1
MESSAGE_MAX_BYTES: Final = 16 * 1024 * 1024
"""The largest batch the broker takes: above the ingress's largest body, with room for headers."""


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """One broker that is also its only controller, with its directory and ports."""

    data_dir: Path
    port: int
    controller_port: int

    @property
    def log_dir(self) -> Path:
        """The directory of Kafka's partitions and its own metadata."""
        return self.data_dir / "log"


def server_properties(node: Node, further: Mapping[str, object]) -> str:
    """Returns the text of the broker's `server.properties`; `further` are properties beside these or in their place."""
    values = {
        "process.roles": "broker,controller",
        "node.id": NODE_ID,
        "controller.quorum.voters": f"{NODE_ID}@127.0.0.1:{node.controller_port}",
        "listeners": f"BROKER://127.0.0.1:{node.port},CONTROLLER://127.0.0.1:{node.controller_port}",
        "advertised.listeners": f"BROKER://127.0.0.1:{node.port}",
        "inter.broker.listener.name": "BROKER",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": node.log_dir,
        # A misspelt topic name must be an error, not a new topic with the wrong number of partitions.
        "auto.create.topics.enable": "false",
        "default.replication.factor": 1,
        "min.insync.replicas": 1,
        "offsets.topic.replication.factor": 1,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
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
        # By default an idle controller writes an empty record twice a second: 1 % of a core, and a disk never rests.
        "metadata.max.idle.interval.ms": 5_000,
        # A broker that was killed can register again only after this time.
        "broker.session.timeout.ms": 5_000,
        "broker.heartbeat.interval.ms": 500,
        **further,
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
        # Programs may not be run from /tmp everywhere, and the broker unpacks its Snappy library.
        f"-Dorg.xerial.snappy.tempdir={log4j_file.parent}",
        f"-Dlog4j2.configurationFile={log4j_file}",
    )
