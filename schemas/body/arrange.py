"""A document made ready for a vendor's file: keys in the vendor's spelling, texts mended and within bounds, elements counted.

What is odd about one element is marked on that element and on no other. Must not know a vendor. Pure: no I/O, no clock.
"""

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final

from schemas.body.charset import Text, replaced
from schemas.body.json_text import Marked, keep, too_deep, too_many
from schemas.body.member_keys import Names, Words, spelt, spelt_as
from schemas.body.repair import document_of
from schemas.body.scalars import compact
from schemas.config.limits import Limits
from schemas.errors import Undecodable
from schemas.facts import Flag

# Half a character, or a backslash that makes one of what follows when the text is read as JSON itself.
_HALF_ESCAPED: Final = re.compile(r"\\u(?:[dD][89a-fA-F]|005[cC])")
_HALF: Final = re.compile("[\ud800-\udfff]")
_OTHER_HALF: Final = re.compile("[\ud800-\udc7f\udd00-\udfff]")
_MOST_IN_VAIN: Final = 100
"""Texts that look like an element and are none: after so many no further one is tried."""
_SCALARS: Final = frozenset({str, int, bool, type(None), Decimal})


class Arranger:
    """Arranges the documents of one body; `flags` hold for all elements, `is_odd` says whether single ones have some."""

    def __init__(self, text: Text, words: Words, limits: Limits) -> None:
        self.flags: set[Flag] = set()
        self.is_odd = False
        self._in_vain = 0
        self._words = words
        self._limits = limits
        self._suffers = text.suffers
        self._halves = _HALF_ESCAPED.search(text.text) is not None
        self._long = len(text.text) > limits.text_chars
        self._mends = self._halves or self._long or self._suffers is not None

    def holds(self, document: Any) -> bool:
        """Whether a document is a page with elements in it, and no element itself."""
        held, top = self._words.held, self._words.top
        if not held or not isinstance(document, dict):
            return False
        if top.exact.issuperset(document):
            return not held.keys().isdisjoint(document)
        return any(spelt_as(name, top) in held for name in document)

    def document(self, document: Any) -> Any:
        """A whole document; raises Undecodable `limit`, and `json` for a text that should hold the elements."""
        if isinstance(document, list):
            return self._elements(document, self._words.top, 1)
        if not isinstance(document, dict):
            return document
        if not self.holds(document):
            return self._element(document, self._words.top, 0)
        if isinstance(document, Marked):
            self.flags |= document.flags
        page = document
        if not self._words.top.exact.issuperset(document):
            page, odd = spelt(document, self._words.top, self._limits)
            self.flags |= odd
        if len(page) > 1:
            beside = {name: value for name, value in page.items() if name not in self._words.held}
            if self._mends or not _SCALARS.issuperset(map(type, beside.values())):
                page = {**page, **self._mended(beside, self.flags, 0)}
        for name, names in self._words.held.items():
            if name in page:
                page[name] = self._held(page[name], names)
        return page

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
        """One element; `depth` is how many objects and lists it stands in."""
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
        if self._mends or not _SCALARS.issuperset(map(type, item.values())):
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
            return text  # it fails alone
        flags.add(Flag.REPAIRED_JSON)
        return document

    def _nested(self, value: Any, names: Names, flags: set[Flag]) -> Any:
        """An object inside an element, whose keys are the vendor's, too: as it is or, as documented, as JSON text."""
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
        """An element with containers in it, or with texts to be looked at."""
        self._check_depth(item.values(), flags, depth + 1)
        if not self._mends:
            return item
        if self._long:
            item = {name: self._short(value) for name, value in item.items()}
        made: dict[str, Any] = self._clean(item, flags)
        return made

    def _short(self, value: Any) -> Any:
        """A value; of an object or list that is longer as text than a text may be, that text."""
        if not isinstance(value, dict | list):
            return value
        text = compact(value)
        return text if len(text) > self._limits.text_chars else value

    def _check_depth(self, values: Iterable[Any], flags: set[Flag], depth: int) -> None:
        """Raise Undecodable `limit` for too many levels; what was odd in an inner object is the element's."""
        level = [value for value in values if isinstance(value, dict | list)]
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
                if isinstance(inner, dict | list)
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
        if self._halves and _OTHER_HALF.search(
            text
        ):  # what stands for a bad byte is a half, too, and is told apart by its range
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


def _is_json(value: Any) -> bool:
    """Whether a value is text that looks like JSON."""
    return isinstance(value, str) and value.lstrip()[:1] in ("{", "[", '"') and value != ""
