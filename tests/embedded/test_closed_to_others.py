"""A whole `callweave up` on a machine with other users: its files are private, and passwords appear in one place."""

import asyncio
import base64
import contextlib
import os
import re
import stat
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import aiohttp
import pytest

from deploy.clickhouse import passwords
from tests.support import whole_stack as ws
from tests.support.command import Done, callweave
from tests.support.http.pushing import PATHS, body_of, post
from tests.support.up_process import Up, descendants, running_up, up_env

LIMIT_S = 60.0
OTHERS = stat.S_IRWXG | stat.S_IRWXO


class Place:
    """A folder open to all users, with an old data directory in it, and a running `callweave up`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.settings = ws.settings_for(self.data)
        self.up: Up
        (self.data / "logs").mkdir(parents=True)
        self.data.chmod(0o777)
        old = self.data / "logs" / "of-before.log"
        old.write_text("of a release before")
        old.chmod(0o666)

    def env(self) -> dict[str, object]:
        return {
            **up_env(self.settings),
            "ingress__spool_dir": self.folder / "spool of its own",
            "process__crash_dir": self.folder / "crashes of its own",
        }

    @property
    def clickhouse(self) -> str:
        return f"http://127.0.0.1:{self.settings.embedded.clickhouse_port}"

    async def command(self, *arguments: str) -> Done:
        return await callweave(*arguments, cwd=self.folder, settings=self.env())

    async def push(self, call_id: str) -> int:
        async with aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{self.settings.ingress.port}"
            return await post(session, url, PATHS["nxcloud"], body_of("nxcloud", call_id))

    async def ask(self, name: str, password: str, sql: str = "SELECT 'in'") -> str:
        """Returns the engine's answer to an account."""
        login = {"Authorization": f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"}
        async with aiohttp.ClientSession(headers=login) as session, session.post(self.clickhouse, data=sql) as answer:
            return (await answer.text()).strip() if answer.status == 200 else f"HTTP {answer.status}"

    async def without_row(self, call_id: str) -> bool:
        """True when the call is not in the view for people."""
        password = passwords.read(self.data / "clickhouse")["callweave_reader"][0]
        found = await self.ask(
            "callweave_reader", password, f"SELECT count() FROM calls.v_cdr WHERE vendor_call_id = '{call_id}'"
        )
        return found != "1"


def found_in(folder: Path) -> Iterator[tuple[Path, int]]:
    """Returns every file and directory with its mode; the engine may remove merged parts meanwhile."""
    for below, directories, files in os.walk(folder):
        for path in (Path(below, name) for name in (*directories, *files)):
            with contextlib.suppress(FileNotFoundError):
                yield path, path.lstat().st_mode


def holds(path: Path, words: Sequence[str]) -> bool:
    with contextlib.suppress(FileNotFoundError):
        content = path.read_bytes()
        return any(word.encode() in content for word in words)
    return False


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="callweave-closed-test-") as path:
        Path(path).chmod(0o777)
        yield Path(path)


@pytest.fixture(scope="module")
async def place(folder: Path) -> AsyncIterator[Place]:
    """Yields a running `callweave up` in which one pushed body is a row."""
    made = Place(folder)
    # A umask that closes nothing.
    async with running_up(folder, made.env(), umask=0) as up:
        made.up = up
        assert await made.push("first") == 200
        assert not await ws.until(lambda: made.without_row("first"), LIMIT_S)
        yield made


async def test_no_file_and_no_directory_is_open_to_others(place: Place) -> None:
    """Checks Kafka's log, ClickHouse's store, logs, spool, crash notes and part states, under a umask of 0."""
    found = {
        path.relative_to(place.folder): stat.S_IMODE(mode)
        for path, mode in found_in(place.folder)
        if not stat.S_ISLNK(mode) and path.name != "up.log"  # the shell makes this file
    }

    assert {path.parts[0] for path in found} == {"data", "spool of its own", "crashes of its own"}
    assert len(found) > 200
    assert {str(path): oct(mode) for path, mode in found.items() if mode & OTHERS} == {}


async def test_the_line_that_queries_works_as_it_is_printed(place: Place) -> None:
    text = place.up.log.read_text()
    (line,) = re.findall(r"^ +(curl -u [^\n]+\\\n[^\n]+)$", text, re.MULTILINE)
    shell = await asyncio.create_subprocess_exec("sh", "-c", line, stdout=asyncio.subprocess.PIPE)
    out, _ = await asyncio.wait_for(shell.communicate(), LIMIT_S)

    assert "nxcloud" in out.decode()
    assert "first" in out.decode()


def test_passwords_stand_in_their_file_and_the_reader_s_on_the_screen_once_started(place: Place) -> None:
    kept = passwords.read(place.data / "clickhouse")
    reader, others = kept["callweave_reader"][0], [kept[name][0] for name in ("callweave", "callweave_migrator")]
    message, _, after = place.up.log.read_text().partition("look and mend:")

    assert reader in message
    assert not [password for password in (reader, *others) if password in after]
    assert not [password for password in others if password in message]
    for pid, _started in descendants(place.up.process.pid):
        assert not holds(Path(f"/proc/{pid}/cmdline"), (reader, *others))
    holding = [
        path.name for path, mode in found_in(place.folder) if stat.S_ISREG(mode) and holds(path, (reader, *others))
    ]
    assert sorted(holding) == ["passwords.json", "up.log"]


async def test_the_command_shows_what_the_engine_takes(place: Place) -> None:
    for role, name in (
        *(("reader", "callweave_reader"), ("analyst", "callweave_analyst")),
        *(("writer", "callweave"), ("migrator", "callweave_migrator")),
    ):
        done = await place.command("clickhouse", "password", role)

        assert await place.ask(name, done.text.removesuffix("\n")) == "in"


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("callweave_reader", marks=pytest.mark.long),
        "callweave",
        pytest.param("callweave_migrator", marks=pytest.mark.long),
    ],
)
async def test_a_password_is_changed_under_a_running_stack_which_goes_on(place: Place, name: str) -> None:
    """Changes it twice: the parts use the one from their start, which stays valid through both changes."""
    old = passwords.read(place.data / "clickhouse")[name][0]
    changed = [(await place.command("clickhouse", "password", name, "--new")).text.strip() for _ in range(2)]

    taken = [await place.ask(name, password) for password in (old, *changed)]
    assert taken == (["HTTP 403", "HTTP 403", "in"] if name == "callweave_reader" else ["in", "in", "in"])
    assert await place.push(f"after-{name}") == 200
    assert not await ws.until(lambda: place.without_row(f"after-{name}"), LIMIT_S)
    doctor = await place.command("doctor")
    assert "all tables and views are there" in doctor.text


async def test_an_old_password_ends_at_once_where_that_is_asked_for(place: Place) -> None:
    old = passwords.read(place.data / "clickhouse")["callweave_migrator"]
    done = await place.command("clickhouse", "password", "migrator", "--new", "--at-once")

    assert [await place.ask("callweave_migrator", password) for password in old] == ["HTTP 403"] * len(old)
    assert await place.ask("callweave_migrator", done.text.strip()) == "in"
