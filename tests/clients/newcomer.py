"""The way of a newcomer, timed: from `make run` in a fresh clone to an answer by curl, by JDBC and by Superset.

The home is empty, and downloads count. `python -m tests.clients.newcomer` prints the seconds, with the load of the
machine, and asserts none of them. It needs the ports of `callweave up`, `make`, `curl`, and for each way what that way
needs: Maven and Java; Chromium and its driver.
"""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from deploy.dashboards.boards.operations import OPERATIONS
from tests.support.bi.browser import CHROMIUM, DRIVER, browser
from tests.support.bi.pages import drawn, log_in

ROOT: Final = Path(__file__).parents[2]
READER: Final = "callweave_reader"
CLICKHOUSE: Final = "127.0.0.1:8123"
LIMIT_S: Final = 900.0
LOOK_EVERY_S: Final = 0.2
QUERY: Final = "SELECT count() FROM v_timelines HAVING count() > 0"
INHERITED: Final = (
    "PATH",
    "LANG",
    "TMPDIR",
    "PIP_",
    "UV_",
    "SSL_",
    "REQUESTS_",
    "MAVEN_",
    "JAVA_",
    "http",
    "HTTP",
    "no_proxy",
)
"""Parts of a newcomer's environment: how this machine reaches the registries of packages."""


class Failed(Exception):
    """A way that led to no answer; the message has its last words."""


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - its output is its purpose


def load() -> str:
    """Returns the machine's load of the last minute."""
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"


def environment(home: Path) -> dict[str, str]:
    """Returns the environment of somebody who has nothing yet."""
    kept = {name: value for name, value in os.environ.items() if name.startswith(INHERITED)}
    return {**kept, "HOME": str(home)}


def until(what: str, probe: Callable[[], str]) -> str:
    """Returns the first answer of `probe` that is not empty; raises Failed after the limit."""
    deadline = time.monotonic() + LIMIT_S
    while not (answer := probe()):
        if time.monotonic() > deadline:
            raise Failed(f"in vain after {LIMIT_S:.0f} s: {what}")
        time.sleep(LOOK_EVERY_S)
    return answer


@contextlib.contextmanager
def running(target: str, clone: Path, env: Mapping[str, str], log: Path) -> Iterator[str]:
    """Starts `make TARGET` and yields what it printed when it was ready; ends it with Ctrl-C, as a person does."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            ("make", target), cwd=clone, env=dict(env), stdout=output, stderr=output, start_new_session=True
        )

    def ready() -> str:
        text = log.read_text("utf-8", errors="replace")
        if process.poll() is not None:
            raise Failed(f"`make {target}` ended with {process.returncode}: {text[-1500:]}")
        return text if re.search(r"^ready after", text, re.MULTILINE) else ""

    try:
        yield until(f"make {target}", ready)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        process.wait(120)


def answered(command: tuple[str, ...], folder: Path, env: Mapping[str, str]) -> str:
    """Returns what a command printed; raises Failed with its last words."""
    done = subprocess.run(command, cwd=folder, env=dict(env), capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"`{command[0]}` ended with {done.returncode}: {(done.stderr or done.stdout)[-1500:]}")
    return done.stdout


def by_curl(clone: Path, env: Mapping[str, str]) -> str:
    """Sends the README's first callback and asks for its row, both with the README's own commands."""
    blocks = re.findall(r"^```\n(curl .*?)^```$", (clone / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
    push, query = blocks
    if not re.search(r"^HTTP/\S+ 200", said := answered(("bash", "-c", push), clone, env), re.MULTILINE):
        raise Failed(f"the callback was not taken: {said}")
    row = until("the row of the callback", lambda: answered(("bash", "-c", query), clone, env).strip())
    return re.sub(r"\s+", " ", next(line for line in row.splitlines() if line.startswith("talk_ms")))


def by_jdbc(clone: Path, env: Mapping[str, str]) -> str:
    """Fetches the driver with Maven into an empty repository, and asks with it."""
    folder = clone / "tests/clients/jdbc"
    fetch = ("mvn", "-q", "-B", "-ntp", f"-Dmaven.repo.local={env['HOME']}/repository")
    answered((*fetch, "compile", "dependency:copy-dependencies"), folder, env)
    password = answered((str(clone / ".venv/bin/callweave"), "clickhouse", "password"), clone, env).strip()
    program = ("java", "-cp", "target/classes:target/dependency/*", "Answer")
    address = f"jdbc:clickhouse://{CLICKHOUSE}/calls"
    return (
        until("calls by JDBC", lambda: answered((*program, address, READER, password, QUERY), folder, env).strip())
        + " calls"
    )


def by_superset(clone: Path, env: Mapping[str, str]) -> str:
    """Runs `make bi`, logs in as it says, and opens a dashboard until all of its charts are drawn."""
    with running("bi", clone, env, Path(env["HOME"]) / "bi.log") as text:
        (url,) = re.findall(r"(http://\S+)/dashboard/list/", text)
        (user,) = re.findall(r"log in as (\w+)", text)
        password = text[text.index("of this start") :].split()[3]
        count = asyncio.run(_seen(url, user, password))
    return f"{count} charts of the dashboard {OPERATIONS.slug}"


async def _seen(url: str, user: str, password: str) -> int:
    async with browser() as window:
        await log_in(window, url, user, password, limit_s=LIMIT_S)
        await window.size(1400, 1500)
        await window.open(f"{url}/superset/dashboard/{OPERATIONS.slug}/")
        charts = await drawn(window, len(OPERATIONS.charts), limit_s=LIMIT_S)
        if failed := [one["name"] for one in charts if one["failed"]]:
            raise Failed(f"charts with an error: {', '.join(failed)}")
        return len(charts)


WAYS: Final[Mapping[str, tuple[Callable[[Path, Mapping[str, str]], str], bool]]] = {
    "curl": (by_curl, shutil.which("curl") is not None),
    "JDBC": (by_jdbc, None not in (shutil.which("mvn"), shutil.which("java"))),
    "Superset": (by_superset, None not in (CHROMIUM, DRIVER)),
}


def main(names: list[str]) -> int:
    """Goes the named ways, or all; returns 1 when one led to no answer."""
    if unknown := set(names) - set(WAYS):
        sys.exit(f"no way {', '.join(sorted(unknown))}: there are {', '.join(WAYS)}")
    failed = False
    with tempfile.TemporaryDirectory(prefix="callweave-newcomer-", ignore_cleanup_errors=True) as folder:
        clone, home = Path(folder) / "callweave", Path(folder) / "home"
        home.mkdir()
        subprocess.run(("git", "clone", "--quiet", str(ROOT), str(clone)), check=True)
        env = environment(home)
        say(load())
        began = time.monotonic()
        with running("run", clone, env, home / "run.log"):
            ready_s = time.monotonic() - began
            say(f"make run: ready after {ready_s:.0f} s; {load()}")
            for name in names or WAYS:
                way, is_there = WAYS[name]
                if not is_there:
                    say(f"{name}: NOT MEASURED, its tools are not on this machine")
                    continue
                at = time.monotonic()
                try:
                    found = way(clone, env)
                except Failed as exc:
                    failed = True
                    say(f"{name}: FAILED: {exc}")
                    continue
                took_s = time.monotonic() - at
                say(f"{name}: {ready_s + took_s:.0f} s from `make run`, {took_s:.0f} s from ready ({found}); {load()}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
