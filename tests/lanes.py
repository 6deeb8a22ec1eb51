"""`make test`: the whole suite as two runs of pytest side by side, one that waits for servers and clocks and one that takes a core.

With arguments it is one run of pytest with them, as `make test ARGS="tests/unit -k times"`.
"""

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Final

TESTS: Final = Path(__file__).parent
SERVERS: Final = ("chaos", "integration")
LENT: Final = tuple(
    f"integration/{name}.py"
    for name in (
        *(f"stack/test_{name}" for name in ("cases", "consumers", "documented_examples")),
        *(f"cli/test_{name}" for name in ("conflicts_cli", "dead_letters_cli")),
    )
)
"""Of the first lane's folders, but these ask one running stack and wait little: the second lane has the time for them."""


def lanes() -> Mapping[str, tuple[str, ...]]:
    """What each lane runs; whatever is in no folder of the first is in the second, so that nothing falls between them."""
    rest = sorted(path.name for path in TESTS.iterdir() if any(path.rglob("test_*.py")) and path.name not in SERVERS)
    return {
        "servers": (*(f"tests/{name}" for name in SERVERS), *(f"--ignore=tests/{name}" for name in LENT)),
        "cores": tuple(f"tests/{name}" for name in (*rest, *LENT)),
    }


def start(name: str, output: IO[bytes] | None) -> subprocess.Popen[bytes]:
    """Start one lane; without `output` it writes where this process does."""
    command = (sys.executable, "-m", "pytest", "-o", f"cache_dir=.pytest_cache/{name}", *lanes()[name])
    return subprocess.Popen(command, stdout=output, stderr=output and subprocess.STDOUT)


def main(arguments: list[str]) -> int:
    """Run what is asked for; returns the exit code of the first lane that failed."""
    if arguments:
        return subprocess.call((sys.executable, "-m", "pytest", *arguments))
    with tempfile.TemporaryFile() as kept:
        running = {"servers": start("servers", None), "cores": start("cores", kept)}
        codes = {name: lane.wait() for name, lane in running.items()}
        kept.seek(0)
        sys.stdout.flush()
        sys.stdout.buffer.write(kept.read())
    failed = [name for name, code in codes.items() if code]
    print(f"lanes: {', '.join(running)}; {'failed: ' + ', '.join(failed) if failed else 'all passed'}", flush=True)  # noqa: T201  # its output is its purpose
    return next((code for code in codes.values() if code), 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
