"""The process that is fuzzed: the ingress's listeners with every door that there is, and nothing behind them.

`python -m tests.security.fuzzing.fuzzed_ingress FOLDER` writes its ports to `doors.json` when it listens. It logs as
every part does. What is pushed is counted and forgotten.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any, Final

import msgspec
import uvloop

from deploy.process.ports import free_port
from deploy.runtime import log_to_stderr, stop_on_signals
from ingress.kafka.publisher import Settled
from ingress.main import serve
from schemas.config.logs import LogSettings
from schemas.config.secret import Secret
from schemas.config.settings import Account, IngressSettings, Settings
from schemas.metrics import Registry
from schemas.raw import Headers
from tests.security.fuzzing.grammar import SECRET
from tests.support.front_site import Pki

DOORS: Final = "doors.json"


class Door(msgspec.Struct, frozen=True, kw_only=True):
    """One listener."""

    port: int
    admin_port: int
    tls: bool
    proxied: bool


class Nowhere:
    """A publisher that takes everything and keeps nothing."""

    async def publish(self, topic: str, key: bytes, value: bytes, headers: Headers, *, no_retry: bool = False) -> None:
        """Takes a record."""

    def submit(
        self, topic: str, key: bytes, value: bytes, headers: Headers, settled: Settled, *, no_retry: bool = False
    ) -> None:
        """Takes a record."""
        settled(None)

    def why_not(self) -> str:
        """Returns ""."""
        return ""

    def note(self) -> str:
        """Returns ""."""
        return ""


async def _run(folder: Path) -> None:
    certificate, key = Pki(folder).server()
    stop, accounts = stop_on_signals(), (Account(vendor="ytx", name="main", secret=Secret(SECRET)),)
    doors, serving = [], []
    for tls in (False, True):
        for proxied in (False, True):
            more: dict[str, Any] = {}
            if tls:
                more |= {"tls_certificate_file": str(certificate), "tls_key_file": str(key)}
            if proxied:
                more |= {"proxy_protocol": True, "trusted_proxies": ("127.0.0.1/32",)}
            door = Door(port=free_port(), admin_port=free_port(), tls=tls, proxied=proxied)
            limits = IngressSettings(
                port=door.port, admin_port=door.admin_port, require_account=False, head_timeout_s=5.0,
                body_timeout_s=0.5, leave_s=0.0, drain_s=2.0, **more,
            )  # fmt: skip
            up = asyncio.Event()
            settings = Settings(accounts=accounts, ingress=limits)
            serving.append(asyncio.create_task(serve(settings, Nowhere(), stop, Registry(), listening=up.set)))
            await up.wait()
            doors.append(door)
    partial = folder / f"{DOORS}.new"
    partial.write_bytes(msgspec.json.encode(doors))
    partial.replace(folder / DOORS)
    await asyncio.gather(*serving)


if __name__ == "__main__":
    log_to_stderr(LogSettings(), "ingress")
    uvloop.run(_run(Path(sys.argv[1])))
