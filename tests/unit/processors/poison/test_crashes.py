"""Breadcrumbs that killed workers leave, and their takeover by others."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from processors.poison.breadcrumb import SIZE, Breadcrumb, BreadcrumbNote, read
from processors.poison.crashes import BOOK, Crashes, read_book
from processors.poison.suspects import Book, RecordPlace

ROOT = Path(__file__).parents[4]
AT = RecordPlace(topic="calls.raw", partition=3, first=17, next=18, timestamp_ms=1_700_000_000_017)
_VICTIM = """
import os, signal, sys
from pathlib import Path
from processors.poison.crashes import Crashes

mine = Crashes(Path(sys.argv[1]), "up-1")
if sys.argv[2] != "waits":
    mine.breadcrumb.mark(b"calls.raw", 3, 10, 30, 1_700_000_000_010)
    mine.breadcrumb.move(17, 18, 1_700_000_000_017)
if sys.argv[2] == "raises":
    mine.breadcrumb.hold("MemoryError")
    mine.breadcrumb.clear()
if sys.argv[2] == "lives":
    print("lives", flush=True)
    sys.stdin.read()
if sys.argv[2] == "stops":
    mine.close()
    sys.exit()
os.kill(os.getpid(), signal.SIGKILL)
"""


def victim(folder: Path, how: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", _VICTIM, str(folder), how],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def end(folder: Path, how: str) -> int:
    with victim(folder, how) as process:
        return process.wait()


def test_a_page_that_nobody_wrote_says_nothing() -> None:
    assert read(bytes(SIZE)) == BreadcrumbNote()
    assert read(b"") == BreadcrumbNote()
    assert Breadcrumb().note.place is None


def test_a_page_says_what_is_computed_and_nothing_in_between() -> None:
    breadcrumb, notes = Breadcrumb(), list[RecordPlace | None]()
    breadcrumb.mark(b"calls.raw", 3, 10, 30, 5)
    notes.append(breadcrumb.note.place)
    breadcrumb.move(17, 18, 1_700_000_000_017)
    notes.append(breadcrumb.note.place)
    breadcrumb.clear()
    notes.append(breadcrumb.note.place)
    breadcrumb.mark(b"calls.facts", 0, 1, 2, 0)
    breadcrumb.hold("ZeroDivisionError")
    breadcrumb.clear()
    breadcrumb.mark(b"calls.facts", 0, 5, 6, 0)
    notes.append(breadcrumb.note.place)

    assert notes == [
        RecordPlace(topic="calls.raw", partition=3, first=10, next=30, timestamp_ms=5),
        AT,
        None,
        RecordPlace(topic="calls.facts", partition=0, first=1, next=2),
    ]


@pytest.mark.parametrize(
    ("how", "place", "cause"),
    [
        pytest.param("computes", AT, "", id="killed while it computed"),
        pytest.param("raises", AT, "MemoryError", id="ended by an exception"),
        pytest.param("waits", None, "", id="killed while it waited"),
    ],
)
def test_a_death_is_taken_over_once(tmp_path: Path, how: str, place: RecordPlace | None, cause: str) -> None:
    assert end(tmp_path, how) == -signal.SIGKILL

    first = Crashes(tmp_path, "up-1")
    second = Crashes(tmp_path, "up-2")
    try:
        (death,) = first.book.ends
        assert (death.worker, death.place, death.cause) == ("up-1", place, cause)
        assert second.book == first.book == read_book(tmp_path)
        assert [one.deaths for one in first.book.suspects] == ([1] if place else [])
    finally:
        first.close()
        second.close()


def test_two_deaths_at_one_record_make_it_poison(tmp_path: Path) -> None:
    for _ in range(2):
        end(tmp_path, "computes")
    third = Crashes(tmp_path, "up-1")
    third.close()

    assert [one.place for one in third.book.poison] == [AT]
    assert third.book.suspects == ()


def test_a_stop_is_no_death_and_the_living_are_left_alone(tmp_path: Path) -> None:
    assert end(tmp_path, "stops") == 0
    with victim(tmp_path, "lives") as process:
        assert process.stdout is not None
        process.stdout.readline()
        other = Crashes(tmp_path, "up-2")
        assert other.book == Book()
        process.kill()
        process.wait()
        other.refresh()
        assert [one.worker for one in other.book.ends] == ["up-1"]
        other.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == [BOOK, "lock"]


def test_what_is_done_is_dropped_for_all(tmp_path: Path) -> None:
    end(tmp_path, "computes")
    one = Crashes(tmp_path, "a/b c")
    one.clear_below("calls.raw", 3, 18)
    one.close()

    assert read_book(tmp_path).suspects == ()
    assert len(read_book(tmp_path).ends) == 1


@pytest.mark.parametrize(
    "junk", [b"", b"{", b'{"suspects": 7}', b"\xff" * 100], ids=["empty", "cut", "another", "noise"]
)
def test_a_book_that_cannot_be_read_is_begun_anew(tmp_path: Path, junk: bytes) -> None:
    (tmp_path / BOOK).write_bytes(junk)
    end(tmp_path, "computes")
    crashes = Crashes(tmp_path, "w")
    crashes.close()

    assert len(crashes.book.suspects) == 1


def test_a_folder_that_cannot_be_written_stops_no_worker(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    crashes = Crashes(tmp_path / "file" / "crashes", "w")
    crashes.breadcrumb.mark(b"calls.raw", 0, 0, 1, 0)
    crashes.refresh()
    crashes.clear_below("calls.raw", 0, 1)
    crashes.close()

    assert "cannot be written" in caplog.text


def test_deaths_long_ago_are_not_lately(tmp_path: Path) -> None:
    now = [1_000_000]
    end(tmp_path, "computes")
    crashes = Crashes(tmp_path, "w", now_ms=lambda: now[0])
    assert crashes.lately == 1
    now[0] += 600_001
    assert crashes.lately == 0
    crashes.close()


def test_a_page_says_what_a_thread_computes_while_the_loop_goes_on() -> None:
    breadcrumb, notes = Breadcrumb(), list[BreadcrumbNote]()
    breadcrumb.mark_thread(b"calls.raw", 3, 10, 11, 5)
    notes.append(breadcrumb.note)
    breadcrumb.mark(b"calls.facts", 1, 20, 30, 6)
    notes.append(breadcrumb.note)
    breadcrumb.clear()
    breadcrumb.clear_thread()
    notes.append(breadcrumb.note)

    body = RecordPlace(topic="calls.raw", partition=3, first=10, next=11, timestamp_ms=5)
    facts = RecordPlace(topic="calls.facts", partition=1, first=20, next=30, timestamp_ms=6)
    assert notes == [
        BreadcrumbNote(thread_place=body),
        BreadcrumbNote(place=facts, thread_place=body),
        BreadcrumbNote(),
    ]


def test_an_exception_is_about_what_the_loop_was_at() -> None:
    breadcrumb = Breadcrumb()
    breadcrumb.mark_thread(b"calls.raw", 3, 10, 11, 5)
    breadcrumb.mark(b"calls.facts", 1, 20, 21, 6)
    breadcrumb.hold("ZeroDivisionError")

    assert breadcrumb.note.thread_place is None
    assert breadcrumb.note.cause == "ZeroDivisionError"
