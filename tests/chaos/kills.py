"""`python -m tests.chaos.kills`: a series of kills at named points; exit code 1 when anything was lost, doubled or wrong."""

import argparse
import asyncio
import logging
import math
import secrets
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.kill_report import kill_table
from tests.chaos.kill_series import KillOptions, kill_series


def main() -> int:
    """Run and print; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.kills", description=__doc__)
    parser.add_argument("--sink", type=int, default=1000, help="kills of the sink")
    parser.add_argument("--workers", type=int, default=200, help="kills of the two workers, together")
    parser.add_argument("--seed", type=int, help="repeats the order of another series; without one: a random one")
    parser.add_argument("--rate", type=float, default=30, help="requests a second")
    parser.add_argument("--minutes", type=float, default=math.inf, help="end after this long, with fewer kills")
    parser.add_argument("--only", action="append", default=[], metavar="FAILPOINT", help="nothing but this failpoint")
    parser.add_argument("--keep", action="store_true", help="keep the data and the parts' logs")
    asked = parser.parse_args()
    seed = secrets.randbelow(1_000_000) if asked.seed is None else asked.seed
    logging.basicConfig(level=logging.ERROR)
    begun = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - begun:7.1f} s  {text}", flush=True)  # noqa: T201  # what a person watches

    base = Path(tempfile.mkdtemp(prefix="callweave-kills-"))
    say(f"seed {seed}")
    clean = False
    try:
        options = KillOptions(
            data_dir=base / "data",
            seed=seed,
            sink=asked.sink,
            workers=asked.workers,
            rate=asked.rate,
            only=asked.only,
            within_s=asked.minutes * 60,
        )
        report = asyncio.run(kill_series(options, say))
        clean = report.clean
        print(kill_table(report))  # noqa: T201  # what the series is for
        return 0 if clean else 1
    finally:
        if clean and not asked.keep:
            shutil.rmtree(base, ignore_errors=True)
        else:
            say(f"data and logs are kept in {base}")


if __name__ == "__main__":
    sys.exit(main())
