"""The disk guard: it stops merges on a nearly full disk, and writes damaged parts again."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.clickhouse.config import RESERVE_BYTES
from deploy.clickhouse.disk_guard import REPAIR_EVERY_S, DiskGuard, free_bytes


def free_at_looks(*values: int) -> Callable[[], int]:
    """A disk with so many free bytes at each look."""
    left = list(values)
    return lambda: left.pop(0) if len(left) > 1 else left[0]


class Engine:
    """An engine that notes its statements, and has one part in each of these folders."""

    def __init__(self, *parts: Path) -> None:
        self.asked: list[str] = []
        self.refuses = False
        self._parts = parts

    def __call__(self, sql: str) -> bytes:
        """Answers a statement."""
        if self.refuses:
            raise OSError("full")
        if sql.startswith("SELECT"):
            return "\n".join(f"calls\t{path.name}\tall\t{path}/" for path in self._parts).encode()
        self.asked.append(sql)
        return b""


def part(folder: Path, *, spoilt: bool) -> Path:
    folder.mkdir()
    (folder / "checksums.txt").write_text("" if spoilt else "checksums format version: 4")
    (folder / "columns.txt").write_text("columns format version: 1")
    return folder


MEND = "OPTIMIZE TABLE `calls`.`cdr` PARTITION ID 'all' FINAL"
STOP, START = "SYSTEM STOP MERGES", "SYSTEM START MERGES"
LOOKS = {
    "room all the time": ([RESERVE_BYTES], 0.0, []),
    "little": ([RESERVE_BYTES - 1], 0.0, [STOP]),
    "little, look after look": ([RESERVE_BYTES - 1, 0, 0], 0.0, [STOP]),
    "hardly more again": ([RESERVE_BYTES - 1, RESERVE_BYTES], 0.0, [STOP]),
    "room again": ([RESERVE_BYTES - 1, 2 * RESERVE_BYTES], 0.0, [STOP, START, MEND]),
    "room again, and little": ([0, 2 * RESERVE_BYTES, 0], 0.0, [STOP, START, MEND, STOP]),
    "full unseen": ([RESERVE_BYTES] * 2, REPAIR_EVERY_S, [MEND]),
}


@pytest.mark.parametrize(("free", "step_s", "asked"), LOOKS.values(), ids=LOOKS.keys())
def test_merges_stop_in_time_and_damaged_parts_are_written_again(
    tmp_path: Path, free: list[int], step_s: float, asked: list[str]
) -> None:
    engine = Engine(
        part(tmp_path / "cdr", spoilt=True), part(tmp_path / "sound", spoilt=False), tmp_path / "merged away"
    )
    now_s = 0.0

    def later() -> float:
        nonlocal now_s
        now_s += step_s
        return now_s

    guard = DiskGuard(engine, free_at_looks(*free), later)
    for _ in free:
        guard.look()
    assert engine.asked == asked


def test_what_the_engine_refused_is_asked_again() -> None:
    engine = Engine()
    guard = DiskGuard(engine, free_at_looks(0))
    engine.refuses = True
    for _ in range(2):
        with pytest.raises(OSError, match="full"):
            guard.look()
    engine.refuses = False
    guard.look()
    assert engine.asked == [STOP]


def test_what_is_sound_is_left_alone(tmp_path: Path) -> None:
    engine = Engine(part(tmp_path / "sound", spoilt=False))
    guard = DiskGuard(engine, free_at_looks(0, 2 * RESERVE_BYTES))
    for _ in range(2):
        guard.look()
    assert engine.asked == [STOP, START]


def test_the_watch_goes_on_after_a_failure(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """The engine's text may quote values, so the log has only the type of the failure."""
    monkeypatch.setattr("deploy.clickhouse.disk_guard.LOOK_EVERY_S", 0.001)
    monkeypatch.setattr("deploy.clickhouse.disk_guard.RETRY_EVERY_S", 0.001)
    asked = threading.Event()
    left = [RuntimeError("+8613800001111"), ValueError("+8613800001111")]

    def execute(sql: str) -> bytes:
        if left:
            raise left.pop()
        asked.set()
        return b""

    guard = DiskGuard(execute, free_at_looks(0))
    guard.start()
    went_on = asked.wait(60)
    guard.stop()

    assert went_on
    assert [record.getMessage() for record in caplog.records if "failed" in record.getMessage()] == [
        "the guard of the disk failed: ValueError",
        "the guard of the disk failed: RuntimeError",
    ]
    assert "8613800001111" not in caplog.text


def test_the_room_is_that_of_the_directory_it_runs_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    disk = os.statvfs(tmp_path)

    assert 0 < free_bytes(Path()) <= disk.f_blocks * disk.f_frsize
