"""A cheap look into a body for one member, so that ingress can place it without reading it.

Total: any bytes give a text, "" when the member cannot be seen (compressed, encoded as a form, not there). A later stage
reads the body properly and places its facts again; this look only has to agree with it for bodies as they usually come.
"""

import json
import re
from functools import lru_cache
from typing import Final

_WITHIN: Final = 64 * 1024
"""A body's first bytes that are looked at."""


def peek_text(body: bytes, name: str) -> str:
    """The first scalar member called `name`, at any depth, as text; numbers plainly, null and blank as ""."""
    found = _member(name).search(body, 0, _WITHIN)
    if found is None:
        return ""
    quoted, number = found.groups()
    if quoted is None:
        return number.decode("ascii")
    text = _text(quoted).strip()
    return "" if text.lower() == "null" else text


def _text(quoted: bytes) -> str:
    if b"\\" in quoted:
        try:
            return str(json.loads(b'"' + quoted + b'"')).encode("utf-8", "replace").decode()
        except ValueError:
            return ""
    try:
        return quoted.decode("utf-8")
    except UnicodeDecodeError:
        return quoted.decode("gb18030", "replace")


@lru_cache(maxsize=64)
def _member(name: str) -> re.Pattern[bytes]:
    spelt = re.escape(name.encode())
    return re.compile(
        rb'"\s*' + spelt + rb'\s*"\s*:\s*(?:"((?:[^"\\]|\\.){0,512})"|(-?[0-9]{1,128})(?:\.0+)?(?=\s*[,}\]]))'
    )
