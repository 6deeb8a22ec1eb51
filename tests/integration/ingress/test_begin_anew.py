"""A part that cannot take a setting over while it runs begins anew in the same process; a closed terminal ends it."""

import asyncio
import contextlib
import os
import pty
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from deploy.process.ports import free_port
from tests.support.command import clean_env

LIMIT_S = 60.0


class Poller:
    """A running `callweave poll` with nothing to poll; it waits for a Kafka that never comes."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path, file: Path) -> None:
        self.process = process
        self.log = log
        self.file = file

    async def until(self, condition: Callable[[str], bool]) -> str:
        """Returns the log as soon as it fulfils the condition."""
        async with asyncio.timeout(LIMIT_S):
            while not condition(text := self.log.read_text()):
                assert self.process.returncode is None, text
                await asyncio.sleep(0.02)
        return text

    async def started(self, times: int) -> str:
        return await self.until(lambda text: text.count("there is nothing to poll") >= times)


@contextlib.asynccontextmanager
async def poller(folder: Path, *arguments: str, stdin: int = asyncio.subprocess.DEVNULL) -> AsyncIterator[Poller]:
    log, file = folder / "poll.log", folder / "settings.toml"
    file.write_text("")
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "deploy.cli.main", "--config", str(file), "poll", *arguments),
            env=clean_env(kafka__bootstrap=f"127.0.0.1:{free_port()}"),
            stdin=stdin, stdout=output, stderr=output,
        )  # fmt: skip
    made = Poller(process, log, file)
    try:
        await made.started(1)
        yield made
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_a_part_begins_anew_with_the_new_settings_under_the_same_id(tmp_path: Path) -> None:
    async with poller(tmp_path) as running:
        running.file.write_text('[poll]\ntimeout_s = 7\n[log]\nformat = "json"\n')
        running.process.send_signal(signal.SIGHUP)
        text = await running.started(2)
        running.process.send_signal(signal.SIGHUP)
        text = await running.until(lambda text: text.count("the settings were read again") == 2)
        running.process.send_signal(signal.SIGTERM)
        assert await running.process.wait() == 0

    assert "applied: log.format; applied by a new process" in text
    last = [line for line in text.splitlines() if "the settings were read again" in line][-1]
    assert "nothing differs here" in last  # so the new process has them
    assert last.startswith("{")


async def test_a_part_that_is_told_to_stop_while_it_begins_anew_stops(tmp_path: Path) -> None:
    async with poller(tmp_path) as running:
        running.file.write_text("[poll]\ntimeout_s = 7\n")
        running.process.send_signal(signal.SIGHUP)
        await running.until(lambda text: "the settings were read again" in text)
        running.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(running.process.wait(), LIMIT_S) == 0


@pytest.mark.parametrize("closed", [True, False], ids=["the terminal is closed", "somebody sends the signal"])
async def test_a_hangup_ends_a_part_only_with_its_terminal(tmp_path: Path, *, closed: bool) -> None:
    ours, its = pty.openpty()
    async with poller(tmp_path, stdin=its) as running:
        os.close(its)
        if closed:
            os.close(ours)
        running.process.send_signal(signal.SIGHUP)
        if closed:
            assert await asyncio.wait_for(running.process.wait(), LIMIT_S) == 0
        else:
            await running.until(lambda text: "nothing differs here" in text)
            os.close(ours)
