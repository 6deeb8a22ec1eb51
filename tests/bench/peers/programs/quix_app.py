"""Quix Streams, which hosts our pure functions: two streaming data frames, and its state with a changelog.

Settings are its defaults, but for the compression and the linger, which are those of our own workers. Arguments:
bootstrap, prefix of the topics, partitions, folder of its data.
"""

import sys
from typing import Any

from quixstreams import Application, State, message_context
from quixstreams.models import SerializationContext, Serializer, Topic

from schemas.raw import Position
from tests.bench.peers.hosted import facts_of, joined

Headers = list[tuple[str, bytes]] | None
Output = tuple[Topic, str, bytes]
bootstrap, prefix, partitions, folder = sys.argv[1:5]
app = Application(
    broker_address=bootstrap,
    consumer_group=prefix,
    auto_offset_reset="earliest",
    processing_guarantee="at-least-once",
    state_dir=folder,
    producer_extra_config={"acks": "all", "compression.type": "snappy", "linger.ms": 5},
    loglevel="ERROR",
)


class LastOf(Serializer):
    """Writes the last of a tuple, whose one before the last is the key."""

    def __call__(self, value: tuple[Any, ...], ctx: SerializationContext) -> bytes:
        """Writes the value."""
        return value[-1]


def topic(name: str) -> Topic:
    return app.topic(
        f"{prefix}.{name}",
        key_serializer="str",
        key_deserializer="bytes",
        value_serializer=LastOf(),
        value_deserializer="bytes",
    )


raw_topic, facts_topic, records_topic, timelines_topic = map(topic, ("raw", "facts", "normalized", "timelines"))


def to_facts(value: bytes, _key: bytes, timestamp_ms: int, headers: Headers) -> list[tuple[str, bytes]]:
    place = message_context()
    return list(facts_of(value, headers or (), timestamp_ms, Position(place.topic, place.partition, place.offset)))


def to_outputs(value: bytes, _key: bytes, timestamp_ms: int, _headers: Headers, state: State) -> list[Output]:
    new, records, timelines = joined(state.get_bytes("state"), value, timestamp_ms)
    if new is not None:
        state.set_bytes("state", new)
    return [(records_topic, *each) for each in records] + [(timelines_topic, *each) for each in timelines]


facts = app.dataframe(raw_topic).apply(to_facts, expand=True, metadata=True)
facts.to_topic(facts_topic, key=lambda each: each[0])
outputs = app.dataframe(facts_topic).apply(to_outputs, stateful=True, expand=True, metadata=True)
outputs.to_topic(lambda each, _key, _timestamp, _headers: each[0], key=lambda each: each[1])

if __name__ == "__main__":
    app.run()
