"""Finds one member in a body by a cheap look, so that ingress can choose the record's key without reading the body.

Total: any bytes give a text, "" when the member cannot be seen (compressed, in another format, absent). The normaliser
reads the body properly and keys its facts again; this look only has to agree with it for bodies as they usually come.
"""

import json
import re
from functools import lru_cache
from typing import Final
from urllib.parse import unquote_to_bytes

_AROUND: Final = rb"(?:\s|\xc2\xa0|\xe3\x80\x80|\xef\xbb\xbf|\xe2\x80\x8b|\\[tnr])*"
"""White space, as bytes of UTF-8 or escaped, and a byte order mark."""
_ENTITIES: Final = {"&lt;": "<", "&gt;": ">", "&quot;": '"', "&apos;": "'", "&amp;": "&"}
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


def peek_form(body: bytes, name: str) -> str:
    """Returns the first parameter `name` of a form as text, "" when it is blank or absent."""
    found = _parameter(name).search(body, 0, _WITHIN)
    text = _utf8_or_gb(unquote_to_bytes(found[1].replace(b"+", b" "))).strip() if found else ""
    return "" if text.lower() == "null" else text


def peek_xml(body: bytes, name: str) -> str:
    """Returns the first element or attribute `name` of XML as text, "" when it is blank, nested or absent."""
    found = _xml_member(name).search(body, 0, _WITHIN)
    if found is None:
        return ""
    text = _utf8_or_gb(next(value for value in found.groups() if value is not None))
    for entity, char in _ENTITIES.items():
        text = text.replace(entity, char)
    return "" if text.strip().lower() == "null" else text.strip()


def _text(quoted: bytes) -> str:
    if b"\\" in quoted:
        try:
            return str(json.loads(b'"' + quoted + b'"')).encode("utf-8", "replace").decode()
        except ValueError:
            return ""
    return _utf8_or_gb(quoted)


def _utf8_or_gb(text: bytes) -> str:
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        return text.decode("gb18030", "replace")


@lru_cache(maxsize=64)
def _parameter(name: str) -> re.Pattern[bytes]:
    """Returns a pattern for a form's parameter in any case; its value has at most 1,024 bytes."""
    return re.compile(
        rb"(?:^|&)\s*" + re.escape(name.encode()) + rb"\s*=([^&\r\n]{0,1024})(?=[&\r\n]|\Z)", re.IGNORECASE
    )


@lru_cache(maxsize=64)
def _xml_member(name: str) -> re.Pattern[bytes]:
    """Returns a pattern for an element without children, or an attribute, with or without a namespace's prefix."""
    spelt = rb"(?:[A-Za-z0-9_.\-]{1,64}:)?" + re.escape(name.encode())
    cdata = rb"\s{0,64}<!\[CDATA\[([^<>\]]{0,512})\]\]>\s{0,64}"
    element = rb"<" + spelt + rb"(?:\s[^<>]{0,512})?>(?:" + cdata + rb"|([^<>]{0,512}))</"
    attribute = rb"\s" + spelt + rb"\s{0,16}=\s{0,16}(?:\"([^\"<]{0,512})\"|'([^'<]{0,512})')"
    return re.compile(element + rb"|" + attribute)


@lru_cache(maxsize=64)
def _member(name: str) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    """Returns patterns for the member with its exact name, and in any spelling that the decoder takes."""
    spelt = re.escape(name.encode())
    value = rb'\s*:\s*(?:"((?:[^"\\]|\\.){0,512})"|(-?[0-9]{1,128})(?:\.0+)?(?=\s*[,}\]]))'
    return (
        re.compile(rb'"' + spelt + rb'"' + value),
        re.compile(rb'"' + _AROUND + spelt + _AROUND + rb'"' + value, re.IGNORECASE),
    )
