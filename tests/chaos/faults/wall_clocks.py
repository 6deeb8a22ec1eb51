"""The wall clocks of the parts, which jump while they run, where the machine has libfaketime (Debian: `faketime`)."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

_PLACES: Final = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/lib*/faketime/libfaketimeMT.so.1")


class WallClocks:
    """One clock for each part: it changes the time of day, never the monotonic clock."""

    def __init__(self, folder: Path, parts: Iterable[str]) -> None:
        """Makes `folder`; each part's clock is a file in it."""
        found = [str(path) for place in _PLACES for path in Path("/").glob(place.removeprefix("/"))]
        self.refusal = "" if found else "libfaketime is not on this machine"
        """The reason for which they cannot be set; "" when they can."""
        self._library = found[0] if found else ""
        self._folder = folder
        folder.mkdir(parents=True)
        for part in parts:
            self.set(part, 0)

    def set(self, part: str, ahead_s: int) -> None:
        """Moves the part's clock `ahead_s` seconds ahead of the real time, within a second."""
        (self._folder / part).write_text(f"{ahead_s:+d}\n")

    def env(self, part: str) -> Mapping[str, str]:
        """Returns the environment variables with which the part's process is started."""
        if self.refusal:
            return {}
        return {
            "LD_PRELOAD": self._library,
            "FAKETIME_TIMESTAMP_FILE": str(self._folder / part),
            "FAKETIME_CACHE_DURATION": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }
