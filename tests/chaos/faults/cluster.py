"""Three embedded brokers on one machine, every record on all three and acknowledged by two; each can be brought down.

Every group of clients has its own listener at every broker, which is advertised at the address of a proxy. Its clients
always come through that proxy, so that the network between one group and Kafka can be cut while the others go on.
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
from tests.chaos.faults.ports import steady_ports
from tests.support.kafka.kafka_listeners import Listener, listener_properties

BROKERS: Final = 3
_HEAP: Final = "256m"
_COPIES: Final = (
    "default.replication.factor",
    "offsets.topic.replication.factor",
    "transaction.state.log.replication.factor",
    "share.coordinator.state.topic.replication.factor",
)
_ACKNOWLEDGED_BY: Final = (
    "min.insync.replicas",
    "transaction.state.log.min.isr",
    "share.coordinator.state.topic.min.isr",
)


class Cluster:
    """The brokers, numbered from 0."""

    def __init__(self, data_dirs: Sequence[Path], groups: Sequence[str]) -> None:
        """`data_dirs` has a directory for each broker; `groups` are the names of the listeners."""
        ports = iter(steady_ports(BROKERS * (2 + 2 * len(groups))))
        plain = [next(ports) for _ in range(BROKERS)]
        controllers = [next(ports) for _ in range(BROKERS)]
        voters = ",".join(f"{number + 1}@127.0.0.1:{port}" for number, port in enumerate(controllers))
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        self.listeners: Mapping[str, tuple[Listener, ...]] = {
            group: tuple(
                Listener(name=group.upper(), port=next(ports), advertised_port=next(ports)) for _ in range(BROKERS)
            )
            for group in groups
        }
        self.bootstrap = ",".join(f"127.0.0.1:{port}" for port in plain)
        """The addresses for clients that no fault keeps away."""
        self._servers = [
            KafkaServer(
                data_dirs[number],
                port=plain[number],
                controller_port=controllers[number],
                properties={
                    "node.id": number + 1,
                    "controller.quorum.voters": voters,
                    **dict.fromkeys(_COPIES, BROKERS),
                    **dict.fromkeys(_ACKNOWLEDGED_BY, BROKERS - 1),
                    **listener_properties(
                        [listeners[number] for listeners in self.listeners.values()], plain[number], controllers[number]
                    ),
                },
                storage=(f"--cluster-id={cluster_id}",),
                heap=_HEAP,
            )
            for number in range(BROKERS)
        ]

    def bootstrap_of(self, group: str) -> str:
        """Returns the addresses for a group of clients: those of its proxies."""
        return ",".join(f"127.0.0.1:{listener.advertised_port}" for listener in self.listeners[group])

    async def start(self) -> None:
        """Starts all three at once: none answers alone."""
        await asyncio.gather(*(server.start() for server in self._servers))

    async def stop(self) -> None:
        """Stops all three."""
        await asyncio.gather(*(server.stop() for server in self._servers))

    def send(self, number: int, what: signal.Signals) -> None:
        """Sends a signal to one broker."""
        os.kill(self._servers[number].pid, what)

    async def kill(self, number: int) -> None:
        """Ends a broker with kill -9, and waits until it is gone."""
        self.send(number, signal.SIGKILL)
        await self._servers[number].wait()

    async def restart(self, number: int) -> None:
        """Starts a broker that is gone on its data and its ports."""
        await self._servers[number].stop()
        await self._servers[number].start()
