"""What one look of the doctor found."""

from typing import Literal

import msgspec


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What one look found."""

    what: str
    state: Literal["ok", "note", "bad"]
    detail: str
    advice: str = ""
