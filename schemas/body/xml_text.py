"""Reads XML into the same dicts, lists and texts that JSON gives, within bounds, for vendors that declare XML.

The document is the root element's content. An element with attributes or child elements is a dict: attributes and
children are its keys, children of one name are a list, and text between them is the key `#text`. Any other element is
its text. Namespaces' prefixes are left out. A document type is refused, and with it every entity but XML's own five: no
text expands. Must not know a vendor. Pure: no I/O, no clock.
"""

import re
from typing import Any, Final
from xml.parsers import expat

from schemas.body.json_text import Marked, keep, too_deep
from schemas.config.limits import Limits
from schemas.errors import Undecodable
from schemas.facts import Flag

TEXT: Final = "#text"
"""The key of an element's own text beside its attributes and children."""
ROOT: Final = "#root"
"""The key of the root element's name; the document has it for vendors that list it among their keys."""
_BEGINS_XML: Final = re.compile(rb"(?:\xef\xbb\xbf|\xff\xfe|\xfe\xff)?\s{0,1000}<[?!A-Za-z_]")
_HEAD_BYTES: Final = 2048
_ENCODING: Final = re.compile(rb"\s{0,1000}<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([A-Za-z0-9._:\-]{1,40})")
_SEPARATOR: Final = " "


def begins_xml(body: bytes) -> bool:
    """True when bytes begin like XML, in UTF-16 and UTF-32, too."""
    return _BEGINS_XML.match(body[:_HEAD_BYTES].replace(b"\0", b"")) is not None


def declared_encoding(body: bytes) -> str:
    """Returns the charset that an XML declaration names, "" for none."""
    found = _ENCODING.match(body)
    return found[1].decode("ascii") if found else ""


def read_xml(text: str, limits: Limits, *, with_root: bool = False) -> Any:
    """Reads one document; `with_root` adds the root's name. Raises Undecodable `xml` or `limit`."""
    builder = _Builder(limits)
    parser = expat.ParserCreate("utf-8", _SEPARATOR)
    parser.buffer_text = True
    parser.ordered_attributes = True
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(text.encode("utf-8", "replace"), True)
    except expat.ExpatError as exc:
        place = f"line {exc.lineno} column {exc.offset + 1}"
        raise Undecodable(f"not XML: {expat.ErrorString(exc.code)}, {place}", code="xml") from None
    document = builder.document
    if not with_root:
        return document
    return {ROOT: builder.root, **(document if isinstance(document, dict) else {TEXT: document})}


def _refuse_doctype(*_: object) -> None:
    raise Undecodable("XML with a document type", code="xml")


class _Element:
    """An element that is being read."""

    __slots__ = ("attributes", "children", "many", "texts")

    def __init__(self, attributes: list[str]) -> None:
        names = [_local(name) for name in attributes[::2]]
        self.attributes = dict(zip(names, attributes[1::2], strict=True))
        self.children: dict[str, Any] = {}
        self.many: set[str] = set()
        self.texts: list[str] = []

    def add(self, name: str, child: Any) -> None:
        """Adds a child; the second one of a name makes a list of both."""
        if name not in self.children:
            self.children[name] = child
        elif name in self.many:
            self.children[name].append(child)
        else:
            self.children[name] = [self.children[name], child]
            self.many.add(name)

    def value(self) -> Any:
        """Returns the element as a dict, or as its text when it has neither attributes nor children."""
        text = "".join(self.texts).strip()
        if not self.attributes and not self.children:
            return text
        members = {**self.attributes, **self.children}
        if text:
            members[TEXT] = text
        both = self.attributes.keys() & self.children.keys()
        if not both:
            return members
        repeats: dict[str, int] = {}
        for name in sorted(both):
            keep(members, repeats, name, self.attributes[name])
        return Marked(members, frozenset({Flag.DUP_KEY}))


class _Builder:
    """Builds the document from the parser's events and holds its bounds."""

    def __init__(self, limits: Limits) -> None:
        self.document: Any = ""
        self.root = ""
        self._limits = limits
        self._open: list[_Element] = []
        self._values = 0

    def start(self, name: str, attributes: list[str]) -> None:
        """Opens an element; raises Undecodable `limit` beyond the values or levels of one body."""
        self._values += 1 + len(attributes) // 2
        if self._values > self._limits.values:
            raise Undecodable(f"more than {self._limits.values} values", code="limit")
        if len(self._open) >= self._limits.nesting:
            raise too_deep(self._limits)
        if not self._open:
            self.root = _local(name)
        self._open.append(_Element(attributes))

    def data(self, text: str) -> None:
        """Adds text to the innermost element."""
        self._open[-1].texts.append(text)

    def end(self, name: str) -> None:
        """Closes an element and adds it to the one around it."""
        value = self._open.pop().value()
        if self._open:
            self._open[-1].add(_local(name), value)
        else:
            self.document = value


def _local(name: str) -> str:
    """Returns a name without its namespace."""
    return name.rpartition(_SEPARATOR)[2]
