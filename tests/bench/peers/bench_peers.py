"""Ours beside peers that do the same with other means, in one run on one broker: `make bench ARGS=peers`.

Peers at the ingress read a body, produce it and answer after Kafka's acknowledgement; peers of the worker host our pure
functions. Each has an environment of its own, made here from its locks; one that cannot be made is a line that says
why. `PEER_ROUNDS=3` for medians, `PEER_CALLS` and `PEER_SECONDS` for longer runs.
"""

import os
import tempfile
from pathlib import Path
from typing import Final

import uvloop

from deploy.admin.topic_setup import create_topics
from deploy.kafka.broker import KafkaServer
from schemas.config.settings import KafkaSettings
from tests.bench.peers import ingresses, workers
from tests.bench.support.lines import Line, show
from tests.support.kafka.new_topics import make_topics

ROUNDS: Final = int(os.environ.get("PEER_ROUNDS", "1"))
CALLS: Final = int(os.environ.get("PEER_CALLS", "4000"))
SECONDS: Final = float(os.environ.get("PEER_SECONDS", "3"))
CONNECTIONS: Final = (64, 256)
PARTITIONS: Final = 6


async def bench() -> list[Line]:
    lines: list[Line] = []
    with tempfile.TemporaryDirectory(prefix="callweave-bench-") as folder:
        async with KafkaServer(Path(folder) / "kafka") as kafka:
            settings = KafkaSettings(bootstrap=kafka.bootstrap, partitions=PARTITIONS)
            await create_topics(settings)
            await make_topics(kafka.bootstrap, [ingresses.PEER_TOPIC], partitions=PARTITIONS)
            lines += await workers.compared(kafka, settings, Path(folder), CALLS, ROUNDS)
            for connections in CONNECTIONS:
                lines += await ingresses.compared(kafka, Path(folder) / "spool", connections, ROUNDS, SECONDS)
    return lines


def measure() -> list[Line]:
    """Measures the workers, whose `calls.raw` must begin empty, and then the ingresses."""
    return uvloop.run(bench())


if __name__ == "__main__":
    show(measure())
