"""The embedded ClickHouse on a full disk: it acknowledges nothing that is not stored, and repairs damaged parts."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from deploy.clickhouse.config import RESERVE_BYTES
from deploy.clickhouse.launch import ClickHouseServer
from schemas.errors import SetupError
from tests.chaos.faults.disk import Disk
from tests.support.clickhouse_at import address, ask

_MORE_THAN_A_PART: Final = 8 << 20
PARTS = "SELECT path FROM system.parts WHERE table = 't' AND active"


@pytest.fixture
async def small_disk(tmp_path: Path) -> AsyncIterator[Disk]:
    disk = Disk(tmp_path / "disk", 400)
    await disk.mount()
    if disk.refusal:
        pytest.skip(disk.refusal)
    yield disk
    await disk.unmount()


async def until_it_says(url: str, sql: str, sign: str) -> str:
    async with asyncio.timeout(60):
        while sign not in (answer := await ask(url, sql)):  # noqa: ASYNC110 - another process's state has no event to wait for
            await asyncio.sleep(0.1)
        return answer


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# The free space -> whether an insert is accepted.
FREE_SPACES = {
    "none": (0, False),
    "hardly any": (1 << 20, False),
    "what is not kept free in the engine alone": (100 << 20, False),
    "just less than the reserve": (RESERVE_BYTES - (1 << 20), False),
    "more than the reserve": (RESERVE_BYTES + _MORE_THAN_A_PART, True),
}


async def test_an_insert_for_which_there_is_no_room_is_refused_before_anything_is_written(small_disk: Disk) -> None:
    """Below its reserve the engine accepts nothing; without one it acknowledges, and cannot read the part again."""
    # Each column is two files, which together is more than the engine reserves.
    columns = ", ".join(f"c{n} String DEFAULT 'x'" for n in range(300))
    wide = "min_bytes_for_wide_part = 0, min_rows_for_wide_part = 0"
    answers: dict[str, str] = {}
    async with ClickHouseServer(small_disk.path / "clickhouse") as server:
        url = address(server)
        await ask(url, f"CREATE TABLE t (n UInt64, {columns}) ENGINE = MergeTree ORDER BY n SETTINGS {wide}")
        folder = Path(await ask(url, "SELECT data_paths[1] FROM system.tables WHERE name = 't'"))
        empty = names_in(folder)
        for number, (name, (free, _)) in enumerate(FREE_SPACES.items()):
            small_disk.fill(but=free)
            answers[name] = await ask(url, f"INSERT INTO t (n) VALUES ({number})")
            if answers[name]:
                assert names_in(folder) == empty
            small_disk.free()
        os.kill(server.pid, signal.SIGKILL)
    async with ClickHouseServer(small_disk.path / "clickhouse") as server:
        stored = await ask(address(server), "SELECT n FROM t")

    assert {name: not text for name, text in answers.items()} == {
        name: taken for name, (_, taken) in FREE_SPACES.items()
    }
    assert all("(NOT_ENOUGH_SPACE)" in text and "Code: 243" in text for text in answers.values() if text)
    assert stored == str(len(FREE_SPACES) - 1)


async def test_an_insert_that_uses_up_the_room_fails(small_disk: Disk) -> None:
    async with ClickHouseServer(small_disk.path / "clickhouse") as server:
        url = address(server)
        await ask(url, "CREATE TABLE t (n UInt64) ENGINE = MergeTree ORDER BY tuple()")
        small_disk.fill(but=RESERVE_BYTES + _MORE_THAN_A_PART)
        answer = await ask(url, "INSERT INTO t SELECT rand64() FROM numbers(14000000)")
        small_disk.free()

    assert "NOT_ENOUGH_SPACE" in answer


async def test_the_same_insert_is_taken_when_there_is_room_again(small_disk: Disk) -> None:
    async with ClickHouseServer(small_disk.path / "clickhouse") as server:
        url = address(server)
        await ask(url, "CREATE TABLE t (n UInt64) ENGINE = MergeTree ORDER BY n")
        small_disk.fill()
        refused = await ask(url, "INSERT INTO t VALUES (1)")
        read = await ask(url, "SELECT count() FROM t")
        small_disk.free()
        taken = await ask(url, "INSERT INTO t VALUES (1)")
        stored = await ask(url, "SELECT n FROM t")

    assert "NOT_ENOUGH_SPACE" in refused
    assert (read, taken, stored) == ("0", "", "1"), "readers do not need free space"


async def test_merges_stop_while_there_is_hardly_any_room(small_disk: Disk) -> None:
    async with ClickHouseServer(small_disk.path / "clickhouse") as server:
        url = address(server)
        await ask(url, "CREATE TABLE t (n UInt64) ENGINE = MergeTree ORDER BY n")
        await ask(url, "INSERT INTO t VALUES (1)")
        small_disk.fill(but=RESERVE_BYTES - (1 << 20))
        merge = "OPTIMIZE TABLE t FINAL"
        stopped = await until_it_says(url, merge, "(ABORTED)")
        small_disk.free()
        async with asyncio.timeout(60):
            while await ask(url, merge):  # noqa: ASYNC110 - another process's state has no event to wait for
                await asyncio.sleep(0.1)
        console = (small_disk.path / "clickhouse" / "console.log").read_text()

    assert "Cancelled merging parts" in stopped
    assert "MiB are free: merges stop" in console


async def test_what_a_full_disk_spoilt_is_there_after_a_kill(small_disk: Disk) -> None:
    """A part whose small files were not written is complete only in memory; unless it is written again, it is lost."""
    async with ClickHouseServer(small_disk.path / "clickhouse") as server:
        url = address(server)
        await ask(url, "CREATE TABLE t (n UInt64) ENGINE = MergeTree ORDER BY n")
        await ask(url, "INSERT INTO t VALUES (1)")
        spoilt = await ask(url, PARTS)
        os.truncate(Path(spoilt) / "checksums.txt", 0)  # as after a full disk
        small_disk.fill()
        await until_it_says(url, "OPTIMIZE TABLE t FINAL", "(ABORTED)")  # the guard has seen it
        small_disk.free()
        async with asyncio.timeout(30):  # before the guard checks all parts anyway
            while await ask(url, PARTS) == spoilt:  # noqa: ASYNC110 - another process's state has no event to wait for
                await asyncio.sleep(0.1)
        os.kill(server.pid, signal.SIGKILL)
        await server.stop()
        await server.start()

        assert await ask(address(server), "SELECT n FROM t") == "1"


async def test_a_start_without_enough_room_is_refused(small_disk: Disk) -> None:
    small_disk.fill(but=100 << 20)
    with pytest.raises(SetupError, match=r"only (99|100) MiB are free") as caught:
        await ClickHouseServer(small_disk.path / "clickhouse").start()

    assert caught.value.code == "no_disk"
