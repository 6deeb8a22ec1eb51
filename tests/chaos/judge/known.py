"""A run that a person watches: a line with its time for each thing that happens, the table, and the data where it is not clean."""

import logging
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

Say = Callable[[str], None]


def told(what: str, seed: int | None, run: Callable[[Path, int, Say], tuple[bool, str]], *, keep: bool) -> int:
    """Run in a new directory with this seed or a random one, and print; 0 when `run` says that it was clean, with its table."""
    logging.basicConfig(level=logging.ERROR)
    seed = secrets.randbelow(1_000_000) if seed is None else seed
    begun = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - begun:7.1f} s  {text}", flush=True)  # noqa: T201  # what a person watches

    base = Path(tempfile.mkdtemp(prefix=f"callweave-{what}-"))
    say(f"seed {seed}")
    clean = False
    try:
        clean, table = run(base / "data", seed, say)
        print(table)  # noqa: T201  # what the run is for
        return 0 if clean else 1
    finally:
        if clean and not keep:
            shutil.rmtree(base, ignore_errors=True)
        else:
            say(f"data and logs are kept in {base}")
