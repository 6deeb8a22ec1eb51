"""Bounds what refusals write to the log: a line for each code and vendor in a second, and how many it stands for.

A flood of forged pushes is then a line a second; the metrics have every one. Pure: the time is an argument.
"""

from typing import Final

EVERY_S: Final = 1.0


class RefusalLog:
    """The refusals of one process that were not written yet."""

    def __init__(self) -> None:
        self._written_s: dict[tuple[str, str], float] = {}
        self._unwritten: dict[tuple[str, str], int] = {}

    def note(self, vendor: str, code: str, now_s: float) -> int:
        """Returns how many refusals a line stands for now, 0 while none is to be written.

        Vendor and code are bounded labels, and never text of a caller's.
        """
        key = (vendor, code)
        count = self._unwritten.get(key, 0) + 1
        if now_s - self._written_s.get(key, -EVERY_S) < EVERY_S:
            self._unwritten[key] = count
            return 0
        self._written_s[key] = now_s
        self._unwritten[key] = 0
        return count
