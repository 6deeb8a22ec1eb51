"""The finding of one look of the doctor."""

from typing import Literal

import msgspec


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """The finding of one look."""

    what: str
    state: Literal["ok", "note", "bad"]
    detail: str
    advice: str = ""
