"""The spool, its drainer and its publisher, against a scripted Kafka in memory."""

import asyncio
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path

import pytest

from ingress.durable.durable_publisher import DurablePublisher
from ingress.durable.leftovers import _adopt
from ingress.spool.folder import of_worker
from ingress.spool.spool import Spool
from ingress.spool.store import Body, look
from schemas.config.settings import IngressSettings
from schemas.errors import SetupError, Unavailable
from schemas.metrics import Registry
from tests.unit.ingress.spool.scripted_kafka import LIMITS, SMALL, Scene, ScriptedKafka, until


@pytest.fixture
async def scene(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Scene]:
    metrics = Registry()
    folder = of_worker(tmp_path, 1)
    async with Spool(folder, getattr(request, "param", LIMITS), metrics) as spool:
        yield Scene(folder, spool, ScriptedKafka(), metrics)


async def test_a_busy_loop_leaves_the_interpreter_to_the_disk_s_thread_soon(tmp_path: Path) -> None:
    """With Python's own 5 ms each of the thread's many steps waits so long: 200 bodies took up to 0.65 s."""
    before = sys.getswitchinterval()
    try:
        sys.setswitchinterval(0.005)
        async with Spool(of_worker(tmp_path, 1), LIMITS, Registry()):
            assert sys.getswitchinterval() <= 0.00021
        sys.setswitchinterval(0.0001)
        async with Spool(of_worker(tmp_path, 2), LIMITS, Registry()):
            assert sys.getswitchinterval() <= 0.00011
    finally:
        sys.setswitchinterval(before)


async def test_with_kafka_nothing_is_spooled(scene: Scene) -> None:
    await scene.publish(1)
    assert (scene.kafka.taken, scene.spool.bodies, scene.publisher.note()) == ([(b"k", b"1")], 0, "")


@pytest.mark.parametrize("how", ["away", "late", "stuck"])
async def test_what_kafka_does_not_take_in_time_is_on_the_disk_when_publish_returns(scene: Scene, how: str) -> None:
    if how == "stuck":
        scene.kafka.stuck = {b"k"}
    else:
        setattr(scene.kafka, how, "Kafka is away" if how == "away" else True)
    await scene.publish(1)
    assert look(scene.folder / "spool.db")[0].bodies == 1  # read from the file, beside the process
    assert scene.metrics.get("callweave_spool_written_total") == 1


async def test_ready_as_long_as_one_of_both_takes_bodies_and_says_what_it_does(scene: Scene) -> None:
    scene.kafka.away = "Kafka does not answer"
    await scene.publish(1)
    assert scene.publisher.why_not() == ""
    assert scene.publisher.note().startswith("spooling: 1 bodies, ")
    assert "Kafka does not answer" in scene.publisher.note()
    scene.kafka.away = ""
    assert scene.publisher.note().startswith("draining the spool: 1 bodies")


async def test_a_body_that_kafka_finds_too_large_is_kept_apart_and_its_key_goes_on(scene: Scene) -> None:
    """An acknowledged body is never dropped, and one wrong limit must not stop a call."""
    scene.kafka.oversize = {b"2"}
    scene.kafka.away = "away"
    for number in range(1, 5):
        await scene.publish(number)
    scene.kafka.away = ""
    assert await scene.drain() == 3
    assert [value for _, value in scene.kafka.taken] == [b"1", b"3", b"4"]
    assert (scene.spool.bodies, scene.spool.too_large.bodies, scene.spool.set_aside) == (0, 1, 0)
    assert not scene.spool.holds("calls.raw", b"k")
    scene.kafka.oversize = set()
    assert await scene.spool.take_too_large_back() == 1
    assert await scene.drain() == 1
    assert [value for _, value in scene.kafka.taken] == [b"1", b"3", b"4", b"2"]
    assert scene.spool.too_large.bodies == 0


async def test_a_live_body_that_kafka_finds_too_large_is_acknowledged_and_kept(scene: Scene) -> None:
    """Its vendor may never send it again, and its size is no reason to refuse it: the ingress's own limit is."""
    scene.kafka.oversize = {b"1"}
    await scene.publish(1, no_retry=True)
    assert await scene.drain() == 0
    assert (scene.spool.bodies, scene.spool.too_large.bodies) == (0, 1)
    async with asyncio.timeout(20):
        await scene.publish(2)
    assert scene.kafka.taken == [(b"k", b"2")]


