"""An engine and statements that it must refuse, for the tests of what no account of the embedded ClickHouse can do.

Each statement goes to a real engine as every account that can log in. Afterwards a listener of the test must have heard
nothing and the files of the host must be as they were. The engine runs twice: in its sandbox, and as on a kernel that
has none, where the rights alone must do.
"""

import asyncio
import contextlib
import re
import sqlite3
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Final, NamedTuple

import pytest

import deploy.clickhouse.launch
import deploy.process.child
from deploy.clickhouse.accounts import BUILT_IN, EngineRole
from deploy.clickhouse.launch import ClickHouseServer
from schemas.config.settings import Settings
from sinks.clickhouse import ClickHouse
from tests.support.clickhouse_at import ask
from tests.support.processes.made_tables import make_tables

DATABASE: Final = "calls"
ACCOUNTS: Final = ("writer", "migrator", "reader", "analyst", "default")
SECRET: Final = "what-the-host-keeps"
RAW: Final = "as-the-vendor-sent-it"
"""The value in every restricted column."""
NUMBER: Final = "+8613800001111"
HTTP: Final = "'http://127.0.0.1:{port}/bucket/key'"

WITHOUT_A_SANDBOX: Final = """
import sys
from deploy.clickhouse import sandbox
sandbox.version = lambda: 0
from deploy.clickhouse.__main__ import main
sys.exit(main())
"""

DENIED: Final = 497
"""The code of ACCESS_DENIED."""
READ_ONLY: Final = 164
FIXED: Final = 452
"""The code of SETTING_CONSTRAINT_VIOLATION."""
NO_DIRECTORY: Final = 1001
"""The code of the error when the engine has no current directory."""
NOT_HERE: Final = 76
"""The code of CANNOT_OPEN_FILE."""


class Heard(NamedTuple):
    """A port of the test, and the connections to it."""

    port: int
    received: list[bytes]


class EngineUnderTest(NamedTuple):
    """A running engine, with files and ports that it must not reach."""

    server: ClickHouseServer
    heard: Heard
    outside: Path
    """A directory of the host with a secret in it."""
    sandboxed: bool

    def url(self, account: str) -> str:
        """Returns the address with the name and password of an account."""
        if account == "default":
            return f"http://{BUILT_IN}:{self.server.password(EngineRole.WRITER)}@127.0.0.1:{self.server.port}"
        role = EngineRole(account)
        return f"http://{self.server.account(role)}:{self.server.password(role)}@127.0.0.1:{self.server.port}"

    async def answer(self, account: str, sql: str, session: str = "") -> str:
        """Returns the engine's answer; `{...}` in the statement are places of this environment."""
        for name, value in self.places.items():
            sql = sql.replace("{" + name + "}", value)
        url = self.url(account)
        return await (ask(url, sql, session_id=session) if session else ask(url, sql))

    @property
    def places(self) -> dict[str, str]:
        """Returns the values of the places in statements."""
        return {
            "port": str(self.heard.port),
            "pid": str(self.server.pid),
            "out": str(self.outside),
            "dir": str(self.outside.parent / "clickhouse"),
        }

    def assert_untouched(self) -> None:
        """Asserts that the host's files are unchanged and that nothing connected."""
        heard = self.heard.received.copy()
        self.heard.received.clear()
        assert not heard
        assert {path.name for path in self.outside.rglob("*")} == {"secret.txt", "secret.sqlite"}
        assert (self.outside / "secret.txt").read_text() == f"{SECRET}\n"


class Try(NamedTuple):
    """One statement, and the codes of the right refusals."""

    name: str
    sql: str
    codes: tuple[int, ...] = (DENIED,)
    accounts: tuple[str, ...] = ACCOUNTS


@contextlib.asynccontextmanager
async def running_engine(place: Path, *, sandboxed: bool) -> AsyncIterator[EngineUnderTest]:
    """Yields a running engine, with and without the sandbox."""
    outside = place / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text(f"{SECRET}\n")
    with sqlite3.connect(outside / "secret.sqlite") as made:
        made.execute("CREATE TABLE t (a TEXT)")
        made.execute("INSERT INTO t VALUES (?)", (SECRET,))
    made.close()
    received: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(b"somebody connected")
        received.append(await reader.read(1 << 16))
        writer.close()

    listener = await asyncio.start_server(listen, "127.0.0.1", 0)
    heard = Heard(port=listener.sockets[0].getsockname()[1], received=received)
    with pytest.MonkeyPatch.context() as patch:
        if not sandboxed:
            patch.setattr(deploy.clickhouse.launch, "spawn", spawned_without_a_sandbox)
        async with listener, ClickHouseServer(place / "clickhouse", databases=DATABASE) as server:
            settings = Settings(clickhouse=server.settings())
            await make_tables(settings)
            async with ClickHouse(settings.clickhouse) as client:
                await client.insert_rows(
                    f"{DATABASE}.cdr_by_slot",
                    ("vendor", "from_number", "from_raw", "to_raw", "display_raw", "privacy_raw", "recording_url"),
                    [("acme", NUMBER, RAW, RAW, RAW, RAW, RAW)],
                )
            yield EngineUnderTest(server=server, heard=heard, outside=outside, sandboxed=sandboxed)


async def spawned_without_a_sandbox(command: tuple[str, ...], *, output: Path) -> deploy.process.child.Child:
    """Starts the engine as on a kernel without Landlock."""
    python, _, _, *arguments = command
    return await deploy.process.child.spawn((python, "-c", WITHOUT_A_SANDBOX, *arguments), output=output)


def code(answer: str) -> int | None:
    """Returns the code of the error in an answer."""
    found = re.search(r"Code: (\d+)", answer)
    return int(found[1]) if found else None


async def refused(engine: EngineUnderTest, one: Try) -> None:
    """Asserts that every account is refused the statement with the right code, and without an effect."""
    answers = await asyncio.gather(*(engine.answer(account, one.sql) for account in one.accounts))
    wrong = {
        account: answer
        for account, answer in zip(one.accounts, answers, strict=True)
        if code(answer) not in one.codes or SECRET in answer or "root:" in answer
    }
    assert not wrong
    engine.assert_untouched()


def every(tries: Iterable[Try]) -> pytest.MarkDecorator:
    """Returns a test case for each statement."""
    return pytest.mark.parametrize("one", [pytest.param(one, id=one.name) for one in tries])
