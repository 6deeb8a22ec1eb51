"""A whole run with secrets, numbers and faults: none of them stands in anything that it shows or leaves behind.

Searched are the logs and all other files of the run, what every command prints, metrics and status pages, the process
list, and the answers to refused requests. `MEANT_TO_HOLD` has the places that are not searched, and why.
"""

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

import aiohttp
import msgspec
import pytest

from deploy.clickhouse import passwords
from deploy.process import token_key
from deploy.simulator.calls import parties
from schemas.config.secret import Secret
from schemas.config.settings import ClickHouseSettings
from tests.oracle.views import named
from tests.support import whole_stack as ws
from tests.support.command import Done, clean_env
from tests.support.http.pushing import PATHS, body_of, post
from tests.support.leftovers import NUMBERS, command_lines, found, kept_files
from tests.support.up_process import Up, descendants, up_env

CALLS = 60
LIMIT_S = 60.0
SECRETS: Final = {
    "clickhouse.password": "Se1-chwriter-Ahg3eiqu",
    "clickhouse.migrator_password": "Se2-chmigrator-ooPh7aef",
    "accounts[0].secret": "Se3AccountPathOhd7aiquooch",
    "accounts[1].secret": "Se4AccountFileWoo9phaiDeep",
    "accounts[2].secret": "Se5AccountEnvAht6ieYiequ",
}
NEXT: Final = {
    "clickhouse.migrator_password": "Se8-chmigrator-next-Ae7e",
    "join.max_contents": "65",
    "clickhouse.password": "Se6-chwriter-next-ies8Oob",
    "accounts[0].secret": "Se7AccountPathNextUu8quah",
}
SENT: Final = {
    "a secret that was guessed": "Gu1GuessedSecretBahth8ie",
    "a password": "Pw1-wrong-password-eiV3",
    "a query": "Qu1QueryValueShoo4ahm",
    "a header": "He1HeaderValueThah3oo",
    "a body": "Bo1BodyValueEiCha7oo",
    "a path": "Pa1PathPieceOhngah4e",
    "a method": "ME1METHODNAMEAEW",
}
"""Texts that only callers sent, each in one place."""
COMMANDS: Final = (
    "--check-config",
    "doctor",
    "dead list --all",
    "conflicts list",
    "spool status",
    "clickhouse accounts",
)
NUMBER: Final = "13900001234"
FORGED: Final = "\x1b[31m2026-01-01T00:00:00Z INFO forged"


class Run:
    """A running `callweave up`, and what it showed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.settings = ws.settings_for(self.data)
        self.file = folder / "callweave.toml"
        self.account_file = folder / "account-secret"
        self.up: Up
        self.shown: dict[str, str] = {}
        self.views: dict[str, str] = {}
        """The rows of every view that the analyst sees; call ids and references stand there as they were sent."""
        self.simulated = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.settings.ingress.port}"

    @property
    def env(self) -> dict[str, str]:
        return {
            **clean_env(**up_env(self.settings)),
            "ACCOUNT_SECRET": SECRETS["accounts[2].secret"],
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }

    def write(self, values: dict[str, str]) -> None:
        """Writes the settings: one secret as a text, one in a file, one in a variable."""
        self.account_file.write_text(values["accounts[1].secret"] + "\n")
        self.file.write_text(f"""\
