"""The settings of a running part, which SIGHUP may replace. Pure: who reads them again is not known here."""

from collections.abc import Callable

from schemas.config.settings import Settings


class LiveSettings:
    """The settings in effect, and the functions that are called with new ones."""

    def __init__(self, settings: Settings) -> None:
        self.current = settings
        self._followers: list[Callable[[Settings], None]] = []

    def follow(self, apply: Callable[[Settings], None]) -> None:
        """Calls `apply` with the settings each time that they were read again, also where nothing differs."""
        self._followers.append(apply)

    def change(self, settings: Settings) -> None:
        """Puts these settings into effect."""
        self.current = settings
        for apply in self._followers:
            apply(settings)
