"""The spool's path beside Kafka's, in turns: `python -m tests.bench.bench_spool [seconds]`.

First the ingress as a process: its answers while Kafka acknowledges, and while there is no Kafka, so that every body is on the
disk first. Then the store alone, by bodies a commit. Rates are of one run on whatever else the machine does and on its disk:
compare the lines with each other.
"""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from deploy.kafka import KafkaServer
from deploy.ports import free_port
from deploy.topics import create_topics
from ingress.spool_store import Body, SpoolStore
from schemas.settings import KafkaSettings
from tests.bench.bench_ingress import BODY, measured, server

SECONDS = 5.0
ROUNDS = 3
CONNECTIONS = (16, 64, 256)
GROUPS = (1, 8, 64, 512)


async def side_by_side(folder: Path, seconds: float) -> None:
    print(f"{'bodies of 400 B':<34} {'conns':>5} {'requests/s':>10} {'p50 ms':>9} {'p99 ms':>9} {'refused':>9}")  # noqa: T201  # its output is its purpose
    async with KafkaServer(folder / "kafka") as kafka:
        await create_topics(KafkaSettings(bootstrap=kafka.bootstrap))
        for connections in CONNECTIONS:
            for turn in range(ROUNDS):
                for what, bootstrap in (("Kafka's acknowledgement", kafka.bootstrap), ("the spool's", "127.0.0.1:1")):
                    port = free_port()
                    env = {
                        "CALLWEAVE_KAFKA__BOOTSTRAP": bootstrap,
                        "CALLWEAVE_INGRESS__SPOOL_DIR": str(folder / f"spool-{port}"),
                        "CALLWEAVE_INGRESS__SPOOL_MIN_FREE_BYTES": "0",
                    }
                    async with server(port, "-m", "deploy.cli", "ingress", **env):
                        await measured(f"{turn + 1}. {what}", port, "/v1/nxcloud/cdr", connections, seconds)


def store_alone(folder: Path, seconds: float) -> None:
    print(f"\n{'bodies a commit':>16} {'commits/s':>10} {'bodies/s':>10} {'ms a commit':>12}")  # noqa: T201
    body = Body(topic="calls.raw", key=b"nxcloud||1", value=BODY % 1, headers=(("vendor", b"nxcloud"),))
    for size in GROUPS:
        store = SpoolStore.open(folder / f"store-{size}.db")
        begun, commits = time.perf_counter(), 0
        while (took_s := time.perf_counter() - begun) < seconds:
            store.append([body] * size, now_ms=1)
            commits += 1
        store.close()
        rate = commits / took_s
        print(f"{size:>16} {rate:>10,.0f} {size * rate:>10,.0f} {1000 / rate:>12.2f}")  # noqa: T201


async def main(seconds: float) -> None:
    with tempfile.TemporaryDirectory(prefix="callweave-bench-") as place:
        await side_by_side(Path(place), seconds)
        await asyncio.to_thread(store_alone, Path(place), min(2.0, seconds))


if __name__ == "__main__":
    uvloop.run(main(float(sys.argv[1]) if sys.argv[1:] else SECONDS))
