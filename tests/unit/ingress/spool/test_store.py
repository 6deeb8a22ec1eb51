"""The spool's file: stored bodies come back in order, whatever happened to the file."""

import contextlib
import sqlite3
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingress.spool.folder import claim, give_up, of_worker, open_store, set_aside, start_over, workers
from ingress.spool.store import VERSION, Body, SpoolStore, look
from schemas.errors import SetupError

FIRST_VERSION = Path(__file__).with_name("spool_version_1.sql")


def body(number: int, *, key: bytes = b"k", size_bytes: int = 20) -> Body:
    return Body(
        topic="calls.raw",
        key=key,
        value=b"%06d" % number + b"x" * size_bytes,
        headers=(("vendor", b"huawei" if number % 2 else b"ytx"), ("empty", b"")),
    )


def store_at(folder: Path, *, first_id: int = 1) -> SpoolStore:
    return open_store(folder, now_ms=lambda: 1_700_000_000_123, first_id=first_id).store


def everything(store: SpoolStore) -> list[Body]:
    return [entry.body for entry in store.read(0, limit=10_000, limit_bytes=1 << 30)]


def filled(folder: Path, count: int = 200, *, size_bytes: int = 400) -> list[Body]:
    """Fills a store with `count` bodies and closes it; returns the bodies."""
    store = store_at(folder)
    bodies = [body(number, size_bytes=size_bytes) for number in range(count)]
    store.append(bodies, now_ms=1)
    store.close()
    return bodies


@given(
    parts=st.lists(st.tuples(st.binary(max_size=40), st.binary(max_size=300), st.binary(max_size=20)), max_size=20),
    groups=st.integers(1, 5),
)
@settings(deadline=None, max_examples=40)
def test_any_bytes_come_back_as_they_were_in_order(
    tmp_path_factory: pytest.TempPathFactory, parts: list[tuple[bytes, bytes, bytes]], groups: int
) -> None:
    folder = tmp_path_factory.mktemp("spool")
    bodies = [Body(topic="t", key=key, value=value, headers=(("h", text),)) for key, value, text in parts]
    store = store_at(folder)
    for start in range(0, len(bodies), groups):
        store.append(bodies[start : start + groups], now_ms=5)
    store.close()
    again = store_at(folder)
    assert everything(again) == bodies
    assert (again.totals().bodies, again.totals().size_bytes) == (len(bodies), sum(one.size_bytes for one in bodies))
    again.close()


