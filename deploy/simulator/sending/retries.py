"""When a vendor sends a payload again, as its document has it."""

from collections.abc import Mapping
from typing import Final

import msgspec


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """A vendor's patience."""

    sends: int
    """At most, the first one included."""
    delay_s: float = 0.0
    only_500: bool = False
    """Only HTTP 500 (or no answer) counts as not delivered; else anything but 2xx does."""

    def again(self, attempts: int, status: int) -> bool:
        """Whether to send again after so many attempts; status 0: no answer came."""
        if attempts >= self.sends or 200 <= status < 300:
            return False
        return status in (0, 500) if self.only_500 else True


RETRIES: Final[Mapping[str, Retry]] = {
    "nxcloud": Retry(sends=5, delay_s=60.0),
    # "Later" in the document, which names no time.
    "ytx": Retry(sends=3, delay_s=180.0, only_500=True),
    "huawei": Retry(sends=1),
}
