"""The RocksDB of a worker: it begins empty, ends clean, frees what nobody has, and hides no failure of the disk."""

import contextlib
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest

from processors.main import stores
from processors.store.calls import Calls, MemoryCalls, StoreFailed
from processors.store.rocks import LocalStore, RocksCalls, store_dir
from schemas.config.settings import EmbeddedSettings, JoinSettings, Settings
from schemas.errors import SetupError

KEY = "ytx|main|1"
_BEGIN = """
    import resource, signal, sys
    from pathlib import Path
    from processors.store.calls import StoreFailed
    from processors.store.rocks import LocalStore
    store = LocalStore(Path(sys.argv[1]))
    calls = store.new_calls()
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalStore]:
    """A store in a folder of its own."""
    with contextlib.closing(LocalStore(tmp_path)) as opened:
        yield opened


def child(folder: Path, program: str) -> subprocess.Popen[str]:
    """Another process with a store of calls on disk."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(_BEGIN) + textwrap.dedent(program), str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def folders(folder: Path) -> set[str]:
    """The folders of processes."""
    return {path.name for path in folder.iterdir() if path.is_dir()}


def test_it_is_below_the_folder_of_data() -> None:
    assert store_dir(Settings(embedded=EmbeddedSettings(data_dir="/data"))) == Path("/data/states")


def databases(data_dir: Path) -> int:
    """The number of workers' databases below a folder of data."""
    return len([*data_dir.glob("states/*/db")])


@pytest.mark.parametrize(
    ("store", "kind", "own"), [("memory", MemoryCalls, 0), ("rocksdb", RocksCalls, 1)], ids=["memory", "disk"]
)
async def test_a_worker_keeps_calls_where_the_setting_says(
    tmp_path: Path, store: Literal["memory", "rocksdb"], kind: type, own: int
) -> None:
    settings = Settings(join=JoinSettings(store=store), embedded=EmbeddedSettings(data_dir=str(tmp_path)))
    async with stores(settings) as new_calls:
        assert isinstance(new_calls(), kind)
        assert databases(tmp_path) == own

    assert databases(tmp_path) == 0


def test_nothing_is_left_of_one_that_is_closed(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.new_calls().put(KEY, b"entry")
    store.close()

    assert folders(tmp_path) == set()


def test_what_a_killed_worker_left_goes_and_what_a_living_one_has_stays(tmp_path: Path) -> None:
    """Two workers of one machine share the folder, and each has calls of its own."""
    living = child(
        tmp_path, "calls.put('k', b'e'); print('ready', flush=True); sys.stdin.read(); print(calls.get('k'))"
    )
    killed = child(tmp_path, "calls.put('k', b'e'); print('ready', flush=True); signal.pause()")
    assert living.stdout is not None
    assert killed.stdout is not None
    with living, killed:
        assert living.stdout.readline() == killed.stdout.readline() == "ready\n"
        both = folders(tmp_path)
        killed.kill()
        assert killed.wait(30) == -signal.SIGKILL

        with contextlib.closing(LocalStore(tmp_path)) as store:
            assert store.new_calls().get("k") is None
            assert len(folders(tmp_path) & both) == 1
            assert living.communicate(timeout=30)[0] == "b'e'\n"


def test_a_folder_that_cannot_be_made_is_said_before_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(SetupError, match=r"embedded\.data_dir"):
        LocalStore(tmp_path / "file")


def test_without_the_package_nothing_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rocksdict", None)

    with pytest.raises(SetupError, match=r"callweave\[rocksdb\]"):
        LocalStore(tmp_path)


def test_a_store_is_freed_once_nobody_has_it(store: LocalStore) -> None:
    """Until then a batch that goes on after a rebalance finds its calls."""
    old = store.new_calls()
    old.put(KEY, b"entry")
    old.wait(1, KEY)
    new = store.new_calls()
    assert old.get(KEY) == b"entry"

    del old
    new.put(KEY, b"new")
    store.new_calls()

    found = store._db.iter()
    found.seek_to_first()
    values = []
    while found.valid():
        values.append(found.value())
        found.next()
    assert values == [b"new"]


def test_a_full_disk_ends_in_an_error_and_loses_nothing_silently(tmp_path: Path) -> None:
    """The files may not grow beyond a megabyte: what was put is found, or `StoreFailed` is raised."""
    program = """
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
        put = 0
        try:
            for put in range(100_000):
                calls.put(str(put), put.to_bytes(2000, "big"))
                old = max(0, put - 50_000)
                assert calls.get(str(old)) == old.to_bytes(2000, "big"), old
        except StoreFailed as error:
            print("failed" if "join.store" in str(error) else error, flush=True)
    """
    with child(tmp_path, program) as full:
        output, _ = full.communicate(timeout=120)

    assert output == "failed\n"


READS: dict[str, Callable[[Calls], object]] = {
    "a call": lambda calls: calls.get("1000"),
    "all calls": lambda calls: list(calls.items()),
    "those of a minute": lambda calls: calls.take_waiting(1),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS.keys())
def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path, read: Callable[[Calls], object]) -> None:
    """Not the end of the calls, nor a call that is not known."""
    with contextlib.closing(LocalStore(tmp_path)) as store:
        calls = store.new_calls()
        for number in range(2000):
            calls.put(str(number), bytes(100))
            calls.wait(1, str(number))
        store._db.flush()
        for path in store._own.rglob("*.sst"):
            path.write_bytes(b"\0" * path.stat().st_size)

        with pytest.raises(StoreFailed, match="read"):
            read(calls)


def test_a_key_that_is_no_text_is_the_fault_of_its_fact_and_not_of_the_disk(store: LocalStore) -> None:
    calls = store.new_calls()
    for use in (calls.get, calls.remove, lambda key: calls.put(key, b""), lambda key: calls.wait(1, key)):
        with pytest.raises(UnicodeEncodeError):
            use("ytx|main|\ud800")


WRITES: dict[str, Callable[[Calls], object]] = {
    "a call is put": lambda calls: calls.put(KEY, b""),
    "a call is removed": lambda calls: calls.remove(KEY),
    "a call waits": lambda calls: calls.wait(1, KEY),
}
USES = {**READS, **WRITES}


@pytest.mark.parametrize("use", USES.values(), ids=USES.keys())
def test_after_its_end_nothing_is_read_as_empty(tmp_path: Path, use: Callable[[Calls], object]) -> None:
    store = LocalStore(tmp_path)
    calls = store.new_calls()
    store.close()

    with pytest.raises(StoreFailed):
        use(calls)
