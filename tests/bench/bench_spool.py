"""The spool's path beside Kafka's, in turns: `python -m tests.bench spool`.

The same ingress runs with a Kafka that acknowledges, and with none, so that every body is on the disk before it is
answered; each spool line's limit is the Kafka line before it. Then the store alone, by bodies a commit, beside the
largest commits.
"""

import tempfile
import time
from pathlib import Path

import uvloop

from deploy.admin.topic_setup import create_topics
from deploy.kafka.broker import KafkaServer
from deploy.process.ports import free_port
from ingress.spool.store import Body, SpoolStore
from schemas.config.settings import KafkaSettings
from tests.bench.bench_ingress import BODY, measured, server
from tests.bench.support.lines import Line, show

ROUNDS = 2
CONNECTIONS = (16, 64, 256)
GROUPS = (512, 64, 8, 1)
STORE_S = 1.0
NOBODY = "127.0.0.1:1"


async def _answers(folder: Path, what: str, bootstrap: str, connections: int, limit: float) -> list[Line]:
    port = free_port()
    env = {
        "CALLWEAVE_KAFKA__BOOTSTRAP": bootstrap,
        "CALLWEAVE_INGRESS__SPOOL_DIR": str(folder / f"spool-{port}"),
        "CALLWEAVE_INGRESS__SPOOL_MIN_FREE_BYTES": "0",
    }
    async with server(port, "-m", "deploy.cli.main", "ingress", **env):
        return await measured(what, port, "/v1/nxcloud/cdr", connections, limit)


async def bench() -> list[Line]:
    lines: list[Line] = []
    with tempfile.TemporaryDirectory(prefix="callweave-bench-") as place:
        folder = Path(place)
        async with KafkaServer(folder / "kafka") as kafka:
            await create_topics(KafkaSettings(bootstrap=kafka.bootstrap))
            for connections in CONNECTIONS:
                for turn in range(1, ROUNDS + 1):
                    acks = await _answers(folder, f"Kafka's ack, turn {turn}", kafka.bootstrap, connections, 0.0)
                    lines += acks
                    lines += await _answers(folder, f"spool, turn {turn}", NOBODY, connections, acks[0].value)
        lines += _store_alone(folder)
    return lines


def _store_alone(folder: Path) -> list[Line]:
    body = Body(topic="calls.raw", key=b"nxcloud||1", value=BODY % 1, headers=(("vendor", b"nxcloud"),))
    rates: dict[int, float] = {}
    for size in GROUPS:
        store = SpoolStore.open(folder / f"store-{size}.db")
        begun, commits = time.perf_counter(), 0
        while (took_s := time.perf_counter() - begun) < STORE_S:
            store.append([body] * size, now_ms=1)
            commits += 1
        store.close()
        rates[size] = size * commits / took_s
    largest = rates[GROUPS[0]]
    return [
        Line(bench="spool", what=f"store alone, {size} bodies a commit", value=rate, unit="bodies/s", limit=largest)
        for size, rate in rates.items()
    ]


def measure() -> list[Line]:
    """Measures both ways through the ingress, then the store."""
    return uvloop.run(bench())


if __name__ == "__main__":
    show(measure())
