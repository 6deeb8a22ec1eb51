"""Decodes bytes into text, by a byte order mark, the declared charset, UTF-8, or the reading that damages least.

A few bad bytes in UTF-8 spoil the texts that they stand in and nothing else; text that is not UTF-8 at all is read as
GB 18030. A pattern finds the texts that suffered, so that only their elements are flagged. Pure: no I/O, no clock.
"""

import codecs
import re
from functools import lru_cache
from typing import Final

import msgspec

from schemas.errors import Undecodable

_BOMS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# The charsets by label. Text codecs only: Python has others (rot13, zlib, unicode_escape) that are no charsets.
_UTF8: Final = frozenset({"utf8", "utf", "unicode11utf8", "ascii", "usascii", "utf8mb4", "utf8n"})
_GB: Final = frozenset({"gb2312", "gbk", "gb18030", "cp936", "ms936", "windows936", "xgbk", "euccn", "gb231280", "936"})
_DOUBLE: Final = {
    **dict.fromkeys(("big5", "xxbig5", "cnbig5", "big5hkscs", "cp950"), "big5hkscs"),
    **dict.fromkeys(("shiftjis", "sjis", "windows31j", "xsjis", "cp932", "mskanji"), "cp932"),
    **dict.fromkeys(("euckr", "ksc56011987", "cp949", "windows949", "uhc"), "cp949"),
    **dict.fromkeys(("eucjp", "xeucjp"), "euc_jp"),
}
_SINGLE: Final = {
    **dict.fromkeys(("iso88591", "latin1", "l1", "88591"), "latin-1"),
    **{f"iso8859{part}": f"iso8859-{part}" for part in (2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16)},
    **{f"windows{page}": f"cp{page}" for page in (874, *range(1250, 1259))},
    **{f"cp{page}": f"cp{page}" for page in (437, 850, 852, 855, 866, 874, *range(1250, 1259))},
    **dict.fromkeys(("koi8r",), "koi8-r"),
    **dict.fromkeys(("koi8u",), "koi8-u"),
    **dict.fromkeys(("tis620",), "tis-620"),
}
_DECLARED: Final = re.compile(r"charset\s*=\s*[\"']?\s*([A-Za-z0-9._:\-]{1,40})", re.IGNORECASE)
_BETWEEN: Final = str.maketrans("", "", "-_.: ")

_BAD: Final = re.compile("[\udc80-\udcff]")
# GB 18030 writes two bytes side by side, or four of which two are digits. A single bad byte is no part of it.
_TOGETHER: Final = re.compile(
    "[\udc80-\udcff][^\x00-\x7f]|[^\x00-\x7f][\udc80-\udcff]|[\udc80-\udcff][0-9][\udc80-\udcff][0-9]"
)
_FOREIGN: Final = re.compile("[^\x00-\x7f]")
_REPLACED: Final = re.compile("\ufffd")
_ALL_BUT_LONG_LEADS: Final = bytes(byte for byte in range(256) if not 0xE0 <= byte <= 0xF4)
_BRACES: Final = frozenset((b"{", b"["))
_FEW: Final = 16  # one bad byte in so many is tolerated
_MANY: Final = 6  # as above, among the bytes of foreign letters that come in pairs as in GB 18030
_RUNS: Final = re.compile(rb"[\x80-\xff]+")
_ALL_BUT_SHORT_LEADS: Final = bytes(byte for byte in range(256) if not 0xC2 <= byte <= 0xDF)


class Text(msgspec.Struct, frozen=True, gc=False):
    """A body as text; a text in which `suffers` finds a match was guessed or replaced."""

    text: str
    suffers: re.Pattern[str] | None = None

    def without_bad_bytes(self) -> "Text":
        """Returns the same text with U+FFFD in the place of bad bytes, for a reader that takes no other text."""
        return Text(replaced(self.text), _REPLACED) if self.suffers is _BAD else self


@lru_cache(maxsize=64)
def label_of(content_type: str) -> str:
    """Returns the charset that a content type declares, "" for none."""
    found = _DECLARED.search(content_type)
    return found[1] if found else ""


def is_charset(label: str) -> bool:
    """True when a word names a charset; some senders put it where the content encoding belongs."""
    name = _name(label)
    return name in _UTF8 or name in _GB or name in _DOUBLE or name in _SINGLE


def is_utf8(label: str) -> bool:
    """True when a body with this label is UTF-8, as one without a label; `text_of` reads it so if it is valid."""
    return _codec_of(label)[1] is None