[join]
max_contents = {values.get("join.max_contents", 64)}
[clickhouse]
password = "{values["clickhouse.password"]}"
migrator_password = "{values["clickhouse.migrator_password"]}"
[[accounts]]
vendor = "nxcloud"
name = "main"
secret = "{values["accounts[0].secret"]}"
[[accounts]]
vendor = "ytx"
name = "filed"
secret = {{ file = "{self.account_file}" }}
[[accounts]]
vendor = "huawei"
name = "variable"
secret = {{ env = "ACCOUNT_SECRET" }}
""")

    async def command(self, *arguments: str, config: Path | None = None) -> Done:
        """Runs a command, and keeps what it printed and how it stood in the process list."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "deploy.cli.main", "--config", str(config or self.file), *arguments),
            cwd=self.folder,
            env=self.env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), LIMIT_S)
        assert process.returncode is not None
        name = f"callweave {' '.join(arguments[:2])}"
        self.shown[name] = self.shown.get(name, "") + out.decode() + err.decode()
        return Done(code=process.returncode, out=out, err=err.decode())

    async def raw_request(self, name: str, content: bytes) -> None:
        """Sends bytes as they are, and keeps the answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.settings.ingress.port)
        try:
            writer.write(content)
            await writer.drain()
            if "breaks off" in name:
                writer.write_eof()
            answer = await asyncio.wait_for(reader.read(4096), LIMIT_S)
            self.shown[f"answer: {name}"] = answer.decode("latin-1")
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def pages(self, when: str) -> None:
        """Keeps every page of every part."""
        states = json.loads((self.data / "parts.json").read_text())
        urls = [state["metrics"].removesuffix("/metrics") for state in states["parts"]]
        async with aiohttp.ClientSession() as session:
            for url in urls:
                for page in ("metrics", "readyz", "healthz"):
                    with contextlib.suppress(aiohttp.ClientError):  # between two starts
                        async with session.get(f"{url}/{page}") as answer:
                            self.shown[f"page {url}/{page} {when}"] = await answer.text()

    def process_list(self) -> None:
        self.shown |= dict(command_lines([self.up.process.pid, *(pid for pid, _ in descendants(self.up.process.pid))]))

    def pid_of(self, part: str) -> int:
        states = json.loads((self.data / "parts.json").read_text())
        return int(next(state["pid"] for state in states["parts"] if state["name"] == part))

    def logged(self, text: str) -> bool:
        logs = [path.read_text() for path in (self.data / "logs").glob("*.log")]
        return any(text in log for log in (*logs, self.up.log.read_text()))


async def eventually(what: str, condition: Callable[[], bool]) -> None:
    async def holds() -> bool:
        return condition()

    await ws.until_true(what, holds)


@contextlib.asynccontextmanager
async def running(run: Run) -> AsyncIterator[None]:
    log = run.folder / "up.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "deploy.cli.main", "--config", str(run.file), "up", "--plain", "--no-simulator"),
            env=run.env, cwd=run.folder, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output,
        )  # fmt: skip
    run.up = Up(process, log)
    try:
        await run.up.ready()
        yield
    finally:
        await run.up.ended(signal.SIGTERM)


def requests(port: int) -> dict[str, bytes]:
    """Returns requests that are refused or cannot be read; each quotes what must stay unknown."""
    host = f"Host: 127.0.0.1:{port}\r\n".encode()
    secret, guess, query = SECRETS["accounts[0].secret"], SENT["a secret that was guessed"], SENT["a query"]
    body = json.dumps({"sessionid": SENT["a body"], "phone": NUMBER, "mobile_name": FORGED}).encode()
    length = f"Content-Length: {len(body)}\r\n".encode()
    header = f"Authorization: Bearer {SENT['a header']}\r\nX-Api-Key: {SENT['a header']}\r\nUser-Agent: {FORGED!r}\r\n".encode()
    return {
        "an unknown secret": f"POST /v1/a/{guess}/nxcloud/cdr?caller={query} HTTP/1.1\r\n".encode() + host + header + length + b"\r\n" + body,
        "another vendor's secret": f"POST /v1/a/{secret}/ytx?caller={NUMBER} HTTP/1.1\r\n".encode() + host + length + b"\r\n" + body,
        "no version of HTTP": f"POST /v1/a/{secret}/nxcloud/cdr?caller={NUMBER}&q={query} HTTP/9.9\r\n".encode() + host + b"\r\n",
        "a bad head": f"POST /v1/a/{secret}/nxcloud/cdr?q={query} HTTP/1.1\r\nBad Header {SENT['a header']}\r\n".encode() + host + b"\r\n",
        "a method of its own": f"{SENT['a method']} /v1/{SENT['a path']}?q={query} HTTP/1.1\r\n".encode() + host + b"\r\n",
        "a bad chunk": f"POST /v1/a/{secret}/nxcloud/cdr HTTP/1.1\r\n".encode() + host + b"Transfer-Encoding: chunked\r\n\r\nzz" + body,
        "a body that breaks off": f"POST /v1/a/{secret}/nxcloud/cdr HTTP/1.1\r\n".encode() + host + b"Content-Length: 9999\r\n\r\n" + body,
        "two accounts": f"POST /v1/nxcloud/cdr?account={query}&account=x HTTP/1.1\r\n".encode() + host + length + b"\r\n" + body,
        "a head that is too long": f"POST /v1/a/{secret}/nxcloud/cdr?q={query * 900} HTTP/1.1\r\n".encode() + host + b"\r\n",
        "a body of no vendor": b"POST /v1/nxcloud/cdr HTTP/1.1\r\n" + host + header + length + b"\r\n" + body,
        "a body that is no JSON": b"POST /v1/ytx HTTP/1.1\r\n" + host + b"Content-Length: 40\r\n\r\n" + (f'"{SENT["a body"]}" {NUMBER}' + " " * 40).encode()[:40],
        "nothing of HTTP": f"{secret} {NUMBER} {query}\r\n\r\n".encode(),
    }  # fmt: skip


async def crash(run: Run, part: str, number: signal.Signals) -> None:
    """Ends a part by a signal while it works, and waits until it runs again."""
    before = run.pid_of(part)
    os.kill(before, number)
    await eventually(f"{part} runs again", lambda: run.pid_of(part) not in (0, before))


async def rotate_secrets(run: Run) -> None:
    """Changes secrets, and what the worker can only take over by beginning anew, under the running stack.

    ClickHouse takes the sink's old password no more before the sink knows the new one.
    """
    passwords.change(run.data / "clickhouse", "callweave", NEXT["clickhouse.password"], keep_old=False)
    async with aiohttp.ClientSession() as session:
        assert await post(session, run.url, PATHS["nxcloud"], body_of("nxcloud", "while-locked-out")) == 200
    await eventually("the sink is not let in", lambda: run.logged("waiting for ClickHouse"))
    run.write({**SECRETS, **NEXT})
    run.up.process.send_signal(signal.SIGHUP)
    await eventually("the settings are read again", lambda: "the settings were read again" in run.up.log.read_text())
    await eventually("the ingress takes them", lambda: run.logged("applied: accounts[0].secret"))
    await eventually("the sink begins anew", lambda: run.logged("clickhouse.password"))
    await eventually("the worker begins anew", lambda: run.logged("join.max_contents"))


async def drive(run: Run) -> None:
    """Traffic, refused and broken requests, crashes, wrong passwords, and every command."""
    await run.command("simulate", "--calls", str(CALLS), "--rate", "0", "--poison", "0.3", "--seed", "7")
    for name, content in requests(run.settings.ingress.port).items():
        await run.raw_request(name, content)
    run.process_list()
    await run.pages("before the crashes")
    await crash(run, "process-1", signal.SIGSEGV)
    await crash(run, "sink", signal.SIGABRT)
    await crash(run, "ingress", signal.SIGKILL)
    wrong = run.folder / "wrong.toml"
    wrong.write_text(run.file.read_text().replace(SECRETS["clickhouse.password"], SENT["a password"]))
    # As a client, with an address, so that the password is not taken for that of the embedded engine.
    wrong.write_text(
        wrong.read_text().replace(
            "[clickhouse]",
            f'[clickhouse]\nuser = "callweave"\nurl = "http://127.0.0.1:{run.settings.embedded.clickhouse_port}"',
        )
    )
    for command in ("dead list", "migrate"):
        await run.command(*command.split(), config=wrong)
    short = run.folder / "short.toml"
    short.write_text(f'[[accounts]]\nvendor = "ytx"\nname = "x"\nsecret = "{SENT["a secret that was guessed"][:12]}"\n')
    assert (await run.command("--check-config", config=short)).code == 78
    await rotate_secrets(run)
    for command in COMMANDS:
        await run.command(*command.split())
    await run.pages("at the end")
    run.process_list()


@pytest.fixture(scope="module")
async def run() -> AsyncIterator[Run]:
    """Yields a run that is over."""
    with tempfile.TemporaryDirectory(prefix="callweave-nothing-left-") as folder:
        made = Run(Path(folder))
        made.write(SECRETS)
        async with running(made):
            await drive(made)
            made.simulated = await in_the_tables(made)
            made.views = await as_the_analyst_sees_it(made)
            await honest_and_late(made)
            for known in (SECRETS, NEXT):  # both are valid at once
                password = known["clickhouse.migrator_password"]
                assert await ws.query(clickhouse_of(made, "callweave_migrator", password), "SELECT 1 AS one")
        made.shown |= dict(kept_files(made.data))
        made.shown["up.log"] = made.up.log.read_text()
        yield made


def clickhouse_of(run: Run, user: str = "callweave", password: str = NEXT["clickhouse.password"]) -> ClickHouseSettings:
    """Returns a login, that of the parts with their new password by default."""
    return msgspec.structs.replace(
        run.settings.clickhouse,
        url=f"http://127.0.0.1:{run.settings.embedded.clickhouse_port}",
        user=user,
        password=Secret(password),
    )


async def in_the_tables(run: Run) -> int:
    """Returns how many calls with numbers of the simulator's are stored."""
    rows = await ws.query(clickhouse_of(run), "SELECT from_number, to_number FROM v_timelines")
    return sum(bool(NUMBERS.search(f"{row['from_number']} {row['to_number']}")) for row in rows)


