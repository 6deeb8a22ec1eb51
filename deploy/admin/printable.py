"""Text from outside for a terminal: what could move its cursor, change its colours or turn its direction is written out. Pure."""

import unicodedata


def printable(text: str, keep: str = "") -> str:
    r"""The text with each control, format and direction character as `\u` and four digits, as JSON has it, but for those in `keep`."""
    if text.isprintable():
        return text
    return "".join(char if _is_harmless(char) or char in keep else _written_out(char) for char in text)


def _is_harmless(char: str) -> bool:
    """Letters, digits, signs and spaces of any script; a space is no more than that, but Python calls only one printable."""
    return char.isprintable() or unicodedata.category(char) == "Zs"


def _written_out(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at] << 8 | units[at + 1]:04x}" for at in range(0, len(units), 2))
