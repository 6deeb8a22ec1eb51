"""The wall clocks of the parts, which jump while they run, where the machine has libfaketime (Debian: `faketime`)."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

_PLACES: Final = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/lib*/faketime/libfaketimeMT.so.1")


class WallClocks:
    """One clock a part; only what asks for the time of day is told otherwise, never what measures time passing."""

    def __init__(self, folder: Path, parts: Iterable[str]) -> None:
        """`folder` is made; each part's clock is a file in it."""
        found = [str(path) for place in _PLACES for path in Path("/").glob(place.removeprefix("/"))]
        self.refusal = "" if found else "libfaketime is not on this machine"
        """Why they cannot be set; "" when they can."""
        self._library = found[0] if found else ""
        self._folder = folder
        folder.mkdir(parents=True)
        for part in parts:
            self.set(part, 0)

    def set(self, part: str, ahead_s: int) -> None:
        """From now (within a second) the part believes that it is so much later."""
        (self._folder / part).write_text(f"{ahead_s:+d}\n")

    def env(self, part: str) -> Mapping[str, str]:
        """What the part's process is started with."""
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
