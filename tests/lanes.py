"""`make check` and `make test`: the suite as runs of pytest side by side, as much of it waits for servers and clocks.

With arguments it is one run of pytest with them, as in `make test ARGS="tests/unit -k instants"`.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Final

from tests.support.processes.lent_servers import lending

TESTS: Final = Path(__file__).parent
SERVERS: Final = "servers"
"""The lane that begins last, with a broker and a ClickHouse that it lends to its processes."""
WORKERS: Final = 5
"""Processes for the tests that are not unit tests: most of their time they wait for servers and clocks."""
LONGEST: Final = (
    "integration/ingress/test_overload.py",
    "integration/processors/test_record_batches.py",
    "integration/sinks/test_waiting.py",
    "integration/ingress/test_ingress.py",
    "integration/processors/test_poison.py",
    "embedded/test_kafka.py",
    "integration/ingress/test_spool.py",
    "integration/erasing/test_erase.py",
    "integration/stack/test_outages.py",
    "integration/sinks/test_kills.py",
    "security/test_nothing_left_behind.py",
    "property/test_adversarial_bodies.py",
    "embedded/test_clickhouse.py",
    "chaos/kills/test_kills_short.py",
    "integration/clickhouse/test_shards.py",
    "property/test_extremes.py",
    "integration/stack/test_restart.py",
    "integration/secured/test_secured_kafka.py",
    "integration/sinks/test_records.py",
    "security/test_clickhouse_browser.py",
    "contract/views/test_migrations.py",
    "property/test_whole_way.py",
    "integration/cli/test_dead_letters_cli.py",
    "integration/stack/test_end_to_end.py",
    "integration/cli/test_conflicts_cli.py",
    "integration/stack/test_documented_examples.py",
    "security/test_forged.py",
    "security/test_forged_views.py",
    "embedded/test_clickhouse_memory.py",
    "embedded/test_closed_to_others.py",
    "contract/views/test_retention.py",
    "integration/ingress/test_front.py",
    "integration/ingress/test_poll.py",
    "integration/stack/test_cases.py",
    "contract/views/slots/test_rows_read.py",
    "integration/sinks/test_full_disk.py",
    "integration/stack/test_rolling_restart.py",
    "contract/views/slots/test_moving.py",
    "integration/stack/test_conflict_settled.py",
    "security/test_closed_sources.py",
    "property/test_after_horizon.py",
    "integration/ingress/test_proxies.py",
    "integration/sinks/test_inserts.py",
    "security/test_closed_statements.py",
    "security/test_closed_columns.py",
)
"""Files that begin first, longest first, so that none of them is still running when the others are done."""


def test_lanes() -> Mapping[str, tuple[str, ...]]:
    """Returns the arguments of each lane of `make test`; each folder with tests is in exactly one."""
    others = sorted(path.name for path in TESTS.iterdir() if path.name != "unit" and any(path.rglob("test_*.py")))
    spread = ("-n", str(WORKERS), "--dist", "loadfile", "--no-loadscope-reorder")
    return {"unit": ("tests/unit",), SERVERS: (*spread, *(f"tests/{name}" for name in others))}


def place(path: Path) -> int:
    """Returns the place of a test file among those that begin first; all others share the last."""
    name = path.relative_to(TESTS).as_posix() if path.is_relative_to(TESTS) else ""
    return LONGEST.index(name) if name in LONGEST else len(LONGEST)


def check_lanes() -> Mapping[str, tuple[str, ...]]:
    """Returns the folders of each lane of `make check`: the unit tests in two halves."""
    others = sorted(
        str(path.relative_to(TESTS.parent))
        for path in (TESTS / "unit").iterdir()
        if path.name != "schemas" and (path.name.startswith("test_") or any(path.rglob("test_*.py")))
    )
    return {"schemas": ("tests/unit/schemas",), "unit": tuple(others)}


def environment() -> dict[str, str]:
    """Returns the environment of a lane: it may keep bytecode, as its hundreds of processes load the same modules."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def start(
    name: str, command: tuple[str, ...], output: IO[bytes], environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Starts one lane."""
    if command[0] != "mypy":
        command = ("pytest", "-q", "-o", f"cache_dir=.pytest_cache/{name}", *command)
    return subprocess.Popen((sys.executable, "-m", *command), stdout=output, stderr=subprocess.STDOUT, env=environment)


def run(lanes: Mapping[str, tuple[str, ...]]) -> int:
    """Runs lanes side by side and prints one after the other; returns the exit code of the first that failed."""
    began_s = time.monotonic()
    kept = {name: tempfile.TemporaryFile() for name in lanes}  # noqa: SIM115 - closed with the process
    codes: dict[str, int] = {}
    with contextlib.ExitStack() as servers:
        running: dict[str, subprocess.Popen[bytes]] = {}
        for name, command in lanes.items():
            more = servers.enter_context(lending()) if name == SERVERS else {}
            running[name] = start(name, command, kept[name], {**environment(), **more})
        for name, lane in running.items():
            codes[name] = lane.wait()
            kept[name].seek(0)
            sys.stdout.flush()
            sys.stdout.buffer.write(kept[name].read())
            say(f"lane {name}: exit code {codes[name]} after {time.monotonic() - began_s:.0f} s")
    failed = [name for name, code in codes.items() if code]
    say(f"lanes: {', '.join(lanes)}; {'failed: ' + ', '.join(failed) if failed else 'all passed'}")
    return next((code for code in codes.values() if code), 0)


def say(line: str) -> None:
    """Prints a line at once."""
    print(line, flush=True)  # noqa: T201 - its output is its purpose


def main(arguments: list[str]) -> int:
    """Runs what is asked for; returns an exit code."""
    if arguments == ["check"]:
        return run({"types": ("mypy",), **check_lanes()})
    if arguments:
        return subprocess.call((sys.executable, "-m", "pytest", *arguments), env=environment())
    return run(test_lanes())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
