import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ingress.workers import shared_metrics
from ingress.workers.shared_metrics import SharedMetrics
from schemas.metrics import Registry


def numbers(accepted: int, waiting: int) -> str:
    registry = Registry()
    registry.add("callweave_ingress_requests_total", "acme", "cdr", "accepted", by=accepted)
    registry.observe("callweave_ingress_accept_seconds", "acme", value=0.5)
    registry.put("callweave_ingress_waiting_bytes", value=waiting)
    return registry.text()


def sample(text: str, name: str) -> float:
    return next(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name))


def ended_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_counters_of_all_processes_add_up_and_gauges_of_the_living_only(tmp_path: Path) -> None:
    (tmp_path / f"{os.getppid()}.prom").write_text(numbers(10, 100))
    (tmp_path / f"{ended_pid()}.prom").write_text(numbers(5, 1000))
    text = SharedMetrics(tmp_path, lambda: numbers(1, 7)).text()
    assert sample(text, "callweave_ingress_requests_total") == 16
    assert sample(text, "callweave_ingress_accept_seconds_count") == 3
    assert sample(text, "callweave_ingress_accept_seconds_sum") == 1.5
    assert sample(text, "callweave_ingress_waiting_bytes") == 107


def test_a_process_alone_shows_what_it_has(tmp_path: Path) -> None:
    shared = SharedMetrics(tmp_path, lambda: numbers(1, 7))
    shared.write()
    assert sorted(shared.text().splitlines()) == sorted(numbers(1, 7).splitlines())


def test_each_metric_is_described_once(tmp_path: Path) -> None:
    (tmp_path / f"{os.getppid()}.prom").write_text(numbers(10, 100))
    heads = [line for line in SharedMetrics(tmp_path, lambda: numbers(1, 7)).text().splitlines() if line[0] == "#"]
    assert len(heads) == len(set(heads))


async def test_numbers_are_written_again_when_the_disk_takes_them_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_metrics, "WRITE_EVERY_S", 0.001)
    full = tmp_path / "not there yet"  # refuses a file as a full disk does: with an OSError
    shared = SharedMetrics(full, lambda: numbers(1, 7))
    writing = asyncio.create_task(shared.keep_writing())
    await asyncio.sleep(0.02)
    full.mkdir()
    await asyncio.sleep(0.1)
    writing.cancel()
    assert list(full.glob("*.prom"))
