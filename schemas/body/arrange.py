"""Arranges a document for a vendor file: keys in the vendor's spelling, texts mended and bounded, elements counted.

An oddity of one element is marked on that element and on no other. Must not know a vendor. Pure: no I/O, no clock.
"""

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final

from schemas.body.charset import Text, replaced
from schemas.body.json_text import Marked, keep, too_deep, too_many
from schemas.body.member_keys import Names, Words, spelt, spelt_as
from schemas.body.repair import document_of
from schemas.body.scalars import CONTAINERS, compact
from schemas.config.limits import Limits
from schemas.errors import Undecodable
from schemas.facts import Flag

# Half of a surrogate pair, or an escaped backslash that becomes one when the text is itself read as JSON.
_HALF_ESCAPED: Final = re.compile(r"\\u(?:[dD][89a-fA-F]|005[cC])")
_HALF: Final = re.compile("[\ud800-\udfff]")
_OTHER_HALF: Final = re.compile("[\ud800-\udc7f\udd00-\udfff]")
_MOST_IN_VAIN: Final = 100
"""After so many texts that look like an element and are none, no further one is tried."""
_SCALARS: Final = frozenset({str, int, bool, type(None), Decimal})


class Arranger:
    """Arranges the documents of one body.

    `flags` hold for all elements; `is_odd` is true when single elements have flags of their own.
    """

    def __init__(self, text: Text, words: Words, limits: Limits) -> None:
        self.flags: set[Flag] = set()
        self.is_odd = False
        self._in_vain = 0
        self._words = words
        self._limits = limits
        self._suffers = text.suffers
        self._halves = "\\u" in text.text and _HALF_ESCAPED.search(text.text) is not None
        self._long = len(text.text) > limits.text_chars
        self._mends = self._halves or self._long or self._suffers is not None
        self._is_plain = not self._mends and not words.nested

    def is_envelope(self, document: Any) -> bool:
        """True when a document is an object around elements and no element itself."""
        held, top = self._words.held, self._words.top
        if not held or not isinstance(document, dict):
            return False
        if top.exact.issuperset(document):
            return not held.keys().isdisjoint(document)
        return any(spelt_as(name, top) in held for name in document)

    def document(self, document: Any) -> Any:
        """Arranges a whole document; raises Undecodable `limit`, and `json` for a text in the place of elements."""
        if isinstance(document, list):
            return self._elements(document, self._words.top, 1)
        if not isinstance(document, dict):
            return document
        if not self.is_envelope(document):
            return self._element(document, self._words.top, 0)
        if isinstance(document, Marked):
            self.flags |= document.flags
        envelope = document
        if not self._words.top.exact.issuperset(document):
            envelope, odd = spelt(document, self._words.top, self._limits)
            self.flags |= odd
        if len(envelope) > 1:
            beside = {name: value for name, value in envelope.items() if name not in self._words.held}
            if self._mends or not _SCALARS.issuperset({*map(type, beside.values())}):
                envelope = {**envelope, **self._mended(beside, self.flags, 0)}
        for name, names in self._words.held.items():
            if name in envelope:
                envelope[name] = self._held(envelope[name], names)
        return envelope

    def _held(self, value: Any, names: Names) -> Any:
        if _is_json(value):
            value = document_of(value, self.flags, self._limits)
            self.flags.add(Flag.REPAIRED_JSON)
        if isinstance(value, list):
            return self._elements(value, names, 2)
        return self._element(value, names, 1) if isinstance(value, dict) else value

    def _elements(self, items: list[Any], names: Names, depth: int) -> list[Any]:
        if len(items) > self._limits.elements:
            raise too_many(self._limits)
        return [self._element(item, names, depth) for item in items]

    def _element(self, item: Any, names: Names, depth: int) -> Any:
        """Arranges one element; `depth` is the number of objects and lists around it."""
        return item if self._is_plain and _is_ordinary(item, names) else self._arranged(item, names, depth)

    def _arranged(self, item: Any, names: Names, depth: int) -> Any:
        flags: set[Flag] = set()
        if _is_json(item):
            item = self._unquoted(item, flags)
        if not isinstance(item, dict):
            if isinstance(item, list):
                self._check_depth((item,), flags, depth)
            return item
        if isinstance(item, Marked):
            flags |= item.flags
        if not names.exact.issuperset(item):
            item, odd = spelt(item, names, self._limits)
            flags |= odd
        for field, inner in self._words.nested.items():
            if (value := item.get(field)) is not None:
                item[field] = self._nested(value, inner, flags)
        if self._mends or not _SCALARS.issuperset({*map(type, item.values())}):
            item = self._mended(item, flags, depth)
        if not flags:
            return item
        self.is_odd = True
        return Marked(item, frozenset(flags))

    def _unquoted(self, text: str, flags: set[Flag]) -> Any:
        if self._in_vain >= _MOST_IN_VAIN:
            return text
        try:
            document = document_of(text, flags, self._limits)
        except Undecodable:
            self._in_vain += 1
            return text  # this element fails, the others do not
        flags.add(Flag.REPAIRED_JSON)
        return document

    def _nested(self, value: Any, names: Names, flags: set[Flag]) -> Any:
        """Arranges an object inside an element whose keys are the vendor's too, sent as an object or as JSON text."""
        if _is_json(value):
            try:
                value = document_of(value, set(), self._limits, layers=1)
            except Undecodable:
                return value
        if isinstance(value, dict) and not names.exact.issuperset(value):
            value, odd = spelt(value, names, self._limits)
            flags |= odd
        return value

    def _mended(self, item: dict[str, Any], flags: set[Flag], depth: int) -> dict[str, Any]:
        """Bounds and mends an element that has containers in it, or texts that may need it."""
        self._check_depth(item.values(), flags, depth + 1)
        if not self._mends:
            return item
        if self._long:
            item = {name: self._short(value) for name, value in item.items()}
        made: dict[str, Any] = self._clean(item, flags)
        return made

    def _short(self, value: Any) -> Any:
        """Returns the value, but the text of an object or list that is longer as text than a text may be."""
        if not isinstance(value, CONTAINERS):
            return value
        text = compact(value)
        return text if len(text) > self._limits.text_chars else value

    def _check_depth(self, values: Iterable[Any], flags: set[Flag], depth: int) -> None:
        """Raises Undecodable `limit` for too many levels; flags of inner objects become the element's."""
        level = [value for value in values if isinstance(value, CONTAINERS)]
        while level:
            depth += 1
            if depth > self._limits.nesting:
                raise too_deep(self._limits)
            for value in level:
                if isinstance(value, Marked):
                    flags |= value.flags
            level = [
                inner
                for value in level
                for inner in (value.values() if isinstance(value, dict) else value)
                if isinstance(inner, CONTAINERS)
            ]

    def _clean(self, value: Any, flags: set[Flag]) -> Any:
        if isinstance(value, str):
            return self._text(value, flags, self._limits.text_chars)
        if isinstance(value, list):
            return [self._clean(item, flags) for item in value]
        if not isinstance(value, dict):
            return value
        made: dict[str, Any] = {}
        repeats: dict[str, int] = {}
        for sent, item in value.items():
            name = self._text(sent, flags, self._limits.key_chars)
            if name in made:
                keep(made, repeats, name, made[name])
            made[name] = self._clean(item, flags)
        return made

    def _text(self, text: str, flags: set[Flag], most: int) -> str:
        # A bad byte is represented by half a pair, too; the range of the code point distinguishes the two.
        if self._halves and _OTHER_HALF.search(text):
            flags.add(Flag.REPAIRED_JSON)
            text = _OTHER_HALF.sub("\ufffd", text)
        if self._suffers is not None and self._suffers.search(text):
            flags.add(Flag.CHARSET_REPAIRED)
            text = replaced(text)
        if self._halves and _HALF.search(text):
            flags.add(Flag.REPAIRED_JSON)
            text = _HALF.sub("\ufffd", text)
        if len(text) > most:
            flags.add(Flag.RANGE_ERROR)
            text = text[:most]
        return text


def _is_ordinary(item: Any, names: Names) -> bool:
    """True for an object with known keys and without others in it, as nearly all elements are."""
    return type(item) is dict and names.exact.issuperset(item) and _SCALARS.issuperset({*map(type, item.values())})


def _is_json(value: Any) -> bool:
    """True when a value is text that looks like JSON."""
    return isinstance(value, str) and value.lstrip()[:1] in ("{", "[", '"') and value != ""
