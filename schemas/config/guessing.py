"""Recognises a secret that can be guessed, by zxcvbn's estimate of the number of guesses. Pure."""

from collections.abc import Iterable
from typing import Final

GUESSES_LOG10: Final = 12.0
"""Sixteen random hexadecimal digits hardly ever need fewer guesses than ten to this power."""
DISTINCT: Final = 8
"""The least number of different characters."""
_READ: Final = 64
"""Characters of a secret that are examined: the estimate takes longer for a longer text."""
_SHORTEST_KNOWN: Final = 3


def why_guessable(secret: str, known: Iterable[str] = ()) -> str:
    """Returns why a secret can be guessed, "" for a good one; `known` are texts that others know of the account."""
    from zxcvbn import zxcvbn  # noqa: PLC0415 - its word lists take 0.1 s to read, which only a secret is worth

    read = secret[:_READ]
    if len(set(read.lower())) < DISTINCT:
        return f"it has fewer than {DISTINCT} different characters"
    inputs = [text for text in known if len(text) >= _SHORTEST_KNOWN]
    if float(zxcvbn(read, user_inputs=inputs)["guesses_log10"]) < GUESSES_LOG10:
        return "it is made of well-known words, sequences, repetitions, or of what others know"
    return ""
