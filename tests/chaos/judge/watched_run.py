"""A run that a person watches: timed lines while it lasts, its table, and its data when it was not clean."""

import logging
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

Log = Callable[[str], None]


def run_watched(what: str, seed: int | None, run: Callable[[Path, int, Log], tuple[bool, str]], *, keep: bool) -> int:
    """Runs `run` in a new directory with this seed or a random one, and prints the table that it returns.

    Returns the exit code: 0 when `run` returned that it was clean.
    """
    logging.basicConfig(level=logging.ERROR)
    seed = secrets.randbelow(1_000_000) if seed is None else seed
    begun = time.monotonic()

    def log(text: str) -> None:
        print(f"{time.monotonic() - begun:7.1f} s  {text}", flush=True)  # noqa: T201  # what a person watches

    base = Path(tempfile.mkdtemp(prefix=f"callweave-{what}-"))
    log(f"seed {seed}")
    clean = False
    try:
        clean, table = run(base / "data", seed, log)
        print(table)  # noqa: T201  # what the run is for
        return 0 if clean else 1
    finally:
        if clean and not keep:
            shutil.rmtree(base, ignore_errors=True)
        else:
            log(f"data and logs are kept in {base}")
