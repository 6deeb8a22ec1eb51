"""Ports that stay ours while nobody listens on them: below the range from which the system picks ports for connections."""

import random
import socket

_LOW, _HIGH = 12_000, 32_000
_GIVEN: set[int] = set()
"""Handed out already: nobody may listen on them yet."""


def steady_ports(count: int) -> list[int]:
    """So many distinct ports that are free now."""
    chosen: set[int] = set()
    while len(chosen) < count:
        port = random.randrange(_LOW, _HIGH)
        if _is_free(port):
            chosen.add(port)
            _GIVEN.add(port)
    return list(chosen)


def steady_run(count: int) -> int:
    """The first of so many ports in a row that are free now."""
    while True:
        first = random.randrange(_LOW, _HIGH)
        run = range(first, first + count)
        if all(_is_free(port) for port in run):
            _GIVEN.update(run)
            return first


def _is_free(port: int) -> bool:
    if port in _GIVEN:
        return False
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