async def test_while_a_key_is_in_the_spool_what_follows_goes_behind_it(scene: Scene) -> None:
    scene.kafka.away = "away"
    await scene.publish(1)
    scene.kafka.away = ""
    await scene.publish(2)
    await scene.publish(3, b"another key")
    assert scene.kafka.taken == [(b"another key", b"3")]
    assert await scene.drain() == 2
    await scene.publish(4)
    assert [value for key, value in scene.kafka.taken if key == b"k"] == [b"1", b"2", b"4"]


@pytest.mark.parametrize(
    "scene", [IngressSettings(spool_min_free_bytes=0, spool_max_bytes=SMALL)], indirect=True, ids=["room for ten"]
)
async def test_a_body_that_finds_no_room_behind_its_key_passes_it_rather_than_being_refused(scene: Scene) -> None:
    scene.kafka.away = "away"
    for number in range(8):
        await scene.publish(number)
    scene.kafka.away = ""
    await scene.publish(8)
    assert scene.kafka.taken == [(b"k", b"8")]


async def test_a_slow_disk_is_waited_for_before_a_body_passes_those_of_its_key(scene: Scene) -> None:
    scene.kafka.away = "away"
    await scene.publish(1)
    scene.kafka.away = ""
    go_on = await hanging(scene)
    publishing = asyncio.create_task(scene.publish(2))
    await asyncio.sleep(10 * LIMITS.spool_after_ms / 1000)
    assert (publishing.done(), scene.kafka.taken) == (False, [])
    go_on.set()
    await publishing
    assert scene.kafka.taken == []


async def hanging(scene: Scene) -> threading.Event:
    """Lets the disk hang until the event is set."""
    begun, go_on = threading.Event(), threading.Event()

    def hang(_: object) -> None:
        begun.set()
        go_on.wait(20)

    scene.spool._writer.ask(hang)
    await until(begun.is_set)
    return go_on


async def test_what_a_hanging_disk_still_holds_is_counted_until_it_lets_go(scene: Scene) -> None:
    """Its request was answered long ago, but its bytes are still in memory."""
    limits = IngressSettings(spool_min_free_bytes=0, publish_timeout_s=0.05)
    publisher = DurablePublisher(scene.kafka, scene.spool, limits, scene.metrics)
    scene.kafka.away = "away"
    go_on = await hanging(scene)
    with pytest.raises(Unavailable) as refused:
        await publisher.publish("calls.raw", b"k", bytes(1000), [])
    assert refused.value.code == "timeout"
    assert 1000 < publisher.outliving_bytes < 1200
    go_on.set()
    await until(lambda: publisher.outliving_bytes == 0)


async def test_what_a_spool_holds_is_known_after_a_restart(tmp_path: Path) -> None:
    async with Spool(tmp_path, LIMITS, Registry()) as spool:
        await spool.put(Body(topic="calls.raw", key=b"k", value=b"1"), no_retry=True)
    async with Spool(tmp_path, LIMITS, Registry()) as spool:
        assert (spool.holds("calls.raw", b"k"), spool.holds("calls.raw", b"other")) == (True, False)


async def test_the_drain_keeps_the_order_of_each_key_and_empties_the_spool(scene: Scene) -> None:
    scene.kafka.away = "away"
    for number in range(300):
        await scene.publish(number, b"key %d" % (number % 7))
    scene.kafka.away = ""
    assert await scene.drain() == 300
    for key in range(7):
        assert [value for k, value in scene.kafka.taken if k == b"key %d" % key] == [
            b"%d" % n for n in range(key, 300, 7)
        ]
    assert (await scene.stored(), scene.spool.bodies, scene.spool.size_bytes) == ([], 0, 0)
    assert scene.metrics.get("callweave_spool_drained_total") == 300


