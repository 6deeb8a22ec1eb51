"""Section `log` of the settings: what parts write of their work, and for how long it is kept. Pure."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.config.limits import Count


class LogSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The log of every part: one event a line on stderr, times in UTC."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least level of the lines that are written. `debug` also has a line for each accepted push."""
    format: Literal["text", "json"] = "text"
    """Form of a line: `text` for people, `json` for a log collector."""
    max_bytes: Annotated[int, Meta(ge=4096)] = 16 * 1024 * 1024
    """Size at which `callweave up` begins a new log file of a part (`logs` in `embedded.data_dir`)."""
    files: Count = 4
    """Log files that are kept of each part, the current one included."""
