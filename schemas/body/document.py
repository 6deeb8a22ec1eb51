"""Reads the bytes of a body into a document of elements, in the same way for all vendors and before any mapping.

Strict reading comes first; a repair is tried only where that fails, and is flagged on the elements that it touched.
Every bound is checked before the work that it limits. Must not know a vendor. Pure: no I/O, no clock.
"""

from collections.abc import Mapping
from collections.abc import Sequence as Items
from typing import Any, Final, Literal

import msgspec

from schemas.body import xml_text
from schemas.body.arrange import Arranger
from schemas.body.charset import Text, is_charset, is_utf8, label_of, text_of
from schemas.body.json_text import Marked, with_repeats
from schemas.body.member_keys import NO_WORDS, Words
from schemas.body.plain_json import KINDS, NOT_PLAIN, decode_by
from schemas.body.repair import JUNK, Sequence, document_of
from schemas.body.wire import BEGIN_JSON, Form, form_of, unwrapped
from schemas.config.limits import DEFAULT, Limits
from schemas.errors import Undecodable
from schemas.facts import Flag
from schemas.raw import RawCallback

BodyFormat = Literal["json", "form", "xml"]
"""The format that a vendor documents for a body; JSON is read in its place, too, and a form in the place of JSON."""

_WHOLE: Final = frozenset({int})
_PIECE_CHARS: Final = 64 * 1024
_BETWEEN: Final = b"\x1e"
"""The separator of a form's parts while its charset is found out."""


class Decoded(msgspec.Struct, frozen=True, kw_only=True, gc=False):
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
    raw: RawCallback,
    form_fields: tuple[str, ...],
    words: Words = NO_WORDS,
    limits: Limits = DEFAULT,
    body_format: BodyFormat = "json",
) -> Decoded:
    """Reads a body; raises Undecodable with `inflate`, `empty`, `charset`, `json`, `xml` or `limit`."""
    label = label_of(raw.content_type) if raw.content_type else ""
    if not raw.content_encoding and raw.body[:1] in BEGIN_JSON:  # nearly every body
        document = ordinary_document(raw.body, label, words, limits)
        return _read_text(raw.body, label, words, limits) if document is None else Decoded(document=document)
    body, untrue = unwrapped(raw.body, raw.content_encoding, limits)
    label = label or next(filter(is_charset, untrue), "")
    try:
        return _read_body(body, label, raw.content_type, form_fields, words, limits, body_format)
    except Undecodable as exc:
        if exc.dead_code in ("charset", "json", "xml") and not all(map(is_charset, untrue)):
            raise Undecodable(f"not in the content encoding that it names, and as it is {exc}", code="inflate") from exc
        raise


def ordinary_document(body: bytes, label: str, words: Words, limits: Limits) -> dict[str, Any] | None:
    """Reads an element, or a list of them in an envelope, that has nothing odd about it, as nearly all bodies have.

    None where the careful way must read the body; of an ordinary one it would make the same document, without a flag.
    """
    if words.nested or len(body) > limits.text_chars or len(body) > limits.values or b"\\" in body:
        return None
    if not (body.isascii() or is_utf8(label)):
        return None
    decode, ordinary = decode_by(limits.number_digits)
    try:
        document: Any = decode(body)
    except NOT_PLAIN:
        return None
    # As in `read_plain`: with more quotes than that, a key came twice.
    return document if body.count(b'"') == 2 * _texts_in(document, words, limits, ordinary) else None


def _texts_in(document: Any, words: Words, limits: Limits, ordinary: range) -> int:
    """Counts keys and texts of a document whose elements have known keys and no value to be looked into; else -1."""
    if type(document) is not dict:
        return -1
    items: Items[Any] = (document,)
    known, texts = words.whole, 0
    if len(document) == 1 and words.held:
        ((holder, within),) = document.items()
        if holder in words.held:
            if type(within) is not list or len(within) > limits.elements:
                return -1
            items, known, texts = within, words.held[holder].exact, 1
    for item in items:
        if type(item) is not dict or not known.issuperset(item):
            return -1
        values = item.values()
        strings, further = KINDS[tuple(map(type, values))]
        if further and (
            further != _WHOLE or not all(map(ordinary.__contains__, [one for one in values if type(one) is int]))
        ):
            return -1
        texts += len(item) + strings
    return texts


def flags_of(element: Any) -> frozenset[Flag]:
    """Returns the flags of one element, by itself or wrapped once more by its vendor's file."""
    flags: frozenset[Flag] = element.flags if isinstance(element, Marked) else frozenset()
    if isinstance(element, Mapping):
        for value in element.values():
            if isinstance(value, Marked):
                flags |= value.flags
    return flags


def _read_body(
    body: bytes,
    label: str,
    content_type: str,
    form_fields: tuple[str, ...],
    words: Words,
    limits: Limits,
    body_format: BodyFormat,
) -> Decoded:
    is_xml = body_format == "xml" and xml_text.begins_xml(body)
    form = None if is_xml else form_of(body, content_type, form_fields, limits.keys)
    if form is not None and form.value is None:
        flat = _flat(form, label, words, limits, is_documented=body_format == "form")
        if flat is not None:
            return flat
    if form is not None and form.value is not None:
        body = form.value
        is_xml = body_format == "xml" and xml_text.begins_xml(body)
    if is_xml:
        text = text_of(body, label or xml_text.declared_encoding(body)).without_bad_bytes()
        with_root = xml_text.ROOT in words.top.exact
        return _arranged(xml_text.read_xml(text.text, limits, with_root=with_root), text, set(), words, limits)
    return _read_text(body, label, words, limits)


def _read_text(body: bytes, label: str, words: Words, limits: Limits) -> Decoded:
    text = text_of(body, label)
    if body[:1] not in BEGIN_JSON and _is_blank(text.text):
        raise Undecodable("the body is empty", code="empty")
    flags: set[Flag] = set()
    return _arranged(document_of(text.text, flags, limits), text, flags, words, limits)


def _is_blank(text: str) -> bool:
    """True when a text holds nothing; it is examined in pieces so that no copy of the whole is made."""
    if text[:1] in ("{", "["):
        return False
    return not any(text[at : at + _PIECE_CHARS].strip(JUNK) for at in range(0, len(text), _PIECE_CHARS))


def _flat(form: Form, label: str, words: Words, limits: Limits, *, is_documented: bool) -> Decoded | None:
    """Reads a form whose parameters are the vendor's own fields; None when none of them is.

    A vendor whose documented format is a form (`is_documented`) gets no flag for it.
    """
    known = [name.decode("latin-1").lower() in words.top.folded for name, _ in form.members]
    if not any(known):
        return None
    pieces = [piece.replace(_BETWEEN, b"") for member in form.members for piece in member]
    text = text_of(_BETWEEN.join(pieces), label)
    parts = text.text.split(_BETWEEN.decode())
    pairs = list(zip(parts[::2], parts[1::2], strict=True))
    members = dict(pairs)
    document = members if len(members) == len(pairs) else with_repeats(pairs)
    return _arranged(document, text, set() if is_documented else {Flag.REPAIRED_JSON}, words, limits)


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
