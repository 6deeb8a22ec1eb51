"""Local time in SQL: the zone of an account, and the intervals of its clock that an instant is in. Pure.

ClickHouse's time-zone functions want a constant zone, so an expression has a branch for each zone that is set. A clock
is taken to change at multiples of five minutes, as those of all zones have done since 2012: five minutes are in the
offset of their first instant. Offsets themselves are multiples of fifteen minutes.
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from schemas.config.figures import UTC_ZONE
from schemas.config.figures.zones import DEFAULT, Account

LOCAL: Final = ("time_zone", "utc_offset_s", "local_start_at", "length_s", "is_local")
"""Columns of a row of figures on its interval in local time."""
_STEPS: Final = "range(0, 3600, 300)"
_QUARTERS: Final = "range(72000, 100801, 900)"
"""Distances in s from the beginning of a day at which the next one may begin: 20 to 28 hours."""


class Zones(msgspec.Struct, frozen=True):
    """The zone of each account that has one, and of `DEFAULT`."""

    of: Mapping[Account, str]

    @property
    def names(self) -> tuple[str, ...]:
        """All zones, in the order of their names."""
        return tuple(sorted(set(self.of.values())))

    def zone(self, vendor: str, account: str) -> str:
        """Returns the expression of the zone of an account, whose columns are given."""
        default = self.of[DEFAULT]
        branches = []
        for name in self.names:
            listed = [
                f"({_text(v)}, {_text(a)})" for (v, a), zone in sorted(self.of.items()) if zone == name != default
            ]
            if listed:
                branches.append(f"({vendor}, {account}) IN ({', '.join(listed)}), {_text(name)}")
        return f"multiIf({', '.join(branches)}, {_text(default)})" if branches else f"materialize({_text(default)})"

    def by_zone(self, zone: str, expression: Callable[[str], str]) -> str:
        """Returns the expression of what `expression` says for the zone, by the zone that the column `zone` names."""
        *others, last = self.names
        branches = [f"{zone} = {_text(name)}, {expression(_text(name))}" for name in others]
        return f"multiIf({', '.join(branches)}, {expression(_text(last))})" if branches else expression(_text(last))

    def offset(self, zone: str, instant: str) -> str:
        """Returns the expression of the seconds of a zone's clock ahead of UTC at an instant."""
        return self.by_zone(zone, lambda name: f"timeZoneOffset(toTimeZone({instant}, {name}))")

    def day(self, zone: str, instant: str) -> str:
        """Returns the expression of the instant (UTC) at which the local day of an instant begins."""
        return self.by_zone(zone, lambda name: f"toDateTime(toStartOfDay({instant}, {name}), 'UTC')")

    def day_length(self, zone: str, day: str, date: str) -> str:
        """Returns the expression of the seconds of a local day, by the instant at which it begins and its date."""

        def length(name: str) -> str:
            return f"arrayFirst(s -> toDate(toTimeZone({day} + s, {name})) != {date}, {_QUARTERS})"

        return self.by_zone(zone, length)

    def offsets_in_hour(self, zone: str, start: str) -> str:
        """Returns the expression of the offsets at each five minutes of an hour."""
        return self.by_zone(
            zone, lambda name: f"arrayMap(s -> timeZoneOffset(toTimeZone({start} + s, {name})), {_STEPS})"
        )


UTC_ALONE: Final = Zones({DEFAULT: UTC_ZONE})
"""No zone is set."""


def _text(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