def test_what_is_deleted_is_gone_and_its_number_is_never_used_again(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    first = store.append([body(1), body(2)], now_ms=1)
    assert store.delete([*first, 99]) == (
        [(body(1).topic, body(1).key), (body(2).topic, body(2).key)],
        body(1).size_bytes + body(2).size_bytes,
    )
    store.close()
    again = store_at(tmp_path)
    assert again.append([body(3)], now_ms=1)[0] > max(first)
    again.close()


@pytest.mark.parametrize("way", ["a new file", "a mended file"])
def test_a_file_that_takes_the_place_of_another_goes_on_with_its_numbers(tmp_path: Path, way: str) -> None:
    """A late deletion must not hit a body of the new file."""
    store = store_at(tmp_path)
    store.append([body(number) for number in range(5)], now_ms=1)
    next_id = store.next_id
    store.close()
    if way == "a new file":
        start_over(tmp_path)
        fresh = store_at(tmp_path, first_id=next_id)
    else:
        fresh = open_store(tmp_path, now_ms=lambda: 1, damage="found damaged", first_id=next_id).store
    assert all(number >= next_id for number in [*fresh.ids(), *fresh.append([body(9)], now_ms=1)])
    fresh.close()


@pytest.mark.parametrize(
    ("limit", "limit_bytes", "count"),
    [
        pytest.param(3, 1 << 30, 3, id="by number"),
        pytest.param(100, 2 * body(1).size_bytes, 2, id="by bytes"),
        pytest.param(100, 1, 1, id="one is given whatever its size"),
    ],
)
def test_a_read_is_bounded(tmp_path: Path, limit: int, limit_bytes: int, count: int) -> None:
    store = store_at(tmp_path)
    store.append([body(number) for number in range(9)], now_ms=1)
    found = store.read(2, limit=limit, limit_bytes=limit_bytes)
    assert [entry.body for entry in found] == [body(number) for number in range(2, 2 + count)]
    store.close()


def test_an_emptied_file_gives_its_room_back(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    ids = store.append([body(number, size_bytes=50_000) for number in range(100)], now_ms=1)
    store.delete(ids)
    while store.shrink():
        pass
    assert sum(path.stat().st_size for path in tmp_path.glob("spool.db*")) < 1 << 20
    store.close()


def garbage(path: Path) -> None:
    path.write_bytes(b"this is no database " * 1000)


def foreign(path: Path) -> None:
    path.unlink()
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE somebody (elses TEXT)")
    other.commit()
    other.close()


def number_of(version: int) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        db = sqlite3.connect(path)
        db.execute(f"PRAGMA user_version={version}")
        db.commit()
        db.close()

    return write


def cut(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def scribble(path: Path) -> None:
    """Overwrites pages in the middle."""
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2 // 4096 * 4096)
        file.write(b"\xff" * 8192)


def flip(path: Path) -> None:
    """Changes one byte of one body, which SQLite itself does not notice."""
    data = bytearray(path.read_bytes())
    data[data.index(b"000100x") + 7] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("harm", "at_least"),
    [
        pytest.param(garbage, 0, id="a text"),
        pytest.param(foreign, 0, id="another program's database"),
        pytest.param(number_of(0), 200, id="a version before the first"),
        pytest.param(cut, 50, id="cut in the middle"),
        pytest.param(scribble, 150, id="pages overwritten"),
    ],
)
def test_a_file_that_cannot_be_read_is_kept_aside_and_the_rest_of_it_goes_on(
    tmp_path: Path, harm: Callable[[Path], None], at_least: int
) -> None:
    bodies = filled(tmp_path)
    path = tmp_path / "spool.db"
    harm(path)
    harmed = path.read_bytes()

    opened = open_store(tmp_path, now_ms=lambda: 1_700_000_000_123)

    assert opened.aside is not None
    assert opened.aside.read_bytes() == harmed
    assert set_aside(tmp_path) == [tmp_path / "spool.db.aside-20231114T221320.123Z"]
    found = everything(opened.store)
    assert opened.salvaged == len(found) >= at_least
    assert found == [one for one in bodies if one in found]  # nothing invented, in order
    opened.store.append([body(7777)], now_ms=2)
    opened.store.close()


def test_a_flipped_bit_costs_one_body_and_is_found(tmp_path: Path) -> None:
    bodies = filled(tmp_path)
    flip(tmp_path / "spool.db")
    store = store_at(tmp_path)
    with pytest.raises(Exception, match="does not match its checksum"):
        everything(store)
    store.close()
    mended = open_store(tmp_path, now_ms=lambda: 1, damage="a checksum")
    assert everything(mended.store) == [one for one in bodies if not one.value.startswith(b"000100")]
    assert mended.aside is not None
    mended.store.close()


def test_a_large_file_is_mended_without_holding_it(tmp_path: Path) -> None:
    """An ingress that could not start for want of memory would lose all of it."""
    bodies = filled(tmp_path, 60, size_bytes=500_000)
    scribble(tmp_path / "spool.db")
    tracemalloc.start()
    opened = open_store(tmp_path, now_ms=lambda: 1)
    _, most_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert opened.salvaged >= len(bodies) - 2
    assert most_bytes < sum(one.size_bytes for one in bodies) / 2
    opened.store.close()


def test_a_file_of_a_later_release_is_refused_and_left_alone(tmp_path: Path) -> None:
    filled(tmp_path)
    number_of(VERSION + 1)(tmp_path / "spool.db")
    before = (tmp_path / "spool.db").read_bytes()
    with pytest.raises(SetupError, match="a later release") as refused:
        store_at(tmp_path)
    assert refused.value.code == "spool_newer"
    assert (tmp_path / "spool.db").read_bytes() == before
    assert set_aside(tmp_path) == []


def test_a_file_of_an_earlier_release_is_read(tmp_path: Path) -> None:
    """The table is written out as SQL, so that a change of it without a change of its version fails."""
    db = sqlite3.connect(tmp_path / "spool.db")
    db.executescript(FIRST_VERSION.read_text())
    db.close()
    store = store_at(tmp_path)
    assert [(entry.id, entry.spooled_ms, entry.body.key) for entry in store.entries()] == [
        (1, 1_700_000_000_123, b"huawei||4e00"),
        (3, 1_700_000_000_123, b""),
        (4, 1_700_000_000_456, b"ytx|main|2016"),
    ]
    assert next(store.entries()).body == Body(
        topic="calls.raw",
        key=b"huawei||4e00",
        value=b'{"eventType":"disconnect"}',
        headers=(("vendor", b"huawei"), ("received_at", b"1700000000123")),
    )
    assert store.append([body(1)], now_ms=1) == [5]
    assert set_aside(tmp_path) == []
    store.close()


@pytest.mark.parametrize("moved", [False, True], ids=["before the damaged file was moved", "after it was moved"])
def test_a_crash_while_mending_loses_nothing(tmp_path: Path, *, moved: bool) -> None:
    bodies = filled(tmp_path)
    mended = tmp_path / "mended.db"
    half = SpoolStore.open(mended)
    half.append(bodies if moved else bodies[:50], now_ms=1)
    half.close()
    if moved:
        (tmp_path / "spool.db").rename(tmp_path / "spool.db.aside-x")
    store = store_at(tmp_path)
    assert everything(store) == bodies
    assert not mended.exists()
    store.close()


def test_a_folder_has_one_owner(tmp_path: Path) -> None:
    folder = of_worker(tmp_path, 1)
    with claim(folder), pytest.raises(SetupError, match="another process already uses the spool") as refused:
        claim(folder, patience_s=0)
    assert refused.value.code == "spool_in_use"
    claim(folder, patience_s=0).close()


def test_a_folder_that_its_owner_removed_is_claimed_anew(tmp_path: Path) -> None:
    """A process that waited for the old lock must not hold one that excludes nobody."""
    folder = of_worker(tmp_path, 1)
    first = claim(folder)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(claim, folder, patience_s=20)
        give_up(folder)
        first.close()
        with waiting.result(), pytest.raises(SetupError, match="another process"):
            claim(folder, patience_s=0)


@pytest.mark.parametrize(
    "at", range(3), ids=["before the first file goes", "before the lock goes", "before the folder goes"]
)
def test_a_folder_that_its_owner_gives_up_is_claimed_anew_at_once_and_keeps_what_comes_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    folder = of_worker(tmp_path, 1)
    first = claim(folder)
    filled(folder, 3)
    (folder / "too-large").mkdir()
    filled(folder / "too-large", 1)
    claimed: list[tuple[IO[str], SpoolStore]] = []
    step = 0

    def come_in() -> None:
        nonlocal step
        if step == at and not claimed:
            with contextlib.suppress(SetupError):
                claimed.append((claim(folder, patience_s=0), store_at(folder)))
                claimed[0][1].append([body(77)], now_ms=1)
        step += 1

    def after_coming_in(remove: Callable[[Path], None]) -> Callable[[Path], None]:
        def first_come_in(path: Path) -> None:
            come_in()
            remove(path)

        return first_come_in

    for name in ("unlink", "rmdir"):
        monkeypatch.setattr(Path, name, after_coming_in(getattr(Path, name)))
    give_up(folder)
    monkeypatch.undo()
    first.close()
    assert bool(claimed) is (at == 2)  # else it was still locked
    if claimed:
        lock, store = claimed[0]
        with pytest.raises(SetupError, match="another process"):
            claim(folder, patience_s=0)
        store.close()
        again = store_at(folder)
        assert everything(again) == [body(77)]
        again.close()
        lock.close()
    else:
        assert not folder.exists()


def test_the_folders_of_workers_are_found_by_their_numbers(tmp_path: Path) -> None:
    for name in ("worker-10", "worker-2", "worker-x", "else"):
        (tmp_path / name).mkdir()
    assert workers(tmp_path) == [2, 10]


def test_it_can_be_looked_at_while_somebody_writes(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    store.append([body(number) for number in range(5)], now_ms=42)
    totals, vendors = look(tmp_path / "spool.db")
    assert (totals.bodies, totals.oldest_ms, vendors) == (5, 42, {"ytx": 3, "huawei": 2})
    store.close()


def test_every_commit_is_flushed_to_the_disk(tmp_path: Path) -> None:
    """The simulations rely on this setting, which SQLite needs in every connection."""
    store = store_at(tmp_path)
    pragmas = [store._db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
    assert pragmas == ["wal", 2]
    store.close()
