"""Decides whether an account may push now: its rate and its cap of a day. Pure: the time is an argument.

A push beyond them gets the vendor's retry answer. A vendor that calls once would lose that call, so its accounts are
bounded only where the account itself sets a bound. Each process of the ingress counts for itself, and from nothing
after its start: with several, up to as many times as much is let in. Counts survive a change of settings.
"""

from datetime import datetime
from typing import Final

import msgspec

from ingress.quota.buckets import DayCount, TokenBucket
from schemas.config.settings import Account, IngressSettings
from schemas.errors import Unavailable
from schemas.vendor_kit.contract import Vendor

BURST_S: Final = 10.0
"""Seconds of an account's rate that may come at once: platforms send what they queued after an outage."""


class Quota(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds of one account; None is without bound."""

    per_s: float | None = None
    per_day: int | None = None


def quota_of(account: Account, vendor: Vendor, general: IngressSettings) -> Quota:
    """Returns the bounds of an account: its own where it sets them, else the general ones unless the vendor calls once.

    0 is without bound.
    """
    bounded = vendor.sends_at_most != 1
    per_s = account.rate_per_s if account.rate_per_s is not None else general.account_rate_per_s if bounded else 0
    per_day = account.daily_cap if account.daily_cap is not None else general.account_daily_cap if bounded else 0
    return Quota(per_s=per_s or None, per_day=per_day or None)


class AccountQuotas:
    """The counts of all accounts in this process."""

    def __init__(self) -> None:
        self._buckets: dict[tuple[str, str], tuple[float, TokenBucket]] = {}
        self._days: dict[tuple[str, str], DayCount] = {}

    def require(self, account: Account, quota: Quota, now: datetime) -> None:
        """Counts a push; raises Unavailable `rate` or `daily_cap` when the account is beyond a bound."""
        key = (account.vendor, account.name)
        today = now.date()
        if quota.per_day is not None and not self._day(key).below(quota.per_day, today):
            raise Unavailable(f"the account has pushed {quota.per_day} times today", code="daily_cap")
        if quota.per_s is not None and not self._bucket(key, quota.per_s, now.timestamp()).take(now.timestamp()):
            raise Unavailable(f"the account pushes more than {quota.per_s:g} times a second", code="rate")
        if quota.per_day is not None:
            self._day(key).add(today)

    def _day(self, key: tuple[str, str]) -> DayCount:
        return self._days.setdefault(key, DayCount())

    def _bucket(self, key: tuple[str, str], per_s: float, now_s: float) -> TokenBucket:
        kept = self._buckets.get(key)
        if kept is None or kept[0] != per_s:
            kept = self._buckets[key] = (per_s, TokenBucket(per_s, max(1.0, per_s * BURST_S), now_s))
        return kept[1]
