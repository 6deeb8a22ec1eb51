"""The bounds of what one body may ask of us, all in one place: nothing is worked on before it was held against them.

What is beyond a bound is a dead letter of its body (`limit`, `inflate`), or a field that is NULL and flagged; it never
costs another sender anything. Pure.
"""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

Count = Annotated[int, Meta(ge=1)]


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `limits` of the settings."""

    number_digits: Count = 128
    """Digits of a JSON number, written out; one with more, or with an exponent that asks for more, stays the text it was sent as."""
    text_chars: Count = 65_536
    """Characters of one text value; what is longer is cut there and flagged."""
    key_chars: Count = 256
    """Characters of a key; what is longer is cut there and flagged."""
    nesting: Count = 64
    """Objects and lists inside each other; a body with more is one dead letter."""
    elements: Count = 5_000
    """Elements of one body; a body with more is one dead letter."""
    values: Count = 160_000
    """Scalars, objects and lists of one body, counted before any is made; a body with more is one dead letter."""
    keys: Count = 1_000
    """Keys of one element, and parameters of one form; undocumented ones beyond it are left out, and the element is flagged."""
    repair_chars: Count = 2 * 1024 * 1024
    """Text longer than this must be valid JSON: it is not repaired."""
    inflate_members: Count = 64
    """Compressed members that follow one another in one body."""
    inflate_layers: Count = 2
    """Content encodings around each other."""
    inflate_bytes: Count = 16 * 1024 * 1024
    """What a body may inflate to."""
    pulled_elements: Count = 100_000
    """As `elements`, of a page that we asked a vendor for: nobody else can send one, and a busy hour is no attack."""
    pulled_values: Count = 4_000_000
    """As `values`, of such a page."""
    pulled_inflate_bytes: Count = 64 * 1024 * 1024
    """As `inflate_bytes`, of such a page."""
    cached_chars: Count = 64
    """Length of a text that a cache may keep: longer ones are worked out anew each time."""
    header_chars: Count = 256
    """Of one HTTP header as much is kept."""

    def for_pages(self) -> "Limits":
        """The bounds of a page that was pulled."""
        return msgspec.structs.replace(
            self,
            elements=self.pulled_elements,
            values=self.pulled_values,
            inflate_bytes=self.pulled_inflate_bytes,
        )


DEFAULT: Final = Limits()