def text_of(body: bytes, label: str) -> Text:
    """Reads a body's bytes; `label` is the declared charset. Raises Undecodable `charset`."""
    if body.isascii():
        return Text(body.decode("ascii")) if b"\0" not in body[:8] else _wide(body) or Text(body.decode("ascii"))
    if body[:1] not in _BRACES or b"\0" in body[:8]:  # neither a mark nor wide text begins like that
        body = body.removeprefix(codecs.BOM_UTF8)
        if (wide := _wide(body)) is not None:
            return wide
    name, codec = _codec_of(label)
    utf8 = _decoded(body, "utf-8")
    if codec is not None:
        # A single-byte charset accepts anything, and no text in it is UTF-8 by chance; some two-byte text is, but never
        # with a sequence of three bytes.
        lies = utf8 is not None and (name in _SINGLE or _long(body) > 0)
        declared = None if lies else _decoded(body, codec)
        if declared is not None:
            return Text(declared)
    if utf8 is not None:
        return Text(utf8, None if codec is None else _FOREIGN)
    return _least_damaged(body, gb_is_declared=codec == "gb18030")


def replaced(text: str) -> str:
    """Returns the text with U+FFFD where its bytes were bad."""
    if not _BAD.search(text):
        return text
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _least_damaged(body: bytes, *, gb_is_declared: bool) -> Text:
    """Reads bytes that are no valid UTF-8 in the way that damages least.

    With few bad bytes they are UTF-8 all the same; else GB 18030, if need be with few bad bytes.
    """
    mixed = body.decode("utf-8", "surrogateescape")
    good = mixed.encode("utf-8", "ignore")
    bad = len(body) - len(good)
    rare = bad == 1 or bad * _FEW <= len(body)
    if _in_pairs(body) and (bad * _MANY > _foreign(body) or _short(good) > _long(good)):
        chinese = _decoded(body, "gb18030")
        if chinese is not None:
            return Text(chinese, None if gb_is_declared else _FOREIGN)
    # In GB 18030 read as UTF-8 nearly every byte is bad, two and two; a good sequence of three bytes hardly occurs.
    if rare and (bad == 1 or bad <= _long(good) or not _TOGETHER.search(mixed)):
        return Text(mixed, _BAD)
    chinese = _decoded(body, "gb18030")
    if chinese is not None:
        return Text(chinese, None if gb_is_declared else _FOREIGN)
    chinese = body.decode("gb18030", "replace")
    wrong = chinese.count("\ufffd")
    right = len(chinese) - len(chinese.encode("ascii", "ignore")) - wrong
    if wrong * 4 <= right and wrong * 2 <= bad:
        return Text(chinese, _REPLACED if gb_is_declared else _FOREIGN)
    if rare:
        return Text(mixed, _BAD)
    raise Undecodable("neither UTF-8 nor GB 18030", code="charset")


def _in_pairs(body: bytes) -> bool:
    """True when foreign letters have two bytes each: a bad byte beside ASCII makes an odd number of them."""
    return all(len(run) % 2 == 0 for run in _RUNS.findall(body))


def _foreign(body: bytes) -> int:
    """Counts the bytes of letters outside ASCII."""
    return sum(map(len, _RUNS.findall(body)))


def _short(utf8: bytes) -> int:
    """Counts the characters of two bytes in valid UTF-8: letters of alphabets, which no Chinese text is full of."""
    return len(utf8.translate(None, _ALL_BUT_SHORT_LEADS))


def _wide(body: bytes) -> Text | None:
    """Reads text of two or four bytes a character, known by its mark or by the NULs beside JSON's first characters."""
    for mark, codec in _BOMS:
        if body.startswith(mark):
            text = _decoded(body[len(mark) :], codec)
            return None if text is None else Text(text)
    head = body[:8]
    if len(head) < 4 or b"\0" not in head:
        return None
    for codec in ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be"):
        start = _decoded(head[: len(head) // 4 * 4], codec)
        if start and start.isprintable() and start.isascii():
            text = _decoded(body, codec)
            return None if text is None else Text(text, _FOREIGN)
    return None


def _decoded(body: bytes, codec: str) -> str | None:
    try:
        return body.decode(codec)
    except UnicodeDecodeError:
        return None


def _long(utf8: bytes) -> int:
    """Counts the characters of three and four bytes in valid UTF-8."""
    return len(utf8.translate(None, _ALL_BUT_LONG_LEADS))


@lru_cache(maxsize=64)
def _codec_of(label: str) -> tuple[str, str | None]:
    """Returns the name of a declared charset and its codec; None for UTF-8 and for what is no charset."""
    name = _name(label)
    return name, "gb18030" if name in _GB else _DOUBLE.get(name) or _SINGLE.get(name)


def _name(label: str) -> str:
    return label.lower().translate(_BETWEEN)
