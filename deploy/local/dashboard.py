"""The text that `callweave up` prints: the message when everything is ready, and the live view."""

import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping
from urllib.parse import quote, urlsplit

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from deploy.admin.clickhouse_accounts import Login
from deploy.local.stack import Stack
from deploy.local.stats import StackStats
from deploy.output.printable import printable
from deploy.process.ports import admin_url, native_port
from schemas.config.settings import ClickHouseSettings
from schemas.vendors import VENDORS


def rendered(now: StackStats, before: StackStats, seconds: float, note: str = "") -> RenderableType:
    """Returns the live view; rates are against `before`, `seconds` ago."""
    return Group(
        *_warnings(now),
        _flow(now, before, seconds),
        _vendors(now),
        _below(now),
        _parts(now),
        Text(note or "Ctrl-C stops everything; the data stays.", style="dim"),
    )


def line(now: StackStats) -> str:
    """Returns the same in one line, for an output that is no terminal."""
    rows = " ".join(f"{table}={count}" for table, count in now.rows.items())
    lag = " ".join(f"{stage}={count}" for stage, count in now.lag.items())
    restarted = " ".join(f"{name}={restarts}" for name, _, restarts, _ in now.parts if restarts)
    return printable(
        f"received={now.received} pages={now.polled_pages} facts={now.facts} duplicates={now.duplicates} dead={now.dead} "
        f"filtered={now.filtered} | {rows} | lag {lag} | fresh {now.freshness_s:.2f}s"
        + (f" | started again: {restarted}" if restarted else "")
        + "".join(f" | WARNING: {warning}" for warning in now.warnings)
    )


def _warnings(now: StackStats) -> list[RenderableType]:
    if not now.warnings:
        return []
    return [Panel(_text("\n".join(now.warnings)), title="look here", title_align="left", border_style="red")]


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
        table.add_row(_text(vendor), *(f"{count:,}" for count in counts))
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
            _text(name), str(pid) if pid else "starting", str(restarts), f"{mib:,}", style="yellow" if restarts else ""
        )
    table.add_row("all", "", "", f"{sum(mib for *_, mib in now.parts):,}", style="bold")
    return Panel(table, title="parts", title_align="left")


def _pairs(counts: Mapping[str, int], none: str = "none yet") -> Text:
    return _text("  ".join(f"{name} {count:,}" for name, count in counts.items() if count) or none)


def _text(text: str) -> Text:
    """Returns a text as it is shown: names from topics and tables are no markup, and control no terminal."""
    return Text(printable(text, keep="\n"))


def ready_message(stack: Stack, seconds: float) -> str:
    """Returns the addresses of a running stack and lines to copy; only the reader's password is in them."""
    base, settings, command = stack.ingress_url, stack.settings, _command()
    clickhouse = settings.clickhouse
    pushed = [
        f"    {vendor.title:34} POST {base}/v1/{vendor.name}{callback.path}"
        for vendor in VENDORS.values()
        if vendor.poll is None
        for callback in vendor.callbacks
    ]
    pulled = [f"    {vendor.title:34} pulled by `callweave poll`" for vendor in VENDORS.values() if vendor.poll]
    return "\n".join(
        (
            f"ready after {seconds:.1f} s",
            "",
            "  vendors",
            *pushed,
            *pulled,
            "",
            "  send a callback:",
            f"    curl -i {_example(base)}",
            "  query the calls:",
            f"    curl {_curl_user(clickhouse, stack.reader)} '{clickhouse.urls[0]}/?database={clickhouse.database}&default_format=PrettyCompactMonoBlock' --data-binary \\",
            '      "SELECT vendor, vendor_call_id, disposition, setup_at, talk_ms, cost, currency FROM v_timelines ORDER BY version DESC LIMIT 10"',
            *(_clients(stack, stack.reader, command) if stack.reader else ()),
            "  read the canonical records:",
            f"    Kafka at {settings.kafka.bootstrap}, topic calls.normalized (Avro; schemas in schemas/avro)",
            "  look and mend:",
            f"    curl {admin_url(settings.ingress)}/readyz    {command} dead list    {command} doctor",
            "",
        )
    )


def _curl_user(clickhouse: ClickHouseSettings, reader: Login | None) -> str:
    """Returns curl's login: the embedded engine's reader; elsewhere that of the parts, whose password curl asks for."""
    if reader:
        return f"-u {shlex.quote(f'{reader.name}:{reader.password.value}')}"
    return f"-u {shlex.quote(clickhouse.user + ('' if clickhouse.password.value else ':'))}"


def _clients(stack: Stack, reader: Login, command: str) -> Iterator[str]:
    """Returns the lines for BI tools and native clients of the embedded engine."""
    settings = stack.settings
    name, password, database = reader.name, reader.password.value, settings.clickhouse.database
    native = native_port(settings.embedded)
    yield f"  connect a tool, as {name} with the password {password}"
    yield f"    jdbc:clickhouse://{urlsplit(settings.clickhouse.url).netloc}/{database}?user={quote(name)}&password={quote(password, safe='')}"
    yield (
        f"    clickhouse-client --port {native} --user {name} --password={shlex.quote(password)} --database {database}"
    )
    yield f"    accounts and passwords: {command} clickhouse accounts    {command} clickhouse password [--new]"


def _command() -> str:
    """Returns how this command is called from here: its environment is seldom on the PATH."""
    return "callweave" if shutil.which("callweave") else shlex.quote(sys.argv[0])


def _example(base: str) -> str:
    """Returns the rest of a curl line that pushes the shortest documented body."""
    shown = [(c.example, v.name + c.path) for v in VENDORS.values() if v.poll is None for c in v.callbacks if c.example]
    body, path = min(shown, key=lambda one: len(one[0]))
    return f"{base}/v1/{path} -H 'Content-Type: application/json' -d {shlex.quote(body.decode())}"
