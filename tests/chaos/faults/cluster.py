"""Three embedded brokers on one machine, every record on all three and acknowledged by two; each can be brought down.

Every group of clients has its own door at every broker, advertised at a proxy: who comes in by it is sent back through it,
so that the network between that group and Kafka can be cut while the others go on.
"""

import asyncio
import base64
import os
import signal
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from deploy.kafka.broker import KafkaServer
from deploy.kafka.broker_config import Listener
from tests.chaos.faults.ports import steady_ports

BROKERS: Final = 3
_HEAP: Final = "256m"


class Cluster:
    """The brokers, numbered from 0."""

    def __init__(self, data_dirs: Sequence[Path], groups: Sequence[str]) -> None:
        """A directory for each broker; `groups` name the doors."""
        ports = iter(steady_ports(BROKERS * (2 + 2 * len(groups))))
        plain = [next(ports) for _ in range(BROKERS)]
        controllers = [next(ports) for _ in range(BROKERS)]
        voters = tuple(f"{number + 1}@127.0.0.1:{port}" for number, port in enumerate(controllers))
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        self.doors: Mapping[str, tuple[Listener, ...]] = {
            group: tuple(
                Listener(name=group.upper(), port=next(ports), advertised_port=next(ports)) for _ in range(BROKERS)
            )
            for group in groups
        }
        self.bootstrap = ",".join(f"127.0.0.1:{port}" for port in plain)
        """For clients that no fault keeps away."""
        self._servers = [
            KafkaServer(
                data_dirs[number],
                port=plain[number],
                controller_port=controllers[number],
                node_id=number + 1,
                voters=voters,
                cluster_id=cluster_id,
                extra_listeners=tuple(doors[number] for doors in self.doors.values()),
                heap=_HEAP,
                minimum_free_bytes=0,
            )
            for number in range(BROKERS)
        ]

    def bootstrap_of(self, group: str) -> str:
        """The addresses that a group of clients is given: those of the proxies."""
        return ",".join(f"127.0.0.1:{door.advertised_port}" for door in self.doors[group])

    async def start(self) -> None:
        """All three at once: none answers alone."""
        await asyncio.gather(*(server.start() for server in self._servers))

    async def stop(self) -> None:
        """All three."""
        await asyncio.gather(*(server.stop() for server in self._servers))

    def send(self, number: int, what: signal.Signals) -> None:
        """A signal to one broker."""
        os.kill(self._servers[number].pid, what)

    async def kill(self, number: int) -> None:
        """End it with kill -9, and wait until it is gone."""
        self.send(number, signal.SIGKILL)
        await self._servers[number].wait()

    async def restart(self, number: int) -> None:
        """Start one that is gone on its data and its ports."""
        await self._servers[number].stop()
        await self._servers[number].start()
