"""The ends of `callweave reconcile`: each has its exit code, none hangs, and no phone number stays on the disk."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contract.reconcile.carrier import ACCOUNT, table, two_way_calls
from tests.contract.reconcile.workbook import workbook
from tests.support.command import callweave, clean_env

CALLS = two_way_calls(30)
WHOSE = ("--vendor", "ytx", "--account", ACCOUNT)
LIMIT_S = 180.0


@pytest.fixture
async def mute() -> AsyncIterator[tuple[str, asyncio.Event]]:
    """Yields the address of a server that takes connections and says nothing, and what tells that it was asked."""
    asked = asyncio.Event()
    over = asyncio.Event()

    async def stay(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await over.wait()
        writer.close()

    server = await asyncio.start_server(stay, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked
        over.set()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["^C", "SIGTERM"])
async def test_a_run_that_waits_for_a_mute_server_stops_at_once_and_leaves_nothing(
    mute: tuple[str, asyncio.Event], tmp_path: Path, number: int, code: int
) -> None:
    url, asked = mute
    (tmp_path / "tmp").mkdir()
    file = tmp_path / "carrier.csv"
    file.write_bytes(table(CALLS))
    environment = {
        **clean_env(clickhouse__url=url),
        "PYTHONPATH": str(Path(__file__).parents[3]),
        "TMPDIR": str(tmp_path / "tmp"),
    }
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deploy.cli.main", "reconcile", str(file), *WHOSE, "--yes"),
        env=environment,
        cwd=tmp_path,
        stderr=asyncio.subprocess.PIPE,
        # Where the tests run in the background of a shell, ^C is ignored, also by what they start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        ended = asyncio.create_task(running.wait())
        await asyncio.wait(
            {ended, asyncio.create_task(asked.wait())}, timeout=LIMIT_S, return_when=asyncio.FIRST_COMPLETED
        )
        assert not ended.done(), await running.communicate()
        assert list((tmp_path / "tmp").iterdir())
        running.send_signal(number)
        _, said = await asyncio.wait_for(running.communicate(), LIMIT_S)
    finally:
        if running.returncode is None:
            running.kill()

    assert (running.returncode, b"callweave: stopped" in said) == (code, True), said
    assert not list((tmp_path / "tmp").iterdir())


async def test_a_server_that_is_away_is_said_and_is_no_difference(tmp_path: Path) -> None:
    file = tmp_path / "carrier.csv"
    file.write_bytes(table(CALLS))

    done = await callweave(
        "reconcile", str(file), *WHOSE, "--yes", cwd=tmp_path, settings={"clickhouse__url": "http://127.0.0.1:1"}
    )

    assert (done.code, "127.0.0.1:1" in done.err) == (2, True), done.err
    assert "reading" not in done.text


async def said_of(tmp_path: Path, file: str, *more: str, code: int = 2) -> str:
    done = await callweave("reconcile", file, *WHOSE, "--yes", *more, cwd=tmp_path)
    assert done.code == code, done.err
    assert "Traceback" not in done.err
    return done.err


async def test_what_is_no_file_of_records_is_said_with_the_code_of_a_run_that_could_not_be(tmp_path: Path) -> None:
    good = tmp_path / "carrier.csv"
    good.write_bytes(table(CALLS))
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "map.toml").write_bytes('reads = "fields" # 话单'.encode("gbk"))
    (tmp_path / "marked.toml").write_bytes('reads = "meanings"\n[columns]\nrequestid = "call_id"\n'.encode("utf-8-sig"))

    assert "no regular file" in await said_of(tmp_path, str(tmp_path / "pipe"))
    assert "is a directory" in await said_of(tmp_path, str(tmp_path))
    assert "does not exist" in await said_of(tmp_path, "-")
    assert "no UTF-8 text" in await said_of(tmp_path, str(good), "--map", str(tmp_path / "map.toml"))
    assert "no encoding" in await said_of(tmp_path, str(good), "--encoding", "latin-99")
    assert "no delimiter" in await said_of(tmp_path, str(good), "--delimiter", ";;")
    assert "is no number of 0 or more" in await said_of(tmp_path, str(good), "--tolerance-s", "-1")
    assert "is not before" in await said_of(tmp_path, str(good), "--from", "2026-03-02", "--to", "2026-03-02")
    shown = await said_of(tmp_path, str(good), "--map", str(tmp_path / "marked.toml"), "--show-map", code=0)
    assert shown.count("looking at the file") == 1


async def test_the_sheets_that_are_not_read_are_named(tmp_path: Path) -> None:
    file = tmp_path / "carrier.xlsx"
    file.write_bytes(workbook(CALLS, also=("四月",)))

    said = await said_of(tmp_path, str(file))

    assert "sheet 话单; NOT read, say --sheet for each: 四月" in said


async def test_somebody_who_says_no_has_compared_nothing(tmp_path: Path) -> None:
    """Exit code 1 would say that records differ. Nobody can be asked here, which is said in the same way."""
    file = tmp_path / "carrier.csv"
    file.write_bytes(table(CALLS))

    done = await callweave("reconcile", str(file), *WHOSE, cwd=tmp_path, stdin=b"n\n")

    assert (done.code, "--yes is wanted" in done.err) == (2, True), done.err
