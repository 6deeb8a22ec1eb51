"""The topics, each with its contract: the map of the data flow, and the list that `callweave topics` creates."""

from typing import Final, Literal

import msgspec

_DAY_MS: Final = 24 * 3600 * 1000
MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024
"""Largest record on any topic: a body of the largest default size, its headers, and the additions of normalising."""

WORKERS_GROUP: Final = "callweave-process"
"""The consumer group of the workers that normalise and join."""
SINK_GROUP: Final = "callweave-sink"
"""The consumer group of the sinks."""


class Topic(msgspec.Struct, frozen=True, kw_only=True):
    """One topic and its contract."""

    name: str
    value: str
    """The meaning and the format of a record's value."""
    key: str
    cleanup: Literal["delete", "compact"]
    retention_days: int = 0
    retention_setting: str = ""
    """Name of the setting of `kafka` with the days that count instead; 0 of them: for ever."""
    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    config: dict[str, str] = {}

    def settings(self, retention_days: int | None = None) -> dict[str, str]:
        """Returns Kafka's configuration of the topic; `retention_days` are those of `retention_setting`."""
        limits = {"max.message.bytes": str(MAX_MESSAGE_BYTES)}
        if self.retention_setting:
            days = self.retention_days if retention_days is None else retention_days
            retention = {"retention.ms": str(days * _DAY_MS if days else -1)}
        else:
            retention = {"retention.ms": str(self.retention_days * _DAY_MS)} if self.retention_days else {}
        return {"cleanup.policy": self.cleanup, **limits, **retention, **self.config}


CALL_KEY: Final = "vendor|account|call id"

RAW: Final = Topic(
    name="calls.raw",
    value="the vendor's bytes, untouched; the rest in headers",
    key=CALL_KEY + ", as far as the body shows it; a push lies on any partition",
    cleanup="delete",
    retention_days=14,
    producers=("ingress", "poll", "dead replay", "conflicts resolve", "import"),
    consumers=("normalise",),
)
FACTS: Final = Topic(
    name="calls.facts",
    value="Fact (MessagePack; Avro with kafka.avro_release = previous); may repeat",
    key=CALL_KEY,
    cleanup="delete",
    retention_days=14,
    producers=("normalise",),
    consumers=("join",),
    # The joiner's only clock is the time at which the log took a record, so that a replay times out in the same way.
    config={"message.timestamp.type": "LogAppendTime"},
)
NORMALIZED: Final = Topic(
    name="calls.normalized",
    value="Fact (Avro), deduplicated",
    key=CALL_KEY,
    cleanup="delete",
    retention_days=30,
    producers=("join",),
    consumers=("sink", "other services"),
)
TIMELINES: Final = Topic(
    name="calls.timelines",
    value="Timeline (Avro); the highest version is the truth",
    key="timeline id",
    cleanup="compact",
    producers=("join", "erase"),
    consumers=("sink", "other services"),
    config={"min.compaction.lag.ms": "3600000", "max.compaction.lag.ms": "21600000"},
)
DEAD: Final = Topic(
    name="calls.dead",
    value="DeadLetter (Avro)",
    key="vendor",
    cleanup="delete",
    retention_days=30,
    producers=("normalise", "join", "sink"),
    consumers=("sink",),
)
LEDGER: Final = Topic(
    name="calls.ledger",
    value="LedgerEntries (MessagePack): what became of elements of raw records, private; may repeat",
    key="stage/partition that it read",
    cleanup="delete",
    retention_days=14,
    producers=("normalise", "join", "replay"),
    consumers=("sink",),
)
STATE: Final = Topic(
    name="calls.join-state",
    value="what the joiner knows of a call, private",
    key=CALL_KEY,
    cleanup="compact",
    producers=("join",),
    consumers=("join",),
    # A worker that takes a partition over reads all of it, so it is kept short: small segments, cleaned early. The lag
    # is long enough for the owner to repair records of a worker that had lost the partition without knowing it.
    config={
        "min.compaction.lag.ms": "600000",
        "max.compaction.lag.ms": "3600000",
        "min.cleanable.dirty.ratio": "0.1",
        "segment.bytes": "67108864",
        "segment.ms": "600000",
    },
)
AUDIT: Final = Topic(
    name="calls.audit",
    value="AuditEntry (Avro): who was refused, and who changed what by hand",
    key="the kind of event",
    cleanup="delete",
    producers=("ingress", "poll", "normalise", "join", "sink", "commands"),
    consumers=("audit list",),
    retention_days=365,
    retention_setting="audit_retention_days",
    # The trail only grows until it is old: nothing is removed because there is much of it.
    config={"retention.bytes": "-1"},
)
POLLS: Final = Topic(
    name="calls.poll-checkpoints",
    value="a poller's checkpoint (JSON), private",
    key="vendor|account",
    cleanup="compact",
    producers=("poll",),
    consumers=("poll",),
)
ERASURES: Final = Topic(
    name="calls.erasures",
    value="Erasure (Avro): a number (as a keyed hash) or an account whose data up to an instant are erased",
    key="what is erased",
    cleanup="compact",
    producers=("erase",),
    consumers=("normalise", "join", "sink"),
)

TOPICS: Final[tuple[Topic, ...]] = (RAW, FACTS, NORMALIZED, TIMELINES, DEAD, LEDGER, STATE, POLLS, AUDIT, ERASURES)
