"""Small records of one vendor, made as they are sent: every tenth is an earlier one again, byte for byte.

Calls are of the hour before a given time. That matters: a call of long ago may have been known and forgotten, so the
sink looks for its rows first, which live calls do not need.
"""

from collections.abc import Iterator
from typing import Final

REPEATED_EVERY: Final = 10
PATH: Final = "/v1/nxcloud/cdr"
_SPREAD_S: Final = 3600
_TALK_S: Final = 300
_PREFIXES: Final = ("130", "131", "135", "136", "138", "139", "150", "151", "158", "159", "176", "186", "187", "189")
_STEP: Final = 2_654_435_761
_BODY: Final = (
    b'{"show_phone":"6298812345","direction":1,"end_time":"%d","record":0,"answer_time":"%d","sipid":"1812345",'
    b'"code":"86","start_time":"%d","duration":%d,"phone":"%b0000%04d","username":"6298812345",'
    b'"hangup_cause":"NORMAL_CLEARING","sessionid":"compare-%010d"}'
)


def body(number: int, before_s: int) -> bytes:
    """Returns the body of a call that ended before a time; 140,000 telephone numbers of nobody come in turn."""
    talk_s = 5 + number % _TALK_S
    start_s = before_s - 2 * _TALK_S - number // 50 % _SPREAD_S
    prefix = _PREFIXES[number // 10_000 % len(_PREFIXES)].encode()
    times = start_s + 4 + talk_s, start_s + 4, start_s
    return _BODY % (*times, talk_s, prefix, number % 10_000, number)


def bodies(count: int, before_s: int) -> Iterator[bytes]:
    """Yields so many bodies of calls that ended before a time; a repeat is of any body before it."""
    fresh = 0
    for number in range(count):
        if is_repeat(number):
            yield body(number * _STEP % fresh, before_s)
        else:
            yield body(fresh, before_s)
            fresh += 1


def is_repeat(number: int) -> bool:
    """True for the place of a repeat."""
    return number % REPEATED_EVERY == REPEATED_EVERY - 1


def distinct(count: int) -> int:
    """Returns the number of different bodies among so many."""
    return count - count // REPEATED_EVERY
