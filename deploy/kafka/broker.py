"""The embedded Apache Kafka: one KRaft node on the loopback interface, its data kept between starts.

It is used when no bootstrap address is set, and by the tests. It is the real broker, so no other part knows that it is
embedded: the parts get an address and speak Kafka's protocol.
"""

import asyncio
import base64
import contextlib
import errno
import signal
import threading
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import IO, Final, Self

from aiokafka.errors import KafkaError

from deploy.kafka.broker_config import NODE_ID, Node, jvm_options, log4j_properties, server_properties
from deploy.kafka.class_archive import ClassArchive
from deploy.kafka.crash_report import explain_crash
from deploy.kafka.jars import StartProgress, default_cache_dir, kafka_class_path
from deploy.kafka.java import find_java
from deploy.process.child import Child, spawn
from deploy.process.data_dir import claim
from deploy.process.ports import free_port, require_free
from schemas.config.settings import KafkaSettings
from schemas.errors import SetupError
from schemas.kafka.clients import admin

START_LIMIT_S: Final = 90.0
"""A cold disk with much data to check takes long; a healthy start takes 2 to 4 seconds."""
STOP_LIMIT_S: Final = 20.0
MINIMUM_FREE_BYTES: Final = 512 * 1024 * 1024
"""With less free space a broker would soon stop in the middle of a write, so it is not started."""
_POLL_S: Final = 0.05
_PORT_TRIES: Final = 3
_IN_ORDER: Final = (0, 128 + signal.SIGTERM)
"""Exit codes of a JVM that ended by itself or because it was asked to."""


def _quiet(_stage: str, _fraction: float | None) -> None:
    """Ignores the progress of a start."""