async def as_the_analyst_sees_it(run: Run) -> dict[str, str]:
    """Returns the rows of every view that shows no clear number, by the view."""
    (password,) = passwords.read(run.data / "clickhouse")["callweave_analyst"]
    login = clickhouse_of(run, "callweave_analyst", password)
    views = await ws.query(
        login, "SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase()"
    )
    asked = {row["name"]: named(row["name"], row["create_table_query"]) for row in views}
    return {f"view {name}": str(await ws.query(login, f"SELECT * FROM {view}")) for name, view in asked.items()}


async def honest_and_late(run: Run) -> None:
    """Pushes with the new secret and with the old one."""
    async with aiohttp.ClientSession() as session:
        for name, secret in (("new", NEXT["accounts[0].secret"]), ("old", SECRETS["accounts[0].secret"])):
            async with session.post(
                f"{run.url}/v1/a/{secret}/nxcloud/cdr", data=body_of("nxcloud", f"by-the-{name}")
            ) as answer:
                run.shown[f"answer: the {name} secret"] = f"{answer.status} {await answer.text()}"

    async def stored() -> bool:
        calls = "vendor_call_id IN ('by-the-new', 'while-locked-out')"
        return len(await ws.query(clickhouse_of(run), f"SELECT 1 FROM v_cdr WHERE {calls}")) == 2

    await ws.until_true("the sink writes with the new password", stored)


