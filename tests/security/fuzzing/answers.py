"""Reads what a fuzzed server answered: the statuses, and which answers of 5xx are a refusal that asks to send again."""

import re
from typing import Final, NamedTuple

from schemas.vendors import VENDORS

_ANSWER: Final = re.compile(rb"HTTP/\d\.\d (\d{3}) [^\r\n]*\r\n((?:[^\r\n]+\r\n)*)\r\n")
_LENGTH: Final = re.compile(rb"^Content-Length: *(\d+)\r$", re.IGNORECASE | re.MULTILINE)
_AGAIN: Final = frozenset({(vendor.retry.status, vendor.retry.body) for vendor in VENDORS.values()})
"""Status and body of the answers by which a vendor is asked to send again."""


class Answers(NamedTuple):
    """The answers on one connection."""

    statuses: tuple[int, ...]
    again: int
    """Answers that ask a vendor to send again. The metrics say why: under overload it is as documented."""
    broken: tuple[bytes, ...]
    """Other answers of 5xx, in full."""


def answers(heard: bytes) -> Answers:
    """Returns the answers in these bytes; the last may break off in its body."""
    statuses, again, broken = list[int](), 0, list[bytes]()
    for found in _ANSWER.finditer(heard):
        status = int(found[1])
        statuses.append(status)
        if status < 500:
            continue
        length = _LENGTH.search(found[2])
        body = heard[found.end() :][: int(length[1]) if length else None]
        if (status, body) in _AGAIN:
            again += 1
        else:
            broken.append(found[0] + body)
    return Answers(tuple(statuses), again, tuple(broken))
