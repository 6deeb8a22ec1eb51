"""`python -m tests.clients`: tries each client's program against an embedded ClickHouse with its default settings.

A program reads the server's address from the environment and prints a line for each check: `version 1.2.3`, `ok NAME`,
or `not ok NAME: WHY`. The programs are copied to `build/clients` and built there, so that no toolchain writes into the
source. The exit code is 1 when a check fails; a client whose toolchain is missing is in the table as not run.
"""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from deploy.clickhouse.accounts import EngineRole
from deploy.clickhouse.launch import ClickHouseServer
from deploy.process.ports import require_free
from schemas.errors import SetupError
from tests.clients.results import SUITE, Done, Result, known_failures, last_words, read, read_suite, table
from tests.support.clickhouse_at import address, ask

HERE: Final = Path(__file__).parent
WORK: Final = HERE.parents[1] / "build" / "clients"
BUILD_LIMIT_S: Final = 900
RUN_LIMIT_S: Final = 600
SUITE_LIMIT_S: Final = 3600
SUITE_COMMIT: Final = "842e4131e76cc44cef00052a48f695c57a5c187c"
SUITE_CLONE: Final = "CLICKHOUSE_CONNECT_CLONE"
"""The environment variable with the place of a clone of clickhouse-connect's repository: no package has its tests."""
NATIVE_PORT: Final = 9000
"""The port that a test of the suite expects; another one is used when it is not free."""


class NotRun(Exception):
    """A tool or package of a client is missing; the message names it."""


class NotBuilt(Exception):
    """A client's program could not be built, or its packages not fetched."""


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """One client: the steps that prepare and start its program."""

    name: str
    folder: str
    needs: tuple[str, ...]
    build: Callable[[Path], None]
    command: tuple[str, ...]


def run(command: tuple[str, ...], folder: Path, limit_s: float, environment: Mapping[str, str]) -> Done:
    """Runs a command to its end, or to the limit."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=limit_s,
            check=False,
        )
    except subprocess.TimeoutExpired as exc:
        return Done(code=-1, output=_text(exc.stdout), errors=f"it did not end in {limit_s:.0f} s")
    return Done(code=done.returncode, output=done.stdout, errors=done.stderr)


def _text(given: str | bytes | None) -> str:
    return given.decode(errors="replace") if isinstance(given, bytes) else given or ""


def built(*command: str) -> Callable[[Path], None]:
    """Returns a step that runs one command in the program's folder; the step raises NotBuilt with the last line."""

    def step(folder: Path) -> None:
        done = run(command, folder, BUILD_LIMIT_S, {})
        if done.code:
            raise NotBuilt(f"`{' '.join(command)}` failed: {last_words(done)}")

    return step


def environment_made(folder: Path) -> None:
    """Makes an environment from the hash-pinned requirements of the folder; it is kept while they stay the same."""
    wanted, done = (folder / "requirements.txt").read_bytes(), folder / "env" / "requirements"
    if done.exists() and done.read_bytes() == wanted:
        return
    built(sys.executable, "-m", "venv", "--clear", "env")(folder)
    built(str(folder / "env/bin/python"), "-m", "pip", "install", "-q", "--require-hashes", "-r", "requirements.txt")(
        folder
    )
    done.write_bytes(wanted)


PYTHON: Final = "env/bin/python"
CLIENTS: Final = (
    Client(
        name="clickhouse-jdbc",
        folder="jdbc",
        needs=("java", "mvn"),
        build=built("mvn", "-q", "-B", "-ntp", "compile", "dependency:copy-dependencies"),
        command=("java", "-cp", "target/classes:target/dependency/*", "Checks"),
    ),
    Client(name="clickhouse-go", folder="go", needs=("go",), build=built("go", "build", "-o", "checks", "."), command=("./checks",)),
    Client(
        name="@clickhouse/client", folder="node", needs=("node", "npm"), build=built("npm", "ci", "--no-audit", "--no-fund"),
        command=("node", "checks.mjs"),
    ),
    *(
        Client(name=name, folder="python", needs=(), build=environment_made, command=(PYTHON, f"{file}.py"))
        for name, file in (
            ("clickhouse-connect", "http_client"),
            ("clickhouse-driver", "native_driver"),
            ("clickhouse-sqlalchemy", "alchemy"),
            ("asynch", "asynchronous_driver"),
        )
    ),
)  # fmt: skip


def ready(client: Client) -> Path:
    """Returns the folder in which the client's program is built; raises NotRun or NotBuilt."""
    if missing := [tool for tool in client.needs if shutil.which(tool) is None]:
        raise NotRun(f"no {' and no '.join(missing)} on this machine")
    folder = WORK / client.folder
    shutil.copytree(HERE / client.folder, folder, dirs_exist_ok=True)
    client.build(folder)
    return folder


def ready_suite() -> Path:
    """Returns the folder of clickhouse-connect's tests in the named clone; raises NotRun or NotBuilt."""
    clone = os.environ.get(SUITE_CLONE)
    if not clone:
        raise NotRun(f"{SUITE_CLONE} names no clone of its repository, and its tests are in no package")
    folder = WORK / "suite"
    shutil.copytree(HERE / "suite", folder, dirs_exist_ok=True)
    environment_made(folder)
    archive = folder / "tests.tar"
    built("git", "-C", clone, "archive", "-o", str(archive), SUITE_COMMIT, "tests", "pyproject.toml")(folder)
    shutil.rmtree(folder / "clone", ignore_errors=True)
    shutil.unpack_archive(archive, folder / "clone")
    return folder


