"""The section of the settings on figures, and the check of the names of time zones. Pure but for the zones' files."""

from typing import Final
from zoneinfo import available_timezones

import msgspec

from schemas.errors import SettingsError

UTC_ZONE: Final = "UTC"
_NO_ZONES: Final = frozenset({"localtime", "Factory"})
"""Names of the list that stand for no certain zone: the machine's own, and none."""


class FiguresSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The figures of calls (`v_kpi_*`) that the sink computes."""

    time_zone: str = UTC_ZONE
    """IANA name of the zone, as `Asia/Kolkata`, whose days and hours the views `v_kpi_*_local` have for accounts that
    set no `time_zone`, and for calls of no account. A change is computed anew for all figures that are kept."""


def check_time_zone(name: str, path: str) -> None:
    """Raises `SettingsError` with the path of a time zone that is no IANA name."""
    if name != UTC_ZONE and name not in available_timezones() - _NO_ZONES:
        raise SettingsError(f"an IANA time zone is wanted, as Asia/Kolkata, not {name!r} - at `{path}`")
