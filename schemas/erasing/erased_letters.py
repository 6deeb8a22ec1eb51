"""Takes what an erasure covers out of dead letters: their bytes are a vendor's body, or a record of ours. Pure.

Nobody can take one number out of bytes that nobody could read, so a dead letter loses all of them, and its headers.
"""

import re
from collections.abc import Iterator
from typing import Final

import msgspec

from schemas.body.inflate import CapExceeded, DamagedStream, opened
from schemas.config.limits import DEFAULT
from schemas.dead_letter import DeadLetter
from schemas.privacy.erasures import Erasures
from schemas.privacy.number_forms import IsErased, holds

NOTE: Final = "(bytes erased)"
_LIMITS: Final = msgspec.structs.replace(DEFAULT, inflate_bytes=16 * 1024 * 1024)
_ESCAPED: Final = re.compile(rb"%[0-9A-Fa-f]{2}|\\u00[0-9A-Fa-f]{2}|&#x?[0-9A-Fa-f]{2};")
_KEPT: Final = ("vendor", "callback", "account", "source", "received_at", "request_id", "content_type", "replay_of")
"""Headers of ours; `received_at` is a number itself, and no phone's."""


def body_holds(body: bytes, encoding: str, is_erased: IsErased) -> bool:
    """True for bytes with an erased number, also where they are compressed or in an encoding of two or four bytes."""
    return any(holds(text, is_erased) for text in _texts(body, encoding))


def _texts(body: bytes, encoding: str) -> Iterator[str]:
    yield _text(body)
    try:
        inside = opened(body, encoding, _LIMITS, undeclared=True).body
    except (DamagedStream, CapExceeded):
        return
    if inside != body:
        yield _text(inside)


def _text(body: bytes) -> str:
    """Returns the bytes as text in which digits are digits: those of UTF-16, UTF-32, forms, JSON and XML, too."""
    plain = body.replace(b"\x00", b"") if b"\x00" in body else body
    return _ESCAPED.sub(_unescaped, plain).decode("utf-8", "replace")


def _unescaped(found: re.Match[bytes]) -> bytes:
    text = found[0]
    if text.startswith(b"&#"):
        number = int(text[3:-1], 16) if text[2:3] == b"x" else int(text[2:-1])
        return bytes((number,)) if number < 128 else text
    return bytes((int(text[-2:], 16),))


def kept_letter(letter: DeadLetter, erasures: Erasures) -> DeadLetter | None:
    """Returns the dead letter as it may be stored: the very same one, one without its bytes, or None."""
    if not erasures.concern(letter.occurred_at):
        return letter
    if erasures.has_account(letter.account, letter.occurred_at):
        return None
    is_erased = erasures.test(letter.account, letter.occurred_at)
    return without_bytes(letter, is_erased) if letter_holds(letter, is_erased) else letter


def letter_holds(letter: DeadLetter, is_erased: IsErased) -> bool:
    """True for a dead letter with an erased number in its bytes, its headers or its words."""
    encoding = letter.headers.get("content_encoding", "")
    texts = (letter.detail, *letter.headers.values())
    return any(holds(text, is_erased) for text in texts) or body_holds(letter.original, encoding, is_erased)


def without_bytes(letter: DeadLetter, is_erased: IsErased) -> DeadLetter:
    """Returns the dead letter without bytes and without the headers that a caller wrote."""
    headers = {name: text for name, text in letter.headers.items() if name in _KEPT and not holds(text, is_erased)}
    words = "" if holds(letter.detail, is_erased) else letter.detail
    detail = words if words.endswith(NOTE) else f"{words} {NOTE}".lstrip()
    return msgspec.structs.replace(letter, original=b"", headers=headers, detail=detail)
