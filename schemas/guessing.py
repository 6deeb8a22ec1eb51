"""Tells a secret that people guess from one that was drawn by lot: how many of its characters follow from nothing.

A secret is read as a row of pieces. A piece that is a well-known word, a run of the alphabet or of a keyboard, a part of what
others know, or a repetition of what stood before costs as much as two free characters, however long it is. Pure.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

FREE_CHARS: Final = 12
"""So many characters must follow from nothing: of sixteen drawn by lot hardly one in a thousand has fewer."""
DISTINCT: Final = 8
"""So many different characters must be there."""
_PIECE: Final = 2
_REPEATED: Final = 3
_READ: Final = 64
"""As much of a secret is looked at."""
_STRIDES: Final = (1, 2, 3, 4)
"""`a1b2c3` is two runs, one woven into the other."""
_LEET: Final = (str.maketrans("4301578", "aeoistb"), str.maketrans("4301578", "aeolstb"))


class Known(msgspec.Struct, frozen=True):
    """A text that guessers have, and how long a part of it counts."""

    text: str
    at_least: int


_WORDS: Final = [
    "password",
    "passwd",
    "passwort",
    "passphrase",
    "passcode",
    "secret",
    "geheim",
    "mima",
    "woaini",
    "woaimima",
    "iloveyou",
    "admin",
    "administrator",
    "root",
    "user",
    "guest",
    "login",
    "letmein",
    "welcome",
    "changeme",
    "changethis",
    "replaceme",
    "fixme",
    "default",
    "example",
    "sample",
    "demo",
    "test",
    "testing",
    "temp",
    "temporary",
    "dummy",
    "foobar",
    "foo",
    "bar",
    "baz",
    "hello",
    "world",
    "master",
    "monkey",
    "dragon",
    "sunshine",
    "princess",
    "football",
    "baseball",
    "shadow",
    "superman",
    "batman",
    "trustno",
    "access",
    "token",
    "apikey",
    "key",
    "private",
    "public",
    "secure",
    "security",
    "safe",
    "unsafe",
    "callweave",
    "callback",
    "callbacks",
    "webhook",
    "ingress",
    "vendor",
    "account",
    "accounts",
    "main",
    "shop",
    "office",
    "telephone",
    "phone",
    "call",
    "calls",
    "voice",
    "cloud",
    "company",
    "server",
    "service",
    "api",
    "http",
    "https",
    "www",
    "com",
    "prod",
    "production",
    "staging",
    "stage",
    "dev",
    "development",
    "local",
    "localhost",
    "china",
    "beijing",
    "shanghai",
    "shenzhen",
    "hangzhou",
    "germany",
    "berlin",
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
    "monday",
    "friday",
    "summer",
    "winter",
    "love",
    "god",
    "money",
    "baby",
    "angel",
    "michael",
    "jordan",
    "charlie",
    "thomas",
    "hunter",
    "pass",
    "word",
]
_RUNS: Final = (
    "abcdefghijklmnopqrstuvwxyzabc",
    "01234567890123456789",
    "acegikmoqsuwyacegik",
    "bdfhjlnprtvxzbdfhjl",
    "02468024680",
    "13579135791",
    "qwertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "qwertzuiop",
    "azertyuiop",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
    "q1w2e3r4t5y6u7i8o9p0",
    "1q2w3e4r5t6y7u8i9o0p",
)


class Index(msgspec.Struct, frozen=True):
    """Known texts by the shortest parts of them that count."""

    texts: Mapping[str, tuple[str, ...]]
    """Such a part to the texts that it stands in."""
    lengths: frozenset[int]
    """Of those parts."""


def _indexed(known: Iterable[Known]) -> Index:
    index: dict[str, list[str]] = {}
    for each in known:
        for start in range(len(each.text) - each.at_least + 1):
            index.setdefault(each.text[start : start + each.at_least], []).append(each.text)
    return Index({part: tuple(texts) for part, texts in index.items()}, frozenset(map(len, index)))


_OF_ALL: Final = _indexed(
    (
        *(Known(word, len(word)) for word in _WORDS),
        *(Known(text, _REPEATED) for run in _RUNS for text in (run, run[::-1])),
        *(Known(f"{century}{year:02}", 4) for century in (19, 20) for year in range(100)),
    )
)


def why_guessable(secret: str, known: Iterable[Known] = ()) -> str:
    """What makes a secret guessable, "" for one that is not; `known` is what a guesser knows of this very account."""
    read = secret[:_READ].lower()
    if len(set(read)) < DISTINCT:
        return f"it has fewer than {DISTINCT} different characters"
    own = _indexed(Known(each.text.lower(), each.at_least) for each in known if each.at_least >= _REPEATED)
    if min(_free(spelt, (_OF_ALL, own)) for spelt in {read, *(read.translate(leet) for leet in _LEET)}) < FREE_CHARS:
        return "it is made of well-known words, sequences, repetitions, or of what others know"
    return ""


def _free(text: str, known: tuple[Index, ...]) -> int:
    """The free characters of a text, read in the way that leaves the fewest."""
    return min(sum(_cheapest(text[start::stride], known) for start in range(stride)) for stride in _STRIDES)


def _cheapest(text: str, known: tuple[Index, ...]) -> int:
    cost = [0] + [len(text)] * len(text)
    for start in range(len(text)):
        cost[start + 1] = min(cost[start + 1], cost[start] + 1)
        texts = {
            whole
            for index in known
            for length in index.lengths
            for whole in index.texts.get(text[start : start + length], ())
        }
        longest = max(_repeated(text, start), max((_as_far(whole, text, start) for whole in texts), default=0))
        for end in range(start + 1, start + longest + 1):
            cost[end] = min(cost[end], cost[start] + _PIECE)
    return cost[-1]


def _as_far(whole: str, text: str, start: int) -> int:
    """How many characters from `start` on are a part of a text."""
    length = 0
    while start + length < len(text) and text[start : start + length + 1] in whole:
        length += 1
    return length


def _repeated(text: str, start: int) -> int:
    """How many characters from `start` on stood before, forwards or backwards; 0 when too few."""
    length, backwards = 0, text[:start][::-1]
    while start + length < len(text):
        piece = text[start : start + length + 1]
        if piece not in text[: start + length] and piece not in backwards:
            break
        length += 1
    return length if length >= _REPEATED else 0
