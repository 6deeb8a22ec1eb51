"""The form of a phone number for people who need not know it: its beginning, stars, its end. Pure."""

from typing import Final

_PLUS: Final = "+"
_STAR: Final = "*"
_HIDDEN: Final = 4
"""The least number of hidden digits, of which anybody can try ten thousand, and not call them all."""
_HEAD: Final = 5
"""Country code and first digits, as in +86130."""
_TAIL: Final = 4
_LONG: Final = 11
"""A shorter number shows half of its digits at most."""
_MOST_STARS: Final = 16


def masked(number: str | None) -> str:
    """Returns the number with stars for at least four digits, and for half of a short one; "" for None.

    A text that is no number, as the name in an address, is stars alone.
    """
    if not number:
        return ""
    digits = number.removeprefix(_PLUS)
    if not (digits.isascii() and digits.isdecimal()):
        return _STAR * min(len(number), _MOST_STARS)
    count = len(digits)
    shown = min(_HEAD + _TAIL, count - _HIDDEN) if count >= _LONG else count // 2
    tail = min(_TAIL, (shown + 1) // 2)
    stars = _STAR * min(count - shown, _MOST_STARS)
    return f"{number[:-count]}{digits[: shown - tail]}{stars}{digits[count - tail :]}"
