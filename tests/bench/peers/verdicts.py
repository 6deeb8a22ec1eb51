"""Several rounds in one, and lines that judge: whether a target is reached, and which peers could not be measured."""

from collections.abc import Sequence
from statistics import median
from typing import TypeVar

import msgspec

from tests.bench.support.lines import Line

T = TypeVar("T", bound=msgspec.Struct)


def medians(rounds: Sequence[T]) -> T:
    """Returns the median of each figure."""
    figures = rounds[0].__struct_fields__
    return type(rounds[0])(**{name: median(getattr(each, name) for each in rounds) for name in figures})


def target(what: str, value: float, least: float) -> Line:
    """Returns a line with a ratio, and whether it is at least the target."""
    verdict = "reached" if value >= least else "below target"
    return Line(bench="peers", what=what, value=value, unit="x", limit=least, keeps=f"{verdict}: at least {least:g}")


def skipped_line(why: str) -> Line:
    """Returns the line of a peer that is not there."""
    return Line(bench="peers", what="skipped", value=0, unit="", keeps=why)
