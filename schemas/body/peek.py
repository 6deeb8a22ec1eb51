"""Finds one member in a body by a cheap look, so that ingress can choose the record's key without reading the body.

Total: any bytes give a text, "" when the member cannot be seen (compressed, in another format, absent). The normaliser
reads the body properly and keys its facts again; this look only has to agree with it for bodies as they usually come.
"""

import json
import re
from functools import lru_cache
from typing import Final

_AROUND: Final = rb"(?:\s|\xc2\xa0|\xe3\x80\x80|\xef\xbb\xbf|\xe2\x80\x8b|\\[tnr])*"
"""White space, as bytes of UTF-8 or escaped, and a byte order mark."""
_WITHIN: Final = 64 * 1024
"""Only so many bytes at a body's beginning are searched."""


def peek_text(body: bytes, name: str) -> str:
    """Returns the first scalar member `name` of JSON, at any depth, as text; numbers plainly, null and blank as "".

    A member that is spelt exactly so comes before one with other case or with spaces around it.
    """
    exactly, anyhow = _member(name)
    found = exactly.search(body, 0, _WITHIN)
    if found is None and name.lower().encode() in body[:_WITHIN].lower():
        found = anyhow.search(body, 0, _WITHIN)
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
def _member(name: str) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    """Returns patterns for the member with its exact name, and in any spelling that the decoder takes."""
    spelt = re.escape(name.encode())
    value = rb'\s*:\s*(?:"((?:[^"\\]|\\.){0,512})"|(-?[0-9]{1,128})(?:\.0+)?(?=\s*[,}\]]))'
    return (
        re.compile(rb'"' + spelt + rb'"' + value),
        re.compile(rb'"' + _AROUND + spelt + _AROUND + rb'"' + value, re.IGNORECASE),
    )
