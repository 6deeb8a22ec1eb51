"""Which TCP ports of this machine are free, and who holds the ones that are not."""

import errno
import os
import socket
from pathlib import Path

from schemas.errors import SetupError


def free_port(host: str = "127.0.0.1") -> int:
    """A port that was free a moment ago; another process can still be quicker."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def require_free(port: int, *, what: str, setting: str, host: str = "127.0.0.1") -> None:
    """Raises SetupError `port_in_use` when `port` cannot be listened on; `setting` is where to change it."""
    with socket.socket() as probe:
        # As servers bind: connections of an earlier run in TIME_WAIT do not count as "in use".
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as exc:
            raise _refused(port, host=host, what=what, setting=setting, error=exc) from exc


def holder(port: int) -> str:
    """The process that listens on `port`, as `name (pid 12)`; empty where the system does not tell."""
    inodes = _listening_inodes(port)
    for link in Path("/proc").glob("[0-9]*/fd/*") if inodes else ():
        try:
            target = str(link.readlink())
        except OSError:
            continue  # the process ended or belongs to somebody else
        if target in inodes:
            process = link.parent.parent
            return f"{(process / 'comm').read_text().strip()} (pid {process.name})"
    return ""


def _listening_inodes(port: int) -> frozenset[str]:
    found = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        try:
            lines = table.read_text().splitlines()[1:]
        except OSError:
            continue  # not Linux
        for line in lines:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                found.add(f"socket:[{fields[9]}]")
    return frozenset(found)


def _refused(port: int, *, host: str, what: str, setting: str, error: OSError) -> SetupError:
    if error.errno != errno.EADDRINUSE:
        reason = os.strerror(error.errno or 0)
        return SetupError(
            f"{what} cannot listen on {host}:{port}: {reason}",
            code="port",
            advice=f"Set {setting} to a port you may use.",
        )
    by = holder(port)
    return SetupError(
        f"{what} needs port {port}, which {by or 'another process'} already uses",
        code="port_in_use",
        advice=f"Stop that process, or set {setting} to a free port.",
    )
