"""Reads X-Forwarded-Client-Cert, in which Envoy and service meshes tell the certificate of their caller. Pure.

The header is a list of elements, one of each proxy, the first proxy's first, as `By=...;Subject="CN=a,O=b";URI=...`.
Envoy writes the names of a certificate (URI, DNS) as they are, without quotes, so a certificate can hold what looks
like another pair or another element. Therefore an element with two subjects, and a list with another number of elements
than the proxies write, tell nobody's subject.
"""

import re
from typing import Final

_PAIR: Final = re.compile(
    r'(?P<key>[A-Za-z]+)=(?:(?P<quoted>"(?:[^"\\]|\\.)*")|(?P<bare>[^",;]*))(?P<end>;|[ \t]*,[ \t]*|\Z)'
)
_SUBJECT: Final = "subject"

Pairs = tuple[tuple[str, str], ...]
"""Keys in lower case, each with its value as it was written, in its quotes where it has them."""


def elements(header: str) -> tuple[Pairs, ...]:
    """Returns the elements of the header, () for a text that is not in that form."""
    found: list[Pairs] = []
    pairs: list[tuple[str, str]] = []
    at = 0
    while match := _PAIR.match(header, at):
        pairs.append((match["key"].lower(), match["quoted"] or match["bare"]))
        if match["end"] == ";":
            at = match.end()
            continue
        found.append(tuple(pairs))
        pairs = []
        if not match["end"]:
            return tuple(found)
        at = match.end()
    return ()


def subject_in(header: str, proxies: int) -> str:
    """Returns the subject of the caller of the first of so many proxies, as it stands in its quotes; "" for none.

    A backslash and what follows it stay as they are, as in RFC 4514: two subjects are never spelt alike.
    """
    found = elements(header)
    if len(found) != proxies:
        return ""
    subjects = [value for name, value in found[0] if name == _SUBJECT]
    if len(subjects) != 1 or not subjects[0].startswith('"'):
        return ""
    return subjects[0][1:-1]