async def test_a_key_that_kafka_does_not_take_holds_up_only_itself(scene: Scene) -> None:
    scene.kafka.away = "away"
    for number in range(10):
        await scene.publish(number, b"stuck" if number % 2 else b"fine")
    scene.kafka.away = ""
    scene.kafka.stuck = {b"stuck"}
    assert await scene.drain() == 5
    assert await scene.stored() == [b"1", b"3", b"5", b"7", b"9"]
    scene.kafka.stuck = set()
    assert await scene.drain() == 5
    assert [value for key, value in scene.kafka.taken if key == b"stuck"] == [b"1", b"3", b"5", b"7", b"9"]


async def test_a_late_acknowledgement_takes_the_spooled_copy_back(scene: Scene) -> None:
    scene.kafka.late = True
    await scene.publish(1)
    assert scene.spool.bodies == 1
    scene.kafka.acknowledge()
    await until(lambda: scene.spool.bodies == 0)
    scene.kafka.late = False
    assert await scene.drain() == 0
    assert scene.kafka.taken == [(b"k", b"1")]


async def test_the_drain_waits_for_what_kafka_still_holds(scene: Scene) -> None:
    """Otherwise all records that were in flight when Kafka went away would be sent twice."""
    scene.kafka.late = True
    await scene.publish(1)
    scene.kafka.late = False
    draining = asyncio.create_task(scene.drain())
    await asyncio.sleep(0)
    scene.kafka.acknowledge()
    await draining
    await until(lambda: scene.spool.bodies == 0)
    assert scene.kafka.taken == [(b"k", b"1")]


async def test_what_kafka_held_and_lost_is_drained(scene: Scene) -> None:
    scene.kafka.late = True
    await scene.publish(1)
    scene.kafka.late = False
    scene.kafka.pending[0][2].set_exception(Unavailable("lost"))
    assert await scene.drain() == 1
    assert scene.kafka.taken == [(b"k", b"1")]


async def outcome(publishing: Awaitable[None]) -> str:
    try:
        await publishing
    except Unavailable as exc:
        return exc.code
    return "taken"


@pytest.mark.parametrize(
    "scene", [IngressSettings(spool_min_free_bytes=0, spool_max_bytes=SMALL)], indirect=True, ids=["room for ten"]
)
async def test_who_can_send_again_is_turned_away_first(scene: Scene) -> None:
    scene.kafka.away = "away"
    outcomes = [
        [await outcome(scene.publish(number, no_retry=no_retry)) for number in range(9)] for no_retry in (False, True)
    ]
    assert outcomes == [["taken"] * 8 + ["spool_full"], ["taken"] * 2 + ["spool_full"] * 7]
    assert scene.metrics.get("callweave_spool_refused_total", "spool_full") == 1 + 7
    scene.kafka.away = ""
    await scene.drain()
    scene.kafka.away = "away"
    await scene.publish(99)
    assert scene.spool.bodies == 1


@pytest.mark.parametrize(
    "scene", [IngressSettings(spool_min_free_bytes=1 << 60)], indirect=True, ids=["a disk with too little room"]
)
async def test_a_disk_without_room_refuses_and_with_kafka_nobody_notices(scene: Scene) -> None:
    scene.kafka.away = "away"
    with pytest.raises(Unavailable, match="disk is full"):
        await scene.publish(1, no_retry=True)
    assert "disk is full" in scene.publisher.why_not()
    scene.kafka.away = ""
    await scene.publish(2)
    assert scene.publisher.why_not() == ""


@pytest.mark.parametrize(
    "scene", [IngressSettings(spool_min_free_bytes=1 << 60)], indirect=True, ids=["a disk with too little room"]
)
async def test_without_a_spool_a_late_acknowledgement_is_waited_for(scene: Scene) -> None:
    scene.kafka.late = True
    publishing = asyncio.create_task(scene.publish(1))
    while not scene.kafka.pending:  # noqa: ASYNC110  # two turns of the loop
        await asyncio.sleep(0)
    scene.kafka.acknowledge()
    await publishing
    assert scene.kafka.taken == [(b"k", b"1")]


async def test_a_second_process_is_refused_and_the_next_one_finds_everything(tmp_path: Path) -> None:
    kafka, metrics = ScriptedKafka(), Registry()
    kafka.away = "away"
    async with Spool(tmp_path, LIMITS, metrics) as spool:
        await DurablePublisher(kafka, spool, LIMITS, metrics).publish("calls.raw", b"k", b"1", [])
        with pytest.raises(SetupError, match="another process"):
            await Spool(tmp_path, LIMITS, metrics, patience_s=0).__aenter__()
    async with Spool(tmp_path, LIMITS, metrics) as spool:
        assert (spool.bodies, spool.oldest_s >= 0) == (1, True)


