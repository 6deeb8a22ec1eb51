"""`make check` and `make test`: the suite as runs of pytest side by side, as much of it waits for servers and clocks.

With arguments it is one run of pytest with them, as in `make test ARGS="tests/unit -k instants"`.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Final

TESTS: Final = Path(__file__).parent
# Each lane of `make test` starts its servers one after the other; what is in no lane here is in the last one.
WAITING: Final[Mapping[str, tuple[str, ...]]] = {
    "stack": ("integration/stack", "integration/sinks"),
    "ingress": ("chaos", "integration/ingress"),
    "engines": ("contract", "embedded", "integration/cli", "integration/processors"),
}


def test_lanes() -> Mapping[str, tuple[str, ...]]:
    """Returns the folders of each lane of `make test`; each folder with tests is in exactly one."""
    waiting = {name: tuple(f"tests/{folder}" for folder in folders) for name, folders in WAITING.items()}
    taken = {folder.split("/")[0] for folders in WAITING.values() for folder in folders}
    rest = sorted(path.name for path in TESTS.iterdir() if any(path.rglob("test_*.py")) and path.name not in taken)
    return {**waiting, "cores": tuple(f"tests/{name}" for name in rest)}


def check_lanes() -> Mapping[str, tuple[str, ...]]:
    """Returns the folders of each lane of `make check`: the unit tests in two halves."""
    others = sorted(
        str(path.relative_to(TESTS.parent))
        for path in (TESTS / "unit").iterdir()
        if path.name != "schemas" and (path.name.startswith("test_") or any(path.rglob("test_*.py")))
    )
    return {"schemas": ("tests/unit/schemas",), "unit": tuple(others)}


def start(name: str, command: tuple[str, ...], output: IO[bytes] | None) -> subprocess.Popen[bytes]:
    """Starts one lane; without `output` it writes where this process does."""
    if command[0] != "mypy":
        command = ("pytest", "-q", "-o", f"cache_dir=.pytest_cache/{name}", *command)
    return subprocess.Popen((sys.executable, "-m", *command), stdout=output, stderr=output and subprocess.STDOUT)


def run(lanes: Mapping[str, tuple[str, ...]]) -> int:
    """Runs lanes side by side and prints one after the other; returns the exit code of the first that failed."""
    began_s = time.monotonic()
    kept = {name: tempfile.TemporaryFile() for name in lanes}  # noqa: SIM115 - closed with the process
    running = {name: start(name, folders, kept[name]) for name, folders in lanes.items()}
    codes: dict[str, int] = {}
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
        return subprocess.call((sys.executable, "-m", "pytest", *arguments))
    return run(test_lanes())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
