"""What `callweave up` prints when it is ready: where to push, where to query, and lines to copy that work."""

import shlex
import shutil
import sys

from deploy.stack import Stack
from schemas.vendors import VENDORS


def greeting(stack: Stack, seconds: float) -> str:
    """The addresses of a running stack, ready to be copied."""
    base, settings, command = stack.ingress_url, stack.settings, _command()
    clickhouse = settings.clickhouse
    user = "" if clickhouse.user == "default" and not clickhouse.password.value else f" -u {clickhouse.user}:..."
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
            f"    curl{user} '{clickhouse.url}/?database={clickhouse.database}&default_format=PrettyCompactMonoBlock' --data-binary \\",
            '      "SELECT vendor, vendor_call_id, disposition, setup_at, talk_ms, cost, currency FROM v_timelines ORDER BY version DESC LIMIT 10"',
            "  read the canonical records:",
            f"    Kafka at {settings.kafka.bootstrap}, topic calls.normalized (Avro; schemas in schemas/avro)",
            "  look and mend:",
            f"    curl {base}/readyz    {command} dead list    {command} doctor",
            "",
        )
    )


def _command() -> str:
    """How this command is called from here: few have its environment on their PATH."""
    return "callweave" if shutil.which("callweave") else shlex.quote(sys.argv[0])


def _example(base: str) -> str:
    """The rest of a curl line that pushes the shortest documented body."""
    shown = [(c.example, v.name + c.path) for v in VENDORS.values() if v.poll is None for c in v.callbacks if c.example]
    body, path = min(shown, key=lambda one: len(one[0]))
    return f"{base}/v1/{path} -H 'Content-Type: application/json' -d {shlex.quote(body.decode())}"
