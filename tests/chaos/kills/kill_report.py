"""The findings of a series of kills, as the one table that it prints. Pure."""

from collections import Counter
from collections.abc import Mapping
from statistics import median
from typing import Final

import msgspec

from tests.chaos.judge.judge import Finding, Harm
from tests.chaos.judge.report import EXAMPLES, laid_out

_HEAD: Final = ("failpoint", "kills", "lost", "doubled", "wrong", "timed", "median back", "worst back")


class KillLine(msgspec.Struct, kw_only=True):
    """The results of one failpoint."""

    kills: int = 0
    missed: int = 0
    """The number of processes that did not come to it."""
    harms: Counter[Harm] = msgspec.field(default_factory=Counter)
    back_s: list[float] = msgspec.field(default_factory=list)
    """The seconds from each kill to the successor's first commit."""


class KillReport(msgspec.Struct, frozen=True, kw_only=True):
    """The results of a whole series."""

    seed: int
    lines: Mapping[str, KillLine]
    """Results by part and failpoint; "" for those outside of any."""
    acked: int
    refused: int
    """Rows that ClickHouse had to refuse."""
    took_s: float
    findings: tuple[Finding, ...]

    @property
    def harms(self) -> Counter[Harm]:
        """All findings by kind, each once."""
        return Counter(one.harm for one in self.findings)

    @property
    def missed(self) -> int:
        """The number of processes that did not come to their failpoint."""
        return sum(line.missed for line in self.lines.values())

    def kills(self, part: str) -> int:
        """Returns the number of kills of a part."""
        return sum(line.kills for name, line in self.lines.items() if name.startswith(f"{part}: "))

    @property
    def clean(self) -> bool:
        """True when nothing was lost, doubled or wrong."""
        return not self.findings


def kill_table(report: KillReport) -> str:
    """Returns the table for a terminal."""
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
