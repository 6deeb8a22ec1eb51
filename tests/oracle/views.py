"""Views as a query names them: those with parameters get values that no row of a test is outside of."""

import re
from typing import Final

_VALUES: Final = {"from": "2000-01-01 00:00:00", "to": "2100-01-01 00:00:00"}
_PARAMETER: Final = re.compile(r"\{(\w+):")
NOT_REPEATABLE: Final = ("ingested_at", "freshness_p50_ms", "freshness_p99_ms")
"""Columns that say when a row was written, which differs when it is written again."""


def named(view: str, definition: str) -> str:
    """Returns the name of a view with a value for each parameter that its definition has."""
    names = dict.fromkeys(_PARAMETER.findall(definition))
    given = ", ".join(f"{name} = '{_VALUES[name]}'" for name in names)
    return f"{view}({given})" if given else view