def tried(client: Client, environment: Mapping[str, str]) -> Result:
    """Builds and runs one client's program."""
    try:
        folder = ready(client)
    except NotRun as exc:
        return Result(client=client.name, not_run=str(exc))
    except NotBuilt as exc:
        return Result(client=client.name, failed=(str(exc),))
    return read(client.name, run(client.command, folder, RUN_LIMIT_S, environment))


def suite(environment: Mapping[str, str]) -> Result:
    """Runs clickhouse-connect's own integration tests."""
    try:
        folder = ready_suite()
    except NotRun as exc:
        return Result(client=SUITE, not_run=str(exc))
    except NotBuilt as exc:
        return Result(client=SUITE, failed=(str(exc),))
    given = {
        "CLICKHOUSE_CONNECT_TEST_HOST": environment["CLICKHOUSE_HOST"],
        "CLICKHOUSE_CONNECT_TEST_PORT": environment["CLICKHOUSE_PORT"],
        "CLICKHOUSE_CONNECT_TEST_USER": environment["CLICKHOUSE_USER"],
        "CLICKHOUSE_CONNECT_TEST_PASSWORD": environment["CLICKHOUSE_PASSWORD"],
    }
    python, report = str(folder / PYTHON), folder / "report.xml"
    report.unlink(missing_ok=True)
    options = ("-q", "-o", "addopts=", "-o", "log_cli=false", "-n", "2", "--timeout=300", f"--junitxml={report}")
    done = run((python, "-m", "pytest", "tests/integration_tests", *options), folder / "clone", SUITE_LIMIT_S, given)
    if not report.exists():
        return Result(client=SUITE, failed=(last_words(done),))
    ask_version = "import importlib.metadata as m; print(m.version('clickhouse-connect'))"
    version = run((python, "-c", ask_version), folder, 60, {}).output.strip()
    known = known_failures((HERE / "suite" / "known.txt").read_text())
    return read_suite(ET.parse(report).getroot(), known, version)


_BI: Final = (
    "CREATE DATABASE bi",
    "CREATE TABLE bi.call (id UInt64, number String) ENGINE = MergeTree ORDER BY id",
    "INSERT INTO bi.call VALUES (1, '+8613800001111')",
    "CREATE VIEW bi.v_call DEFINER = CURRENT_USER SQL SECURITY DEFINER AS SELECT id FROM bi.call",
)


async def served(names: list[str]) -> list[Result]:
    """Starts two servers, with the settings of the tests and of `callweave up`, and tries the clients one by one."""
    with tempfile.TemporaryDirectory(prefix="callweave-clients-") as folder:
        wide = ClickHouseServer(Path(folder) / "wide", tcp_port=_native_port())
        narrow = ClickHouseServer(Path(folder) / "narrow", databases="bi")
        async with wide, narrow:
            for statement in _BI:
                if error := await ask(address(narrow), statement):
                    raise RuntimeError(error)
            environment = {
                **_environment("CLICKHOUSE_", wide, EngineRole.MIGRATOR),
                **_environment("CLICKHOUSE_BI_", narrow, EngineRole.READER),
            }
            results = []
            for name, trial in _trials(environment):
                if not names or name in names:
                    print(f"{name} ...", file=sys.stderr, flush=True)  # noqa: T201 - shows the progress
                    results.append(await asyncio.to_thread(trial))
            return results


def _native_port() -> int:
    try:
        require_free(NATIVE_PORT, what="ClickHouse's native protocol", setting="its port")
    except SetupError:
        return 0
    return NATIVE_PORT


def _trials(environment: Mapping[str, str]) -> Iterator[tuple[str, Callable[[], Result]]]:
    for client in CLIENTS:
        yield client.name, lambda client=client: tried(client, environment)  # type: ignore[misc]  # a default of a lambda
    yield "suite", lambda: suite(environment)


def _environment(prefix: str, server: ClickHouseServer, role: EngineRole) -> dict[str, str]:
    return {
        f"{prefix}HOST": "127.0.0.1",
        f"{prefix}PORT": str(server.port),
        f"{prefix}TCP_PORT": str(server.tcp_port),
        f"{prefix}USER": server.account(role),
        f"{prefix}PASSWORD": server.password(role),
    }


def main(names: list[str]) -> int:
    """Tries the named clients, or all; returns the exit code."""
    known = {client.name for client in CLIENTS} | {"suite"}
    if unknown := set(names) - known:
        sys.exit(f"no client {', '.join(sorted(unknown))}: there are {', '.join(sorted(known))}")
    results = asyncio.run(served(names))
    print("\n".join(table(results)))  # noqa: T201 - its output is its purpose
    failed, not_run = [one.client for one in results if one.failed], [one.client for one in results if one.not_run]
    print(f"failed: {', '.join(failed) or 'none'}; not run: {', '.join(not_run) or 'none'}")  # noqa: T201 - likewise
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
