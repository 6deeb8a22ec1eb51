"""A chaos run, as `python -m tests.chaos`: prints its table; exit code 1 when anything was lost, doubled or wrong."""

import argparse
import asyncio
import logging
import sys
from pathlib import Path

from tests.chaos.faults.faults import TABLE, schedule
from tests.chaos.judge.report import table
from tests.chaos.judge.watched_run import Log, run_watched
from tests.chaos.runner import Options, chaos


def main() -> int:
    """Runs and prints the table; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--duration", type=float, default=600, help="seconds of traffic and faults")
    parser.add_argument("--seed", type=int, help="repeats the schedule of another run; without one: a random one")
    parser.add_argument("--rate", type=float, default=30, help="requests a second")
    parser.add_argument(
        "--without", action="append", default=[], metavar="FAULT", help="leave a fault of the table out"
    )
    parser.add_argument(
        "--only", action="append", default=[], metavar="FAULT", help="nothing but this one (and others)"
    )
    parser.add_argument("--poison", type=float, default=0.0, help="share of calls beside which poison is sent")
    parser.add_argument("--keep", action="store_true", help="keep the data and the parts' logs")
    asked = parser.parse_args()
    names = {fault.name for fault in TABLE}
    if unknown := sorted({*asked.without, *asked.only} - names):
        parser.error(f"no such fault: {', '.join(unknown)}")
    without = {*asked.without, *(names - set(asked.only) if asked.only else ())}
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # a cut connection is what was asked for

    def run(data_dir: Path, seed: int, log: Log) -> tuple[bool, str]:
        options = Options(data_dir=data_dir, seed=seed, duration_s=asked.duration, rate=asked.rate, poison=asked.poison)
        report = asyncio.run(chaos(options, schedule(seed, without=without), log))
        return report.clean, table(report)

    return run_watched("chaos", asked.seed, run, keep=asked.keep)


if __name__ == "__main__":
    sys.exit(main())
