"""A series of kills at named points, as `python -m tests.chaos.kills`; exit code 1 when anything was lost or wrong."""

import argparse
import asyncio
import math
import sys
from pathlib import Path

from tests.chaos.judge.watched_run import Log, run_watched
from tests.chaos.kills.kill_report import kill_table
from tests.chaos.kills.kill_series import KillOptions, kill_series


def main() -> int:
    """Runs the series and prints its table; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.kills", description=__doc__)
    parser.add_argument("--sink", type=int, default=1000, help="kills of the sink")
    parser.add_argument("--workers", type=int, default=200, help="kills of the two workers, together")
    parser.add_argument("--seed", type=int, help="repeats the order of another series; without one: a random one")
    parser.add_argument("--rate", type=float, default=30, help="requests a second")
    parser.add_argument("--minutes", type=float, default=math.inf, help="end after this long, with fewer kills")
    parser.add_argument("--only", action="append", default=[], metavar="FAILPOINT", help="nothing but this failpoint")
    parser.add_argument("--keep", action="store_true", help="keep the data and the parts' logs")
    asked = parser.parse_args()

    def run(data_dir: Path, seed: int, log: Log) -> tuple[bool, str]:
        options = KillOptions(
            data_dir=data_dir,
            seed=seed,
            sink=asked.sink,
            workers=asked.workers,
            rate=asked.rate,
            only=asked.only,
            within_s=asked.minutes * 60,
        )
        report = asyncio.run(kill_series(options, log))
        return report.clean, kill_table(report)

    return run_watched("kills", asked.seed, run, keep=asked.keep)


if __name__ == "__main__":
    sys.exit(main())
