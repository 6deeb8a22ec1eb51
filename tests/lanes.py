"""`make test`: the whole suite as two runs of pytest side by side, one that waits for servers and clocks and one that takes a core.

With arguments it is one run of pytest with them, as `make test ARGS="tests/unit -k times"`.
"""

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from typing import IO, Final

SERVERS: Final = ("tests/chaos", "tests/integration")
LANES: Final[Mapping[str, tuple[str, ...]]] = {
    "servers": SERVERS,
    "cores": ("tests", *(f"--ignore={folder}" for folder in SERVERS)),
}
"""Whatever is in no folder of the first lane is in the second: nothing falls between them."""


def start(name: str, output: IO[bytes] | None) -> subprocess.Popen[bytes]:
    """Start one lane; without `output` it writes where this process does."""
    command = (sys.executable, "-m", "pytest", "-o", f"cache_dir=.pytest_cache/{name}", *LANES[name])
    return subprocess.Popen(command, stdout=output, stderr=output and subprocess.STDOUT)


def main(arguments: list[str]) -> int:
    """Run what is asked for; returns the exit code of the first lane that failed."""
    if arguments:
        return subprocess.call((sys.executable, "-m", "pytest", *arguments))
    with tempfile.TemporaryFile() as kept:
        lanes = {"servers": start("servers", None), "cores": start("cores", kept)}
        codes = {name: lane.wait() for name, lane in lanes.items()}
        kept.seek(0)
        sys.stdout.flush()
        sys.stdout.buffer.write(kept.read())
    failed = [name for name, code in codes.items() if code]
    print(f"lanes: {', '.join(LANES)}; {'failed: ' + ', '.join(failed) if failed else 'all passed'}", flush=True)  # noqa: T201  # its output is its purpose
    return next((code for code in codes.values() if code), 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
