"""Faust as it comes, which hosts our pure functions: two agents and a table with a changelog.

Settings are its defaults, but for the compression and the linger, which are those of our own workers; with uvloop and
its compiled extensions, as its documentation recommends. Arguments: bootstrap, prefix of the topics, partitions, folder
of its data.
"""

import sys

import faust

from schemas.raw import Position
from tests.bench.peers.hosted import facts_of, joined

bootstrap, prefix, partitions, folder = sys.argv[1:5]
app = faust.App(
    prefix,
    broker=f"kafka://{bootstrap}",
    store="memory://",  # its fastest store
    datadir=folder,
    topic_partitions=int(partitions),
    topic_replication_factor=1,
    producer_compression_type="snappy",
    producer_acks=-1,
    producer_linger=0.005,
    web_enabled=False,
)
raw_topic = app.topic(f"{prefix}.raw", key_serializer="raw", value_serializer="raw", value_type=bytes)
facts_topic = app.topic(f"{prefix}.facts", key_serializer="raw", value_serializer="raw", value_type=bytes)
records_topic = app.topic(f"{prefix}.normalized", value_serializer="raw")
timelines_topic = app.topic(f"{prefix}.timelines", value_serializer="raw")
states = app.Table(f"{prefix}.states", key_type=bytes, value_type=bytes)


@app.agent(raw_topic)
async def normalising(stream: faust.Stream) -> None:
    async for event in stream.events():
        message = event.message
        position = Position(message.topic, message.partition, message.offset)
        headers = message.headers.items() if isinstance(message.headers, dict) else message.headers or ()
        for key, fact in facts_of(event.value, headers, int(message.timestamp * 1000), position):
            await facts_topic.send(key=key.encode(), value=fact)


@app.agent(facts_topic)
async def joining(stream: faust.Stream) -> None:
    async for event in stream.events():
        key = event.key
        state, records, timelines = joined(states.get(key), event.value, int(event.message.timestamp * 1000))
        if state is not None:
            states[key] = state
        for name, record in records:
            await records_topic.send(key=name.encode(), value=record)
        for name, timeline in timelines:
            await timelines_topic.send(key=name.encode(), value=timeline)


if __name__ == "__main__":
    sys.argv = [sys.argv[0], "-L", "uvloop", "worker", "--loglevel", "error", "--without-web"]
    app.main()
