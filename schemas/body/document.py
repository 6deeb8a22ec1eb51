"""Reads the bytes of a body into a document of elements, in the same way for all vendors and before any mapping.

Strict reading comes first; a repair is tried only where that fails, and is flagged on the elements that it touched.
Every bound is checked before the work that it limits. Must not know a vendor. Pure: no I/O, no clock.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from schemas.body.arrange import Arranger
from schemas.body.charset import Text, is_charset, label_of, text_of
from schemas.body.json_text import Marked, with_repeats
from schemas.body.member_keys import NO_WORDS, Words
from schemas.body.repair import JUNK, Sequence, document_of
from schemas.body.wire import Form, form_of, unwrapped
from schemas.config.limits import DEFAULT, Limits
from schemas.errors import Undecodable
from schemas.facts import Flag
from schemas.raw import RawCallback

_PIECE_CHARS: Final = 64 * 1024
_BETWEEN: Final = b"\x1e"
"""The separator of a form's parts while its charset is found out."""


class Decoded(msgspec.Struct, frozen=True, kw_only=True):
    """A body as a document."""

    document: Any
    envelopes: tuple[Any, ...] = ()
    """All documents, when several came one after another and each is an object around elements."""
    flags: frozenset[Flag] = frozenset()
    """Flags that hold for each of its elements."""
    is_odd: bool = False
    """True when single elements have flags of their own, which `flags_of` returns."""

    def documents(self) -> tuple[Any, ...]:
        """Returns the documents that are to be taken apart."""
        return self.envelopes or (self.document,)


def decode(
    raw: RawCallback, form_fields: tuple[str, ...], words: Words = NO_WORDS, limits: Limits = DEFAULT
) -> Decoded:
    """Reads a body; raises Undecodable with `inflate`, `empty`, `charset`, `json` or `limit`."""
    body, untrue = unwrapped(raw.body, raw.content_encoding, limits)
    label = label_of(raw.content_type) or next(filter(is_charset, untrue), "")
    try:
        return _read_body(body, label, raw.content_type, form_fields, words, limits)
    except Undecodable as exc:
        if exc.dead_code in ("charset", "json") and not all(map(is_charset, untrue)):
            raise Undecodable(f"not in the content encoding that it names, and as it is {exc}", code="inflate") from exc
        raise


def flags_of(element: Any) -> frozenset[Flag]:
    """Returns the flags of one element, by itself or wrapped once more by its vendor's file."""
    flags: frozenset[Flag] = element.flags if isinstance(element, Marked) else frozenset()
    if isinstance(element, Mapping):
        for value in element.values():
            if isinstance(value, Marked):
                flags |= value.flags
    return flags


def _read_body(
    body: bytes, label: str, content_type: str, form_fields: tuple[str, ...], words: Words, limits: Limits
) -> Decoded:
    form = form_of(body, content_type, form_fields, limits.keys)
    if form is not None and form.value is None and (flat := _flat(form, label, words, limits)) is not None:
        return flat
    text = text_of(body if form is None or form.value is None else form.value, label)
    if _is_blank(text.text):
        raise Undecodable("the body is empty", code="empty")
    flags: set[Flag] = set()
    return _arranged(document_of(text.text, flags, limits), text, flags, words, limits)


def _is_blank(text: str) -> bool:
    """True when a text holds nothing; it is examined in pieces so that no copy of the whole is made."""
    return not any(text[at : at + _PIECE_CHARS].strip(JUNK) for at in range(0, len(text), _PIECE_CHARS))


def _flat(form: Form, label: str, words: Words, limits: Limits) -> Decoded | None:
    """Reads a form whose parameters are the vendor's own fields; None when they are not."""
    known = [name.decode("latin-1").lower() in words.top.folded for name, _ in form.members]
    if not any(known):
        return None
    pieces = [piece.replace(_BETWEEN, b"") for member in form.members for piece in member]
    text = text_of(_BETWEEN.join(pieces), label)
    parts = text.text.split(_BETWEEN.decode())
    pairs = list(zip(parts[::2], parts[1::2], strict=True))
    members = dict(pairs)
    document = members if len(members) == len(pairs) else with_repeats(pairs)
    return _arranged(document, text, {Flag.REPAIRED_JSON}, words, limits)


def _arranged(document: Any, text: Text, flags: set[Flag], words: Words, limits: Limits) -> Decoded:
    arranger = Arranger(text, words, limits)
    envelopes: tuple[Any, ...] = ()
    if isinstance(document, Sequence) and any(arranger.is_envelope(item) for item in document):
        envelopes = tuple(arranger.document(item) for item in document)
        document = list(envelopes)
    else:
        document = arranger.document(document)
    return Decoded(
        document=document, envelopes=envelopes, flags=frozenset(flags | arranger.flags), is_odd=arranger.is_odd
    )
