"""The result of one check of the doctor."""

from typing import Literal

import msgspec


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one check: `note` is a warning, `bad` makes the command fail."""

    what: str
    state: Literal["ok", "note", "bad"]
    detail: str
    advice: str = ""
