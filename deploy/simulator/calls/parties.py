"""Numbers, ids and names out of a random source: valid in their numbering plans, and belonging to nobody.

Sweden, Australia and the USA keep ranges for fiction. China keeps none: its numbers here have 0000 where an exchange's
code stands, as in forms and manuals.
"""

import random
import uuid
from typing import Final

_CN_MOBILE: Final = ("130", "131", "135", "136", "138", "139", "150", "151", "158", "159", "176", "186", "187", "189")
_FICTION: Final = (
    ("1", tuple(f"202555{n:04}" for n in range(100, 200))),
    ("46", tuple(f"7017406{n:02}" for n in range(5, 100))),
    ("61", ("491570006", "491570156", "491570157", "491570158", "491570159")),
)
_NAMES: Final = ("first mobile", "前台一号", "Mobile 7", "客服-小李", "shop & café", "夜班")


def seeded(seed: str) -> random.Random:
    """Returns a random source that gives the same stream for the same text on every machine."""
    return random.Random(seed)  # noqa: S311 - repeatable on purpose, no secret comes of it


def cn_mobile(rng: random.Random) -> str:
    """Returns a Chinese mobile number in E.164."""
    return f"+86{rng.choice(_CN_MOBILE)}0000{rng.randrange(10_000):04}"


def two_mobiles(rng: random.Random) -> tuple[str, str]:
    """Returns two different Chinese mobile numbers in E.164."""
    first = cn_mobile(rng)
    second = cn_mobile(rng)
    while second == first:
        second = cn_mobile(rng)
    return first, second


def foreign_mobile(rng: random.Random) -> tuple[str, str]:
    """Returns a country code and a national number of a range that is kept for fiction."""
    code, numbers = rng.choice(_FICTION)
    return code, rng.choice(numbers)


def privacy_number(rng: random.Random) -> str:
    """Returns a Chinese virtual number in E.164."""
    return f"+861651288{rng.randrange(10_000):04}"


def fixed_line(rng: random.Random) -> str:
    """Returns a Beijing number with its trunk zero, as a platform displays it."""
    return f"0105550{rng.randrange(10_000):04}"


def national(number: str) -> str:
    """Returns a Chinese number without its country code."""
    return number.removeprefix("+86")


def name(rng: random.Random) -> str:
    """Returns a name that a customer gives to a softphone."""
    return rng.choice(_NAMES)


def call_uuid(rng: random.Random) -> str:
    """Returns a random UUID of version 4, as FreeSWITCH makes them."""
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def digits(rng: random.Random, count: int) -> str:
    """Returns `count` decimal digits, of which the first is not zero."""
    return str(rng.randrange(10 ** (count - 1), 10**count))


def hexadecimal(rng: random.Random, count: int) -> str:
    """Returns `count` hexadecimal digits."""
    return f"{rng.getrandbits(4 * count):0{count}x}"