async def test_the_spool_of_a_worker_that_is_no_more_is_drained_and_removed(tmp_path: Path) -> None:
    kafka, metrics = ScriptedKafka(), Registry()
    folder = of_worker(tmp_path, 7)
    async with Spool(folder, LIMITS, metrics) as spool:
        for number in range(5):
            await spool.put(Body(topic="calls.raw", key=b"k", value=b"%d" % number), no_retry=True)
        await _adopt(folder, kafka, LIMITS, metrics)
        assert kafka.taken == []  # it still lives
    await _adopt(folder, kafka, LIMITS, metrics)
    assert [value for _, value in kafka.taken] == [b"%d" % number for number in range(5)]
    assert not folder.exists()


async def test_a_folder_that_cannot_be_made_costs_the_spool_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    metrics, kafka = Registry(), ScriptedKafka()
    async with Spool(tmp_path / "file" / "worker-1", LIMITS, metrics) as spool:
        publisher = DurablePublisher(kafka, spool, LIMITS, metrics)
        await publisher.publish("calls.raw", b"k", b"1", [])
        assert publisher.why_not() == ""
        assert "cannot be used" in publisher.note()
        kafka.away = "Kafka is away"
        with pytest.raises(Unavailable) as refused:
            await publisher.publish("calls.raw", b"k", b"2", [])
        assert (refused.value.code, publisher.why_not() != "") == ("spool", True)
        (tmp_path / "file").unlink()
        await until(lambda: not publisher.why_not())  # it mends itself
        await publisher.publish("calls.raw", b"k", b"3", [])


async def test_damage_found_while_draining_is_set_aside_and_the_rest_goes(scene: Scene) -> None:
    scene.kafka.away = "away"
    for number in range(50):
        await scene.publish(number)

    def harm(store: object) -> None:
        store._db.execute("UPDATE body SET value = x'00' WHERE id = 20")  # type: ignore[attr-defined]  # what a bad disk does

    await scene.spool._writer.ask(harm)
    scene.kafka.away = ""
    with pytest.raises(Unavailable, match="checksum"):
        await scene.drain()
    assert await scene.drain() == 49
    assert scene.spool.set_aside == 1
    assert [value for _, value in scene.kafka.taken] == [b"%d" % number for number in range(50) if number != 19]


async def test_a_file_that_somebody_removes_is_noticed_and_made_again(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.kafka.away = "away"
    (scene.folder / "spool.db").unlink()
    await until(lambda: (scene.folder / "spool.db").exists() and not scene.spool.trouble())
    await scene.publish(1)
    assert look(scene.folder / "spool.db")[0].bodies == 1
    assert "somebody removed" in caplog.text


async def test_a_body_that_is_on_the_disk_counts_once_while_nobody_has_been_told(tmp_path: Path) -> None:
    """Otherwise a vendor that calls once is refused with a quarter of the room free, and its call is lost."""
    bodies = [Body(topic="calls.raw", key=b"k%d" % number, value=b"0" * 9000, headers=()) for number in range(8)]
    limits = IngressSettings(spool_min_free_bytes=0, spool_max_bytes=100_000)
    async with Spool(tmp_path, limits, Registry()) as spool:
        stored = [spool.put(body, no_retry=True) for body in bodies[:6]]
        deadline = time.monotonic() + 10
        while spool.bodies < 6 and time.monotonic() < deadline:
            time.sleep(0.01)  # noqa: ASYNC251  # the loop is held on purpose: the disk's thread commits, and its callers do not know yet
        waiting = [one.done() for one in stored]
        stored += [spool.put(body, no_retry=True) for body in bodies[6:]]
        await asyncio.gather(*stored)

        for body in bodies[:3]:
            await spool.put(body, no_retry=True)
        with pytest.raises(Unavailable, match="the spool is full: 11 bodies"):
            await spool.put(bodies[3], no_retry=True)

    assert waiting == [False] * 6
