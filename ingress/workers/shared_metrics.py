"""Shares one /metrics between the processes of a port: whichever of them is asked shows the sum of all.

Each writes its samples to a file of its own every second, and reads the others' when it is asked, so that they are at
most a second old. The file of a process that has ended stays, so that a counter never goes back; its gauges, which
describe the present, are left out.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

WRITE_EVERY_S: Final = 1.0
_SUFFIX: Final = ".prom"


class SharedMetrics:
    """Metrics of this process and of the others in `folder`."""

    def __init__(self, folder: Path, own: Callable[[], str]) -> None:
        self._folder = folder
        self._own = own
        self._file = folder / f"{os.getpid()}{_SUFFIX}"

    def write(self) -> None:
        """Writes this process's samples to where the others find them."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(self._own())
        fresh.replace(self._file)

    def text(self) -> str:
        """Returns the sum of all processes, in Prometheus's text format."""
        others = [path for path in sorted(self._folder.glob(f"*{_SUFFIX}")) if path != self._file]
        return summed(self._own(), [(path.read_text(), _alive(int(path.stem))) for path in others])

    async def keep_writing(self) -> None:
        """Writes once a second until cancelled."""
        while True:
            with contextlib.suppress(OSError):  # a full disk: the last samples stay until there is room
                self.write()
            await asyncio.sleep(WRITE_EVERY_S)


def summed(own: str, others: list[tuple[str, bool]]) -> str:
    """Adds the samples of `others` (text, and True while its process lives) to `own`; all list the same metrics."""
    totals: dict[str, dict[str, float]] = {}
    heads: dict[str, list[str]] = {}
    for text, alive in [(own, True), *others]:
        metric, counted = "", True
        for line in text.splitlines():
            if line.startswith("#"):
                _, word, metric, rest = line.split(" ", 3)
                heads.setdefault(metric, [])
                if line not in heads[metric]:
                    heads[metric].append(line)
                counted = alive or not (word == "TYPE" and rest == "gauge")
            elif counted:
                sample, _, value = line.rpartition(" ")
                samples = totals.setdefault(metric, {})
                samples[sample] = samples.get(sample, 0.0) + float(value)
    lines: list[str] = []
    for metric, head in heads.items():
        lines += head
        lines += [f"{sample} {value:.12g}" for sample, value in sorted(totals.get(metric, {}).items())]
    return "\n".join(lines) + "\n"


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
