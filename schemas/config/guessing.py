"""Tells a secret that people guess from one that was drawn by lot, by zxcvbn's estimate of how many guesses it takes. Pure."""

from collections.abc import Iterable
from typing import Final

GUESSES_LOG10: Final = 12.0
"""Sixteen hexadecimal digits drawn by lot hardly ever need fewer guesses than ten to this power."""
DISTINCT: Final = 8
"""So many different characters must be there."""
_READ: Final = 64
"""As much of a secret is looked at: the estimate takes longer the longer the text is."""
_SHORTEST_KNOWN: Final = 3


def why_guessable(secret: str, known: Iterable[str] = ()) -> str:
    """Say what makes a secret guessable, "" for one that is not; `known` is what a guesser knows of this very account."""
    from zxcvbn import zxcvbn  # noqa: PLC0415 - its word lists take 0.1 s to read, which only a secret is worth

    read = secret[:_READ]
    if len(set(read.lower())) < DISTINCT:
        return f"it has fewer than {DISTINCT} different characters"
    inputs = [text for text in known if len(text) >= _SHORTEST_KNOWN]
    if float(zxcvbn(read, user_inputs=inputs)["guesses_log10"]) < GUESSES_LOG10:
        return "it is made of well-known words, sequences, repetitions, or of what others know"
    return ""
