"""The bounds of one body, which is compared with them before any work is done on it. Pure.

Beyond a bound a body is a dead letter (`limit`, `inflate`), or a field is NULL and flagged. Another sender never pays
for it (guarantee 10).
"""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

Count = Annotated[int, Meta(ge=1)]


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `limits` of the settings: the bounds of one body."""

    number_digits: Count = 128
    """Digits of a JSON number, written out without an exponent; a number with more stays the text that was sent."""
    text_chars: Count = 65_536
    """Characters of one text value; a longer one is cut and flagged."""
    key_chars: Count = 256
    """Characters of a key; a longer one is cut and flagged."""
    nesting: Count = 64
    """Depth of objects and lists; a deeper body is one dead letter."""
    elements: Count = 5_000
    """Elements of one body; a body with more is one dead letter."""
    values: Count = 160_000
    """Scalars, objects and lists of one body, counted before they are built; a body with more is one dead letter."""
    keys: Count = 1_000
    """Keys of one element or form; undocumented ones beyond it are dropped, and the element is flagged."""
    repair_chars: Count = 2 * 1024 * 1024
    """Longest text that is repaired; a longer one must be valid JSON."""
    inflate_members: Count = 64
    """Compressed members in one body."""
    inflate_layers: Count = 2
    """Nested content encodings of one body."""
    inflate_bytes: Count = 16 * 1024 * 1024
    """Size of a body after inflating."""
    pulled_elements: Count = 100_000
    """The same as `elements` for a pulled page: only the vendor can send one, and a busy hour is no attack."""
    pulled_values: Count = 4_000_000
    """The same as `values` for a pulled page."""
    pulled_inflate_bytes: Count = 64 * 1024 * 1024
    """The same as `inflate_bytes` for a pulled page."""
    cached_chars: Count = 64
    """Length of a text that caches keep; longer ones are computed each time."""
    header_chars: Count = 256
    """Characters that are kept of one HTTP header."""

    def for_pages(self) -> "Limits":
        """Returns the bounds of a pulled page."""
        return msgspec.structs.replace(
            self,
            elements=self.pulled_elements,
            values=self.pulled_values,
            inflate_bytes=self.pulled_inflate_bytes,
        )


DEFAULT: Final = Limits()
