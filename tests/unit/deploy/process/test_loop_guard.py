"""A blocked event loop: measured, published in the metrics, and ended from outside."""

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import aiohttp
import pytest

from deploy.process.loop_guard import WINDOW_S, Pauses, guarded_loop
from deploy.process.ports import free_port
from deploy.process.readiness import not_ready
from deploy.runtime import metrics_page
from schemas.metrics import Name, Registry

ROOT = Path(__file__).parents[4]
_HELD = """
import asyncio, ctypes, sys, time
from deploy.runtime import run_part
from schemas.config.settings import Settings

async def part(settings, stop, metrics):
    await asyncio.sleep(0.5)
    print("holding", flush=True)
    {how}
    print("went on", flush=True)

sys.exit(run_part(part, Settings(), name="process", blocked_s={blocked_s}))
"""


def test_the_longest_pause_of_the_last_minute() -> None:
    pauses = Pauses()
    assert pauses.longest(0.0) == 0.0
    for at_s, late_s in ((1.0, 0.0), (2.0, 0.5), (3.0, 0.1)):
        pauses.next_look(at_s)
        pauses.look(at_s + late_s)
    pauses.next_look(4.0)
    assert pauses.longest(3.9) == 0.5
    assert pauses.longest(7.0) == 3.0  # the pause that has just ended, before the next look
    pauses.look(4.0)
    assert pauses.longest(2.5 + WINDOW_S) == 2.5 + WINDOW_S - 4.0
    pauses.next_look(200.0)
    assert pauses.longest(200.0) == 0.0


def run_held(how: str, *, blocked_s: float) -> "subprocess.CompletedProcess[str]":
    """Runs a part whose loop is blocked by this code."""
    return subprocess.run(
        [sys.executable, "-c", _HELD.format(how=how, blocked_s=blocked_s)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    "how",
    [
        pytest.param("ctypes.PyDLL(None).sleep(300)", id="in C, with the interpreter's lock"),
        pytest.param("time.sleep(300)", id="in C, without it"),
        pytest.param("while True: pass", id="in Python"),
        pytest.param("pow(7, 10 ** 9)", id="a number"),
    ],
)
def test_a_part_whose_loop_is_held_is_ended_and_says_where(how: str) -> None:
    done = run_held(how=how, blocked_s=1.5)

    assert done.returncode == 1
    assert done.stdout == "holding\n"
    assert "most recent call first" in done.stderr
    assert 'File "<string>", line 9 in part' in done.stderr


def test_a_part_whose_loop_is_held_for_less_goes_on() -> None:
    done = run_held(how="time.sleep(0.3)", blocked_s=20)

    assert (done.returncode, done.stdout) == (0, "holding\nwent on\n"), done.stderr


async def test_a_pause_is_measured() -> None:
    metrics = Registry()
    async with guarded_loop(metrics, "sink", blocked_s=0):
        await asyncio.sleep(0.3)
        time.sleep(0.8)  # noqa: ASYNC251 - the block under test
        await asyncio.sleep(0.3)
        metrics.refresh()

    assert metrics.get("callweave_loop_blocked_seconds", "sink") >= 0.5


READY: tuple[tuple[Name, tuple[str, ...], float], ...] = (("callweave_process_partitions", ("join",), 12),)


@pytest.mark.parametrize(
    ("part", "gauges", "reason"),
    [
        pytest.param("process", READY, "", id="a worker at work"),
        pytest.param("process", (), "no partition is assigned to it", id="a worker without partitions"),
        pytest.param(
            "process", (*READY, ("callweave_process_stalled_partitions", ("normalise",), 2)), "2 partitions do not move", id="it stands"
        ),
        pytest.param(
            "process", (*READY, ("callweave_process_deaths", (), 3)), "workers here ended 3 times", id="it dies again and again"
        ),
        pytest.param(
            "process",
            (*READY, ("callweave_loop_blocked_seconds", ("process",), 9)),
            "its event loop was blocked for 9 s",
            id="its loop was held",
        ),
        pytest.param("sink", (), "", id="a sink at work"),
        pytest.param("sink", (("callweave_sink_waiting", (), 1),), "it waits for ClickHouse", id="a sink that waits"),
        pytest.param("poll", (), "", id="a poller"),
    ],
)  # fmt: skip
async def test_whether_a_part_is_ready(
    part: str, gauges: tuple[tuple[Name, tuple[str, ...], float], ...], reason: str
) -> None:
    metrics, port = Registry(), free_port()
    for name, labels, value in gauges:
        metrics.put(name, *labels, value=value)
    async with (
        metrics_page(metrics, port, part),
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http,
        http.get("/healthz") as alive,
        http.get("/readyz") as ready,
    ):
        answer = await ready.json()

    assert alive.status == 200
    assert ready.status == (503 if reason else 200)
    assert answer["ready"] is not bool(reason)
    assert reason in answer.get("reason", "")
    assert bool(not_ready(metrics, part)) == bool(reason)


@pytest.mark.parametrize("request_", [b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", b"no HTTP\r\n\r\n"])
async def test_no_answer_of_a_parts_pages_names_a_version(request_: bytes) -> None:
    port = free_port()
    async with metrics_page(Registry(), port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request_)
        head = await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()
    assert b"\r\nServer: callweave\r\n" in head
