"""The time zone of each account, as the settings say. Pure."""

from collections.abc import Iterator, Mapping
from typing import Final

from schemas.config.figures import check_time_zone
from schemas.config.settings import Settings
from schemas.errors import SettingsError

Account = tuple[str, str]
"""A vendor, and the name that the column `account` has for an account of ours there."""
DEFAULT: Final[Account] = ("", "")
"""Stands for every account that sets no zone, and for calls of no account."""


def account_zones(settings: Settings) -> Mapping[Account, str]:
    """Returns the IANA name of the zone of each account that sets one, and of `DEFAULT`."""
    return {DEFAULT: settings.figures.time_zone} | {account: zone for _, account, zone in _set(settings)}


def check_zones(settings: Settings) -> None:
    """Raises `SettingsError` with the path of a zone that there is not, or of a second one of the same account."""
    check_time_zone(settings.figures.time_zone, "$.figures.time_zone")
    zones: dict[Account, str] = {}
    for path, account, zone in _set(settings):
        check_time_zone(zone, path)
        if zones.setdefault(account, zone) != zone:
            raise SettingsError(f"the account has another zone already, {zones[account]} - at `{path}`")


def _set(settings: Settings) -> Iterator[tuple[str, Account, str]]:
    """Returns the path, the account and the name of every zone that is set."""
    for index, account in enumerate(settings.accounts):
        if account.time_zone:
            yield f"$.accounts[{index}].time_zone", (account.vendor, account.name), account.time_zone
    for index, polled in enumerate(settings.poll.accounts):
        if polled.time_zone:
            name = polled.account or polled.app_id
            yield f"$.poll.accounts[{index}].time_zone", (polled.vendor, name), polled.time_zone
