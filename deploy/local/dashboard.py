"""The live terminal view of `callweave up`: numbers in, text out. It does not look anything up itself."""

from collections.abc import Mapping

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from deploy.local.stats import StackStats


def rendered(now: StackStats, before: StackStats, seconds: float, note: str = "") -> RenderableType:
    """The whole view; rates are against `before`, `seconds` ago."""
    return Group(
        *_warnings(now),
        _flow(now, before, seconds),
        _vendors(now),
        _below(now),
        _parts(now),
        Text(note or "Ctrl-C stops everything; the data stays.", style="dim"),
    )


def line(now: StackStats) -> str:
    """The same in one line, for a terminal that is none."""
    rows = " ".join(f"{table}={count}" for table, count in now.rows.items())
    lag = " ".join(f"{stage}={count}" for stage, count in now.lag.items())
    died = " ".join(f"{name}={restarts}" for name, _, restarts, _ in now.parts if restarts)
    return (
        f"received={now.received} pages={now.polled_pages} facts={now.facts} duplicates={now.duplicates} dead={now.dead} "
        f"filtered={now.filtered} | {rows} | lag {lag} | fresh {now.freshness_s:.2f}s"
        + (f" | started again: {died}" if died else "")
        + "".join(f" | WARNING: {warning}" for warning in now.warnings)
    )


def _warnings(now: StackStats) -> list[RenderableType]:
    if not now.warnings:
        return []
    return [Panel(Text("\n".join(now.warnings)), title="look here", title_align="left", border_style="red")]


def _flow(now: StackStats, before: StackStats, seconds: float) -> RenderableType:
    table = Table(expand=True, box=None, pad_edge=False)
    cells = {
        "received": (now.received + now.polled_pages, before.received + before.polled_pages),
        "refused": (now.refused, before.refused),
        "facts": (now.facts, before.facts),
        "duplicates": (now.duplicates, before.duplicates),
        "dead": (now.dead, before.dead),
        "filtered": (now.filtered, before.filtered),
    }
    for name in cells:
        table.add_column(name, justify="right")
    table.add_row(*(f"{value:,}" for value, _ in cells.values()), style="bold")
    table.add_row(*(f"{max(0, value - was) / max(seconds, 0.1):,.1f}/s" for value, was in cells.values()), style="dim")
    return Panel(table, title="flow", title_align="left")


def _vendors(now: StackStats) -> RenderableType:
    table = Table(expand=True, box=None, pad_edge=False)
    table.add_column("vendor")
    for name in ("requests", "facts", "duplicates", "dead"):
        table.add_column(name, justify="right")
    for vendor, counts in now.by_vendor.items():
        table.add_row(vendor, *(f"{count:,}" for count in counts))
    return Panel(table, title="vendors", title_align="left")


def _below(now: StackStats) -> RenderableType:
    table = Table(expand=True, box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim", width=14)
    table.add_column()
    table.add_row("calls held", _pairs(now.phases))
    table.add_row("ended", _pairs(now.dispositions))
    table.add_row("rows", _pairs(now.rows))
    table.add_row("lag", _pairs(now.lag, "nothing waits"))
    waiting = "  the sink waits for ClickHouse" if now.waiting else ""
    table.add_row(
        "freshness", f"{now.freshness_s:.2f} s from Kafka to the row; accepted in {now.accept_ms:.1f} ms{waiting}"
    )
    return Panel(table, title="calls", title_align="left")


def _parts(now: StackStats) -> RenderableType:
    table = Table(expand=True, box=None, pad_edge=False)
    for name in ("part", "pid", "restarts", "MiB"):
        table.add_column(name, justify="left" if name == "part" else "right")
    for name, pid, restarts, mib in now.parts:
        table.add_row(
            name, str(pid) if pid else "starting", str(restarts), f"{mib:,}", style="yellow" if restarts else ""
        )
    table.add_row("all", "", "", f"{sum(mib for *_, mib in now.parts):,}", style="bold")
    return Panel(table, title="parts", title_align="left")


def _pairs(counts: Mapping[str, int], none: str = "none yet") -> str:
    return "  ".join(f"{name} {count:,}" for name, count in counts.items() if count) or none
