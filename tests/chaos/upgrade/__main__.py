"""A rolling upgrade under traffic, as `python -m tests.chaos.upgrade OLD`; exit code 1 when anything was lost or wrong.

OLD is the git reference of a release (`git describe --tags --abbrev=0`); the new version is this checkout.
"""

import argparse
import asyncio
import logging
import sys
from pathlib import Path
from typing import Final

import msgspec

from tests.chaos.judge.report import table
from tests.chaos.judge.watched_run import Log, run_watched
from tests.chaos.upgrade.plan import plan
from tests.chaos.upgrade.rolling import Options, upgrade
from tests.chaos.upgrade.versions import checked_out

BESIDE_OLD_PARTS: Final = {"CALLWEAVE_KAFKA__AVRO_RELEASE": "previous"}
"""The setting with which the new parts write what the old ones can read."""


def main() -> int:
    """Runs and prints the table; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.upgrade", description=__doc__)
    parser.add_argument("old", help="git reference of the version to start from")
    parser.add_argument("--new", default="", help="git reference of the version to go to; without one: this checkout")
    parser.add_argument("--minutes", type=float, default=60, help="minutes of traffic")
    parser.add_argument("--seed", type=int, help="repeats the traffic of another run; without one: a random one")
    parser.add_argument("--rate", type=float, default=30, help="requests a second")
    parser.add_argument("--stop-workers-first", action="store_true", help="no old worker beside a new one")
    parser.add_argument("--no-rollback", action="store_true", help="stay on the new version")
    parser.add_argument("--keep", action="store_true", help="keep the data and the parts' logs")
    asked = parser.parse_args()
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)

    def run(data_dir: Path, seed: int, log: Log) -> tuple[bool, str]:
        log(f"the versions: {asked.old} and {asked.new or 'this checkout'}")
        newest = checked_out("newest", asked.new, data_dir.parent / "new")
        versions = {
            "old": checked_out("old", asked.old, data_dir.parent / "old"),
            "new": msgspec.structs.replace(newest, name="new", settings=BESIDE_OLD_PARTS),
            "newest": newest,
        }
        steps = plan(stop_workers_first=asked.stop_workers_first, rollback=not asked.no_rollback)
        options = Options(data_dir=data_dir, seed=seed, duration_s=60 * asked.minutes, rate=asked.rate)
        report = asyncio.run(upgrade(options, versions, steps, log))
        return report.clean, table(report)

    return run_watched("upgrade", asked.seed, run, keep=asked.keep)


if __name__ == "__main__":
    sys.exit(main())
