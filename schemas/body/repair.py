"""Repairs JSON that is nearly right: commas too many or missing, line ends in texts, documents one after another.

Every repair works outside of texts and in one pass; none changes a valid document or a text in one.
Must not know a vendor. Pure: no I/O, no clock.
"""

import json
import re
from typing import Any, Final

from schemas.body.json_text import check_size, read, read_all, too_many
from schemas.body.plain_json import read_plain
from schemas.config.limits import Limits
from schemas.errors import Undecodable
from schemas.facts import Flag

JUNK: Final = " \t\r\n\f\v\u3000\u00a0\ufeff\u200b\0;"
_STRING: Final = re.compile(r'("[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z))', re.DOTALL)
_TEXT: Final = "\x01"
"""The placeholder of a text while the rest is worked on: no JSON has it outside of one."""
_BETWEEN: Final = JUNK + ","
_MOST_QUOTES: Final = 200_000
_FEW_LINES: Final = 50

_LAYERS: Final = 3
"""The most layers of JSON text inside JSON text that are taken off."""

_RULES: Final = (
    (re.compile(r",(?=\s*[}\]])"), ""),  # a comma with nothing after it
    (re.compile(rf"(?<=[0-9el}}\]])(?=\s*{_TEXT})"), ","),  # number, true, false, null, object or list; then a text
    (re.compile(r"(?<=[}\]])(?=\s*[{\[])"), ","),  # two objects or lists
    (re.compile(rf"(?<={_TEXT})(?=\s*{_TEXT}\s*:)"), ","),  # a text, then a key
)


class Sequence(list[Any]):
    """Documents that came one after another: each an element, or an envelope around elements."""


def document_of(text: str, flags: set[Flag], limits: Limits, *, layers: int = _LAYERS) -> Any:
    """Returns the document in a text; when that is a text itself, the document in it, up to `layers` times."""
    document: Any = text
    for layer in range(layers + 1):
        if layer:
            flags.add(Flag.REPAIRED_JSON)
        try:
            document = read(document, limits)
        except ValueError:  # not bound to a name: an exception in a variable of its own frame is a reference cycle
            document = repaired(document, limits)
            flags.add(Flag.REPAIRED_JSON)
        if not isinstance(document, str) or document.lstrip()[:1] not in ("{", "[", '"'):
            break
    return document


def repaired(text: str, limits: Limits) -> Any:
    """Returns the document in a text that is no valid JSON; raises Undecodable `json` or `limit`."""
    if len(text) > limits.repair_chars:
        raise Undecodable("not JSON, and too long to be repaired", code="json")
    text = text.strip(JUNK)
    try:
        return read(text, limits, strict=False)
    except json.JSONDecodeError as exc:
        place, is_several = f"line {exc.lineno} column {exc.colno}", _goes_on_behind(exc)
    except ValueError:
        place, is_several = "somewhere", True
    # The attempts go from the least to the most invasive.
    for attempt in (_several, _commas_mended, _line_by_line) if is_several else (_commas_mended, _line_by_line):
        try:
            return attempt(text, limits)
        except ValueError:
            continue
    raise Undecodable(f"not JSON, and no repair helps: {place}", code="json")


def _several(text: str, limits: Limits) -> Any:
    if not text.startswith(("{", "[")):
        raise ValueError("not documents one after another")
    found = read_all(text, limits)
    return Sequence(found) if len(found) > 1 else found[0]


def _commas_mended(text: str, limits: Limits) -> Any:
    mended = with_commas(text)
    check_size(mended, limits)
    if (document := read_plain(mended, limits.number_digits)) is not None:
        return document
    try:
        return read(mended, limits, strict=False)
    except json.JSONDecodeError as exc:
        if not _goes_on_behind(exc):
            raise
    return _several(mended, limits)


def _goes_on_behind(error: json.JSONDecodeError) -> bool:
    """True when a text begins with a whole document: else nothing in it is one of several."""
    return error.msg.startswith("Extra data")


def _line_by_line(text: str, limits: Limits) -> Any:
    """Reads one document a line; a line that is none stays a text and fails alone, when most lines are documents."""
    lines = [line for line in (line.strip(JUNK) for line in text.split("\n", limits.elements)) if line.strip(_BETWEEN)]
    if len(lines) < 2 or any(line.lstrip(_BETWEEN)[:1] not in ("{", "[") for line in lines[:2]):
        raise ValueError("not a document a line")
    if len(lines) > limits.elements:
        raise too_many(limits)
    found, failed = Sequence(), 0
    for line in lines:
        found.append(_line(line.strip(_BETWEEN), limits))
        if not isinstance(found[-1], str):
            continue
        if _goes_on(line):
            raise ValueError("one document over several lines")
        failed += 1
        if failed > _FEW_LINES and failed * 2 > len(found):
            break
    if failed * 2 > len(found):
        raise ValueError("hardly a line is a document")
    return found


def _goes_on(line: str) -> bool:
    """True when a line ends within a list, before its next member: the next line then belongs to that list."""
    if not line.endswith((",", "[")):
        return False
    closed = 0
    for mark in reversed("".join(_STRING.split(line)[::2])):
        if mark in "]}":
            closed += 1
        elif mark in "[{":
            if not closed:
                return mark == "["
            closed -= 1
    return False


def _line(line: str, limits: Limits) -> Any:
    try:
        return read(line, limits, strict=False)
    except ValueError:
        mended = with_commas(line)
    try:
        return line if mended is line else read(mended, limits, strict=False)
    except ValueError:
        return line


def with_commas(text: str) -> str:
    """Returns the text with its commas mended; the same text when there is nothing to do, or too much."""
    quotes = text.count('"')
    if quotes > _MOST_QUOTES or _TEXT in text:
        return text
    is_plain = quotes % 2 == 0 and "\\" not in text  # then every quote begins a text or ends one
    parts = text.split('"') if is_plain else _STRING.split(text)
    bare = before = _TEXT.join(parts[::2])
    for wrong, right in _RULES:
        bare = wrong.sub(right, bare)
    if bare == before:
        return text
    parts[::2] = bare.split(_TEXT)
    return ('"' if is_plain else "").join(parts)
