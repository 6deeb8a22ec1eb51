"""When the embedded engine may write, what of it is believed, and what is written anew after a full disk."""

from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.clickhouse.room import KEEP_BYTES, MEND_EVERY_S, SURE_BYTES, Guard, NoRoom, writing


def told(*values: int) -> Callable[[], int]:
    """A disk with so many bytes free, one look after the other."""
    left = list(values)
    return lambda: left.pop(0) if len(left) > 1 else left[0]


def test_a_write_with_room_before_and_after_is_believed() -> None:
    with writing(told(KEEP_BYTES, SURE_BYTES)):
        pass


def test_a_write_without_room_does_not_begin() -> None:
    with pytest.raises(NoRoom, match="only 127 MiB are free"), writing(told(KEEP_BYTES - 1)):
        pytest.fail("it began")


def test_a_write_that_used_up_the_room_is_not_believed() -> None:
    began = False
    with pytest.raises(NoRoom, match="it may not be stored"), writing(told(KEEP_BYTES, SURE_BYTES - 1)):
        began = True
    assert began


def test_what_a_write_itself_raises_is_what_is_told() -> None:
    with pytest.raises(ZeroDivisionError), writing(told(KEEP_BYTES, 0)):
        raise ZeroDivisionError


class Engine:
    """Notes what it is asked, and has one part in each of these folders."""

    def __init__(self, *parts: Path) -> None:
        self.asked: list[str] = []
        self.refuses = False
        self._parts = parts

    def __call__(self, sql: str) -> bytes:
        """Answer a statement."""
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
    "room all the time": ([KEEP_BYTES], 0.0, []),
    "little": ([KEEP_BYTES - 1], 0.0, [STOP]),
    "little, look after look": ([KEEP_BYTES - 1, 0, 0], 0.0, [STOP]),
    "hardly more again": ([KEEP_BYTES - 1, KEEP_BYTES], 0.0, [STOP]),
    "room again": ([KEEP_BYTES - 1, 2 * KEEP_BYTES], 0.0, [STOP, START, MEND]),
    "room again, and little": ([0, 2 * KEEP_BYTES, 0], 0.0, [STOP, START, MEND, STOP]),
    "full unseen": ([KEEP_BYTES] * 2, MEND_EVERY_S, [MEND]),
}


@pytest.mark.parametrize(("free", "step_s", "asked"), LOOKS.values(), ids=LOOKS.keys())
def test_merges_stop_in_time_and_spoilt_parts_are_written_anew(
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

    guard = Guard(engine, told(*free), later)
    for _ in free:
        guard.look()
    assert engine.asked == asked


def test_what_the_engine_refused_is_asked_again() -> None:
    engine = Engine()
    guard = Guard(engine, told(0))
    engine.refuses = True
    for _ in range(2):
        with pytest.raises(OSError, match="full"):
            guard.look()
    engine.refuses = False
    guard.look()
    assert engine.asked == [STOP]
