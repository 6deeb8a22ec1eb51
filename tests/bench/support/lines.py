"""The results of a benchmark: lines of one table, each beside the limit that was measured in the same run."""

import importlib
import logging
from typing import Final

import msgspec

_WIDTHS = "{:<12} {:<58} {:>12} {:<10} {:>9}  {}"

MODULES: Final = {"compare": "tests.bench.against.bench_compare", "peers": "tests.bench.peers.bench_peers"}
"""The benchmarks that have a folder of their own."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One measured number."""

    bench: str
    what: str
    value: float
    unit: str
    limit: float = 0.0
    """The value to compare with, in the same unit; 0 means none."""
    keeps: str = ""
    """The guarantees that are on while it is measured: repeats, join, fsync."""

    def text(self) -> str:
        """Returns the line as it is printed."""
        number = f"{self.value:,.0f}" if abs(self.value) >= 100 else f"{self.value:,.2f}"
        ratio = f"{self.value / self.limit:.3f}" if self.limit else ""
        return _WIDTHS.format(self.bench, self.what, number, self.unit, ratio, self.keeps).rstrip()


def head() -> str:
    """Returns the table's first lines."""
    return _WIDTHS.format("bench", "what", "value", "unit", "of limit", "keeps") + "\n" + "-" * 104


def show(lines: list[Line]) -> None:
    """Prints the table."""
    print(head())  # noqa: T201  # its output is its purpose
    for line in lines:
        print(line.text(), flush=True)  # noqa: T201  # likewise


def lines_of(name: str) -> list[Line]:
    """Runs one benchmark; called in a process of its own."""
    logging.basicConfig(level=logging.CRITICAL)
    lines: list[Line] = importlib.import_module(MODULES.get(name, f"tests.bench.bench_{name}")).measure()
    return lines
