"""Opens the listening sockets of the ingress."""

import contextlib
import socket
from collections.abc import Iterator
from typing import Final, NamedTuple

from schemas.config.listening import cannot_listen, has_admin_port
from schemas.config.settings import IngressSettings

BACKLOG: Final = 1024


class Listeners(NamedTuple):
    """The sockets that workers share."""

    public: socket.socket
    admin: socket.socket | None


@contextlib.contextmanager
def shared_listeners(limits: IngressSettings) -> Iterator[Listeners]:
    """Yields the sockets that all workers accept from; raises SetupError when a port cannot be had."""
    with contextlib.ExitStack() as sockets:
        public = sockets.enter_context(open_listener(limits))
        admin = sockets.enter_context(open_admin_listener(limits)) if has_admin_port(limits) else None
        yield Listeners(public, admin)


def open_listener(limits: IngressSettings) -> socket.socket:
    """Returns a socket that listens on the port that vendors push to; raises SetupError."""
    return _opened(limits.host, limits.port, "ingress.port")


def open_admin_listener(limits: IngressSettings) -> socket.socket:
    """Returns a socket that listens on the admin port; raises SetupError."""
    return _opened(limits.admin_host, limits.admin_port, "ingress.admin_port")


def _opened(host: str, port: int, setting: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as exc:
        raise cannot_listen(exc, host, port, what="The ingress", setting=setting) from exc
