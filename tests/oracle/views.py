"""Views as a query names them: those with parameters get values that no row of a test is outside of."""

import re
from typing import Final

_BEGIN: Final = "2000-01-01 00:00:00"
_END: Final = "2100-01-01 00:00:00"
_VALUES: Final = {
    "from": _BEGIN,
    "to": _END,
    "time_zone": "Asia/Kathmandu",
    "local_from": _BEGIN,
    "local_to": _END,
}
_PARAMETER: Final = re.compile(r"\{(\w+):")
NOT_REPEATABLE: Final = ("ingested_at", "freshness_p50_ms", "freshness_p99_ms")
"""Columns that say when a row was written, which differs when it is written again."""


def named(view: str, definition: str) -> str:
    """Returns the name of a view with a value for each parameter that its definition has."""
    names = dict.fromkeys(_PARAMETER.findall(definition))
    given = ", ".join(f"{name} = '{_VALUES[name]}'" for name in names)
    return f"{view}({given})" if given else view
