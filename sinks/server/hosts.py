"""Chooses among several servers of ClickHouse: the first one that is not away; one that was is tried again later."""

import threading
import time
from collections.abc import Callable
from typing import Final

AGAIN_S: Final = 30.0
"""Time for which a server that was away is asked last. A server behind a firewall costs each attempt 5 s."""


class Hosts:
    """Addresses in the order of the settings, and since when each is away; threads may share it."""

    def __init__(self, urls: tuple[str, ...], clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` returns seconds that never go back."""
        self._urls = urls
        self._clock = clock
        self._away_s: dict[str, float] = {}
        self._lock = threading.Lock()

    def order(self) -> tuple[str, ...]:
        """Returns all addresses: those that are there in the settings' order, then the others, the last seen last."""
        with self._lock:
            since = self._clock() - AGAIN_S
            away = {url: at_s for url, at_s in self._away_s.items() if at_s > since}
            return tuple(sorted(self._urls, key=lambda url: away.get(url, float("-inf"))))

    def is_away(self, url: str) -> None:
        """Remembers that a server did not do what it was asked for a reason of its own."""
        with self._lock:
            self._away_s[url] = self._clock()

    def is_here(self, url: str) -> None:
        """Forgets that a server was away."""
        with self._lock:
            self._away_s.pop(url, None)
