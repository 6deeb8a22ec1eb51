"""Text from outside, made safe for a terminal: characters that could control it are escaped. Pure."""

import unicodedata


def printable(text: str, keep: str = "") -> str:
    r"""Returns the text with control, format and direction characters, except those in `keep`, as JSON escapes them."""
    if text.isprintable():
        return text
    return "".join(char if _is_harmless(char) or char in keep else _escaped(char) for char in text)


def _is_harmless(char: str) -> bool:
    """True for letters, digits, signs and spaces of any script; Python calls only one space printable."""
    return char.isprintable() or unicodedata.category(char) == "Zs"


def _escaped(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at] << 8 | units[at + 1]:04x}" for at in range(0, len(units), 2))
