"""TCP ports of this machine: finds free ones, and names the process that uses one."""

import contextlib
import errno
import secrets
import socket
from pathlib import Path
from typing import Final

from schemas.config.listening import admin_address, cannot_listen
from schemas.config.settings import EmbeddedSettings, IngressSettings
from schemas.errors import SetupError

# Below the range from which systems take ports for outgoing connections (32768 on Linux): no connection takes one of
# these while its server is being started again.
_LOWEST: Final = 12_000
_HIGHEST: Final = 32_000
_GIVEN: Final[set[int]] = set()
"""The ports that this process has handed out; their servers may not listen yet."""
_PROC: Final = Path("/proc")
_LAST_PORT: Final = 65535
_NATIVE_APART: Final = 877
"""The distance from ClickHouse's HTTP port (8123) to its native port (9000)."""
_EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - looked up, not bound


def native_port(embedded: EmbeddedSettings) -> int:
    """Returns the port of the embedded ClickHouse's native protocol."""
    apart = _NATIVE_APART if embedded.clickhouse_port + _NATIVE_APART <= _LAST_PORT else -_NATIVE_APART
    return embedded.clickhouse_tcp_port or embedded.clickhouse_port + apart


def free_port(host: str = "127.0.0.1", *, run: int = 1) -> int:
    """Returns the first of `run` consecutive ports that are free and were not handed out before.

    Another process can still take one before the caller listens.
    """
    while True:
        first = _LOWEST + secrets.randbelow(_HIGHEST - _LOWEST)
        ports = range(first, first + run)
        if _GIVEN.isdisjoint(ports) and all(_is_free(port, host) for port in ports):
            _GIVEN.update(ports)
            return first


def require_free(port: int, *, what: str, setting: str, host: str = "127.0.0.1") -> None:
    """Raises SetupError `port_in_use` or `port` when `port` cannot be listened on; `setting` is where to change it."""
    try:
        _listen(port, host)
    except OSError as exc:
        raise cannot_listen(exc, host, port, what=what, setting=setting, holder=holder(port)) from exc


def taken(port: int, *, what: str, setting: str) -> SetupError:
    """Returns the error for a port that another process uses, with its name where the system tells it."""
    in_use = OSError(errno.EADDRINUSE, "")
    return cannot_listen(in_use, "", port, what=what, setting=setting, holder=holder(port))


def http_url(host: str, port: int) -> str:
    """Returns the address at which this machine reaches a server that listens on `host`."""
    reached = _EVERYWHERE.get(host, host)
    return f"http://[{reached}]:{port}" if ":" in reached else f"http://{reached}:{port}"


def ingress_url(ingress: IngressSettings) -> str:
    """Returns the address at which this machine reaches the port that vendors push to."""
    url = http_url(ingress.host, ingress.port)
    return url.replace("http://", "https://", 1) if ingress.tls_certificate_file else url


def admin_url(ingress: IngressSettings) -> str:
    """Returns the address at which this machine reads the ingress's metrics and readiness."""
    return http_url(*admin_address(ingress))


def holder(port: int, proc: Path = _PROC) -> str:
    """Returns the process that listens on `port`, as `name (pid 12)`; empty where the system does not tell."""
    inodes = _listening_inodes(port, proc)
    for process in proc.glob("[0-9]*") if inodes else ():
        if not inodes.isdisjoint(_open_files(process)):
            return f"{_name(process)} (pid {process.name})"
    return ""


def _listen(port: int, host: str) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        # As servers bind: connections of an earlier run in TIME_WAIT do not count as "in use".
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
        probe.listen(1)


def _is_free(port: int, host: str) -> bool:
    try:
        _listen(port, host)
    except OSError:
        return False
    return True


def _listening_inodes(port: int, proc: Path) -> frozenset[str]:
    found = set()
    for table in (proc / "net/tcp", proc / "net/tcp6"):
        try:
            lines = table.read_text().splitlines()[1:]
        except OSError:
            continue  # not Linux
        for line in lines:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                found.add(f"socket:[{fields[9]}]")
    return frozenset(found)


def _open_files(process: Path) -> frozenset[str]:
    """Returns the targets of a process's descriptors; none when it has just ended or belongs to another user."""
    found = set()
    with contextlib.suppress(OSError):
        for link in (process / "fd").iterdir():
            with contextlib.suppress(OSError):
                found.add(str(link.readlink()))
    return frozenset(found)


def _name(process: Path) -> str:
    try:
        return (process / "comm").read_text().strip()
    except OSError:
        return "a process that is ending"
