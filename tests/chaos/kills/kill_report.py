"""What a series of kills found, as the one table that it prints. Pure."""

from collections import Counter
from collections.abc import Mapping
from statistics import median
from typing import Final

import msgspec

from tests.chaos.judge.judge import Finding, Harm
from tests.chaos.judge.report import EXAMPLES, laid_out

_HEAD: Final = ("failpoint", "kills", "lost", "doubled", "wrong", "timed", "median back", "worst back")


class KillLine(msgspec.Struct, kw_only=True):
    """One failpoint."""

    kills: int = 0
    missed: int = 0
    """Lives that did not come to it."""
    harms: Counter[Harm] = msgspec.field(default_factory=Counter)
    back_s: list[float] = msgspec.field(default_factory=list)
    """From each kill to its successor's first commit."""


class KillReport(msgspec.Struct, frozen=True, kw_only=True):
    """A whole series."""

    seed: int
    lines: Mapping[str, KillLine]
    """By part and failpoint; "" for what happened outside of any."""
    acked: int
    refused: int
    """Rows that ClickHouse had to refuse."""
    took_s: float
    findings: tuple[Finding, ...]

    @property
    def harms(self) -> Counter[Harm]:
        """All of them, each once."""
        return Counter(one.harm for one in self.findings)

    @property
    def missed(self) -> int:
        """Lives that did not come to their failpoint."""
        return sum(line.missed for line in self.lines.values())

    def kills(self, part: str) -> int:
        """How often a part was killed."""
        return sum(line.kills for name, line in self.lines.items() if name.startswith(f"{part}: "))

    @property
    def clean(self) -> bool:
        """Whether nothing was lost, doubled or wrong."""
        return not self.findings


def kill_table(report: KillReport) -> str:
    """For a terminal."""
    named = {name: line for name, line in sorted(report.lines.items()) if name or line.harms}
    rows = [_row(name or "(no kill at the time)", line) for name, line in named.items()]
    lines = laid_out([_HEAD, *rows, _row("all", _total(report))])
    lines.append(
        f"seed {report.seed}: sink killed {report.kills('sink')} times, workers {report.kills('worker')} times in"
        f" {report.took_s:.0f} s; {report.acked} requests acknowledged, {report.refused} rows refused"
    )
    lines += [
        "time back: from the kill to the successor's first commit; not timed where that one was killed before it",
        *(f"not reached {line.missed} times: {name}" for name, line in named.items() if line.missed),
        *(f"{one.harm}: {one.text}" for one in report.findings[:EXAMPLES]),
    ]
    if len(report.findings) > EXAMPLES:
        lines.append(f"... and {len(report.findings) - EXAMPLES} more")
    return "\n".join(lines)


def _total(report: KillReport) -> KillLine:
    lines = report.lines.values()
    return KillLine(
        kills=sum(line.kills for line in lines),
        harms=report.harms,
        back_s=[seconds for line in lines for seconds in line.back_s],
    )


def _row(name: str, line: KillLine) -> tuple[str, ...]:
    harms = (str(line.harms[harm]) for harm in ("lost", "doubled", "wrong"))
    back = (f"{median(line.back_s):.2f} s", f"{max(line.back_s):.2f} s") if line.back_s else ("-", "-")
    return (name, str(line.kills), *harms, str(len(line.back_s)), *back)