class KafkaServer:
    """A broker that runs between `start` and `stop`; also an async context manager."""

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int = 0,
        heap: str = "384m",
        cache_dir: Path | None = None,
        progress: StartProgress = _quiet,
        controller_port: int = 0,
        properties: Mapping[str, object] = MappingProxyType({}),
        storage: tuple[str, ...] = (),
    ) -> None:
        """Ports of 0 are picked at start.

        `properties` are further ones of the broker, and `storage` further arguments of the tool that prepares its
        storage, as for a node of a cluster.
        """
        self._data_dir = data_dir.absolute()
        self._port = port
        self._heap = heap
        self._cache_dir = cache_dir or default_cache_dir()
        self._progress = progress
        self._controller_port = controller_port
        self._properties = properties
        self._storage = storage
        self._lock: IO[str] | None = None
        self._child: Child | None = None
        self._node: Node | None = None
        self._archive: ClassArchive | None = None

    @property
    def port(self) -> int:
        """The port it listens on; known after `start`."""
        if self._node is None:
            raise RuntimeError("the broker was not started")
        return self._node.port

    @property
    def bootstrap(self) -> str:
        """The address for clients."""
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process id of Java."""
        if self._child is None:
            raise RuntimeError("the broker was not started")
        return self._child.pid

    @property
    def log_file(self) -> Path:
        """The file with Kafka's own warnings and errors."""
        return self._data_dir / "broker.log"

    async def start(self) -> None:
        """Starts it and returns when it answers; raises SetupError with what to do when it cannot."""
        java = await asyncio.to_thread(find_java)
        jars = await self._jars()
        command = (str(java), "-cp", ":".join(map(str, jars)))
        self._archive = ClassArchive(self._cache_dir, java, jars)
        self._lock = claim(self._data_dir, what="Kafka", minimum_free_bytes=MINIMUM_FREE_BYTES)
        try:
            await self._start_somewhere(command)
        except OSError as exc:
            await self.stop()
            raise SetupError(
                f"the data directory {self._data_dir} of Kafka cannot be written: {exc.strerror or exc}",
                code="no_disk" if exc.errno == errno.ENOSPC else "no_access",
                advice="Free some space, make it writable for you, or set another data directory.",
            ) from exc
        except BaseException:
            await self.stop()
            raise

    async def wait(self) -> SetupError:
        """Waits until a started broker ends by itself; returns the reason as far as its log tells."""
        if self._child is None:
            raise RuntimeError("the broker was not started")
        code = await self._child.wait()
        return self._explained(code)

    async def stop(self) -> None:
        """Stops it: asks first, kills after a bound; does nothing when it does not run."""
        await self._end_child()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _jars(self) -> tuple[Path, ...]:
        """Returns Kafka's files; a start that is cancelled while they are downloaded fetches no further one."""
        cancelled = threading.Event()

        def progress(stage: str, fraction: float | None) -> None:
            if cancelled.is_set():
                raise asyncio.CancelledError
            self._progress(stage, fraction)

        try:
            return await asyncio.to_thread(kafka_class_path, self._cache_dir, progress)
        finally:
            cancelled.set()  # cancelling the waiter does not cancel its thread

    def _pick_ports(self) -> Node:
        for port in (self._port, self._controller_port):
            if port:
                require_free(port, what="Kafka", setting="its port")
        return Node(
            data_dir=self._data_dir,
            port=self._port or free_port(),
            controller_port=self._controller_port or free_port(),
        )

    async def _start_somewhere(self, command: tuple[str, ...]) -> None:
        """Starts it on its port; where none is set, on a free one, and on another one if that is taken meanwhile."""
        for attempt in range(1, _PORT_TRIES + 1):
            try:
                await self._start_on(command, self._pick_ports())
            except SetupError as exc:
                if exc.code != "port_in_use" or self._port != 0 or attempt == _PORT_TRIES:
                    raise
                await self._end_child()
            else:
                return

    async def _end_child(self) -> None:
        if self._child is not None:
            code = await self._child.stop(grace_s=STOP_LIMIT_S)
            self._child = None
            if self._archive is not None:
                await asyncio.to_thread(self._archive.keep, complete=code in _IN_ORDER)

    async def _start_on(self, command: tuple[str, ...], node: Node) -> None:
        properties = self._data_dir / "server.properties"
        log4j = self._data_dir / "log4j2.properties"
        properties.write_text(server_properties(node, self._properties))
        log4j.write_text(log4j_properties(self.log_file))
        self.log_file.unlink(missing_ok=True)
        command = (*command, *jvm_options(heap=self._heap, log4j_file=log4j))
        reading, starting = (self._archive.reading(), self._archive.reading_or_writing()) if self._archive else ((), ())
        if not self._already_formatted(node):
            await self._format((*command, *reading), properties)
        self._progress("Starting Kafka", None)
        self._child = await spawn((*command, *starting, "kafka.Kafka", str(properties)), output=self._console)
        self._node = node
        await self._until_it_answers(self._child)
        self._progress("Kafka is ready", 1.0)

    def _already_formatted(self, node: Node) -> bool:
        try:
            lines = (node.log_dir / "meta.properties").read_text().splitlines()
        except FileNotFoundError:
            return False
        stored = dict(line.split("=", 1) for line in lines if "=" in line)
        wanted = str(self._properties.get("node.id", NODE_ID))
        if stored.get("node.id") != wanted:
            raise SetupError(
                f"{self._data_dir} belongs to another Kafka: its node.id is {stored.get('node.id')}, not {wanted}",
                code="other_cluster",
                advice="Set another data directory, or remove that one if its data may go.",
            )
        return True

    async def _format(self, command: tuple[str, ...], properties: Path) -> None:
        self._progress("Preparing Kafka's storage", None)
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        arguments = (
            "format",
            "--ignore-formatted",
            f"--cluster-id={cluster_id}",
            f"--config={properties}",
            *self._storage,
        )
        self._child = await spawn((*command, "kafka.tools.StorageTool", *arguments), output=self._console)
        code: int | None = None
        with contextlib.suppress(TimeoutError):
            code = await asyncio.wait_for(self._child.wait(), START_LIMIT_S)
        if code != 0:
            raise self._explained(code)

    async def _until_it_answers(self, child: Child) -> None:
        deadline = asyncio.get_running_loop().time() + START_LIMIT_S
        while child.returncode is None:
            if await answers(self.port):
                return
            if asyncio.get_running_loop().time() > deadline:
                raise self._explained(None)
            await asyncio.sleep(_POLL_S)
        raise self._explained(child.returncode)

    def _explained(self, code: int | None) -> SetupError:
        return explain_crash(self._last_lines(), code=code, data_dir=self._data_dir, log_file=self.log_file)

    @property
    def _console(self) -> Path:
        return self._data_dir / "console.log"

    def _last_lines(self) -> tuple[str, ...]:
        lines: list[str] = []
        for path in (self._console, self.log_file):
            with contextlib.suppress(FileNotFoundError):
                lines += path.read_text(errors="replace").splitlines()[-200:]
        return tuple(lines)


async def answers(port: int) -> bool:
    """True when a broker on this machine answers a metadata request and names itself in the answer."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False  # the client would log an error each time
    writer.close()
    client = admin(KafkaSettings(bootstrap=f"127.0.0.1:{port}", request_timeout_ms=5_000), "starts")
    try:
        await client.start()
        described = await client.describe_cluster()
    except (KafkaError, OSError):
        return False
    finally:
        await client.close()
    return bool(described["brokers"]) and described["controller_id"] is not None
