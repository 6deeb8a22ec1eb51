"""Extreme values for fields: the ends of types, columns, clocks and calendars, in all their spellings."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

from tests.property.real_rows.kinds import Kind

INSTANTS: Final = (
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC),
    datetime(2000, 1, 1, tzinfo=UTC),
    datetime(2025, 1, 1, 11, 19, 38, tzinfo=UTC),
    datetime(2038, 1, 19, 3, 14, 8, tzinfo=UTC),
    datetime(2106, 2, 7, 6, 28, 16, tzinfo=UTC),
    datetime(2262, 4, 11, 23, 47, 17, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
)
NUMBERS: Final = (
    0, -1, 1, 86_400, 604_800, 604_801, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53, 2**63 - 1, 2**63, 2**64, 10**12, 10**18,
)  # fmt: skip
AMOUNTS: Final = (
    "0.000001", "0.0000001", "-0.00", "99999.999999", "100000", "100000.000001", "500000000000", "999999999999.999999",
    "1e9", "1e18", "1e400", "1e-400", "-1e12", "NaN", "Infinity", "9" * 40, "9" * 4400,
)  # fmt: skip
OFFSETS: Final = ("2026-03-01 08:00:00+99:99", "2026-03-01T08:00:00-23:59", "2026-02-30 08:00:00", "20260301080000")


def values(kind: Kind, name: str) -> list[Any]:
    """All values for a field: as a number, as text, and as a bare JSON number where text marks one."""
    numbers = [form for number in NUMBERS for form in (number, str(number))]
    if name in kind.times:
        return [*numbers, *map(kind.spell, INSTANTS), *OFFSETS]
    return [*numbers, *AMOUNTS, *(f"bare:{text}" for text in AMOUNTS if text[-1].isdigit())]


def bare(body: bytes) -> bytes:
    """Turn texts that are marked as bare numbers into bare numbers."""
    parts = body.split(b'"bare:')
    return parts[0] + b"".join(part.replace(b'"', b"", 1) for part in parts[1:])


def summary(found: Iterable[object], examples: int = 8) -> str:
    """Summarise what was found: the number and some examples; "" for none."""
    lines = [str(one) for one in found]
    return "\n".join([f"{len(lines)} in all", *lines[:examples]]) if lines else ""
