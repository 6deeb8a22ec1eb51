"""What `callweave up` prints when it is ready: where to push, where to query, and lines to copy that work."""

import shlex
import shutil
import sys
from collections.abc import Iterator
from urllib.parse import quote, urlsplit

from deploy.admin.clickhouse_accounts import Login
from deploy.local.stack import Stack
from deploy.process.ports import native_port
from schemas.config.settings import ClickHouseSettings
from schemas.vendors import VENDORS


def greeting(stack: Stack, seconds: float) -> str:
    """The addresses of a running stack, ready to be copied; the reader's password stands in them, and no other one."""
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
            f"    curl {_user(clickhouse, stack.reader)} '{clickhouse.url}/?database={clickhouse.database}&default_format=PrettyCompactMonoBlock' --data-binary \\",
            '      "SELECT vendor, vendor_call_id, disposition, setup_at, talk_ms, cost, currency FROM v_timelines ORDER BY version DESC LIMIT 10"',
            *(_clients(stack, stack.reader, command) if stack.reader else ()),
            "  read the canonical records:",
            f"    Kafka at {settings.kafka.bootstrap}, topic calls.normalized (Avro; schemas in schemas/avro)",
            "  look and mend:",
            f"    curl {base}/readyz    {command} dead list    {command} doctor",
            "",
        )
    )


def _user(clickhouse: ClickHouseSettings, reader: Login | None) -> str:
    """Who curl is: the reader of the embedded engine; at somebody else's ClickHouse curl asks for the password of the parts."""
    if reader:
        return f"-u {shlex.quote(f'{reader.name}:{reader.password.value}')}"
    return f"-u {shlex.quote(clickhouse.user + ('' if clickhouse.password.value else ':'))}"


def _clients(stack: Stack, reader: Login, command: str) -> Iterator[str]:
    """How BI tools and native clients log in to the embedded engine."""
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
    """How this command is called from here: few have its environment on their PATH."""
    return "callweave" if shutil.which("callweave") else shlex.quote(sys.argv[0])


def _example(base: str) -> str:
    """The rest of a curl line that pushes the shortest documented body."""
    shown = [(c.example, v.name + c.path) for v in VENDORS.values() if v.poll is None for c in v.callbacks if c.example]
    body, path = min(shown, key=lambda one: len(one[0]))
    return f"{base}/v1/{path} -H 'Content-Type: application/json' -d {shlex.quote(body.decode())}"