def test_the_run_had_what_must_not_be_found(run: Run) -> None:
    assert run.simulated > CALLS / 3
    assert run.logged("outcome=forbidden")
    assert "wrong name or password" in run.shown["callweave dead list"]
    assert run.shown["answer: the new secret"].startswith("200")
    assert run.shown["answer: the old secret"].startswith("403")
    answers = {name: text.split(" ")[1] for name, text in run.shown.items() if text.startswith("HTTP/1.")}
    assert answers["answer: an unknown secret"] == "403"
    assert answers["answer: a body of no vendor"] == "200"
    assert len(answers) >= len(requests(0)) - 1  # who breaks off has no use for an answer
    assert len([place for place in run.shown if place.startswith("logs/")]) >= 6
    masked = "".join(text for place, text in run.views.items() if place.startswith("view masked_"))
    assert len(re.findall(r"'from_token': '[0-9a-f]{32}', 'from_masked': '[+]?[0-9]+[*]{4}", masked)) > CALLS / 3


def test_no_secret_is_in_anything_that_the_run_left_behind(run: Run) -> None:
    # A part of a secret is as good as most of it, and a password in an address is encoded.
    values = [value for path, value in (*SECRETS.items(), *NEXT.items()) if not path.startswith("join")]
    made = token_key.kept(run.data).value
    secrets = (*values, SENT["a secret that was guessed"], SENT["a password"], made)

    assert found(run.shown, [secret[:12] for secret in secrets]) == []


def test_nothing_of_a_request_is_in_anything_that_the_run_left_behind(run: Run) -> None:
    assert found(run.shown, [*SENT.values(), NUMBER, *(name for name in parties._NAMES if not name.isascii())]) == []


def test_no_clear_number_and_no_secret_is_in_a_view_of_the_analyst(run: Run) -> None:
    secrets = (*SECRETS.values(), token_key.kept(run.data).value)
    people = (name for name in parties._NAMES if not name.isascii())

    assert found(run.views, [*(secret[:12] for secret in secrets), NUMBER, *people]) == []


def test_no_line_controls_a_terminal(run: Run) -> None:
    places = {place: text for place, text in run.shown.items() if place.startswith(("logs/", "callweave ", "up.log"))}

    assert {
        place for place, text in places.items() if not all(char.isprintable() or char in "\n " for char in text)
    } == set()
