"""The findings of a run, as the one table that it prints. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from tests.chaos.judge.judge import Finding, Harm

_HEAD = ("fault", "times", "acknowledged", "lost", "doubled", "wrong", "worst recovery")
EXAMPLES = 12
"""The number of findings that are printed one by one."""


class Line(msgspec.Struct, kw_only=True):
    """The results of one kind of fault."""

    times: int = 0
    acked: int = 0
    harms: Counter[Harm] = msgspec.field(default_factory=Counter)
    worst_s: float = 0.0


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The results of a whole run."""

    seed: int
    lines: Mapping[str, Line]
    """Results by fault; "" for those outside of any."""
    acked: int
    refused: int
    """Requests that their vendor gave up; they were never acknowledged."""
    repeated: int
    skipped: Mapping[str, str]
    """Faults that this machine does not permit, and why."""
    restarts: Mapping[str, int]
    poisons: Mapping[str, int] = msgspec.field(default_factory=dict)
    """Acknowledged requests that once stopped, hid or falsified a call, by label."""
    findings: tuple[Finding, ...]

    @property
    def harms(self) -> Counter[Harm]:
        """All findings by kind, each once."""
        return Counter(one.harm for one in self.findings)

    @property
    def clean(self) -> bool:
        """True when nothing was lost, doubled or wrong."""
        return not self.findings


def table(report: Report) -> str:
    """Returns the table for a terminal."""
    rows: list[tuple[str, ...]] = [_HEAD]
    for name, line in report.lines.items():
        if name or line.harms:
            rows.append(_row(name or "(no fault at the time)", line))
    total = Line(times=sum(line.times for line in report.lines.values()), acked=report.acked, harms=report.harms)
    total.worst_s = max((line.worst_s for line in report.lines.values()), default=0.0)
    rows.append(_row("all", total))
    lines = laid_out(rows)
    lines.append(
        f"seed {report.seed}; {report.refused} requests given up by their vendors after refusals; "
        f"{report.repeated} bodies stored more than once; restarts: {dict(report.restarts)}"
    )
    if report.poisons:
        lines.append(f"poison: {sum(report.poisons.values())} requests of {len(report.poisons)} kinds acknowledged")
    lines += [f"skipped: {name}: {reason}" for name, reason in report.skipped.items()]
    lines += [f"{one.harm}: {one.text}" for one in report.findings[:EXAMPLES]]
    if len(report.findings) > EXAMPLES:
        lines.append(f"... and {len(report.findings) - EXAMPLES} more")
    return "\n".join(lines)


def laid_out(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Returns the lines of a table; the first row is its head and the last one its sum."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(_pad(text, width, column) for column, (text, width) in enumerate(zip(row, widths, strict=True)))
        for row in rows
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    lines.insert(-1, lines[1])
    return lines


def _row(name: str, line: Line) -> tuple[str, ...]:
    harms = (str(line.harms[harm]) for harm in ("lost", "doubled", "wrong"))
    return (name, str(line.times), str(line.acked), *harms, f"{line.worst_s:.1f} s")


def _pad(text: str, width: int, column: int) -> str:
    return text.ljust(width) if column == 0 else text.rjust(width)
