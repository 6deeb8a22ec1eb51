"""Counts refused requests by the address that they come from, so that a flood of them costs little. Pure.

Only requests that are refused anyway are counted, and beyond the bound they are refused more briefly: a vendor whose
true push comes from the same address, as through one gateway, is never stopped by what others send from there.
"""

import ipaddress
from collections import OrderedDict
from typing import Final

from ingress.quota.buckets import TokenBucket

MOST_ADDRESSES: Final = 10_000
"""Addresses that are remembered; the one that was refused longest ago is forgotten first."""
_V6_PREFIX: Final = 64
"""Bits of an IPv6 address that name a network: whoever has one has all addresses in it."""


class UnknownCallers:
    """The refusals of this process by address."""

    def __init__(self, per_minute: int) -> None:
        """0 is without bound."""
        self._per_minute = per_minute
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def allow(self, per_minute: int) -> None:
        """Sets the bound anew; a new one begins to count from nothing."""
        if per_minute != self._per_minute:
            self._per_minute = per_minute
            self._buckets.clear()

    def too_many(self, address: str, now_s: float) -> bool:
        """Counts a refusal; returns True when the address had more of them in the last minute than may be."""
        if not self._per_minute:
            return False
        key = network_of(address)
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = TokenBucket(self._per_minute / 60, self._per_minute, now_s)
            if len(self._buckets) > MOST_ADDRESSES:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(key)
        return not bucket.take(now_s)


def network_of(address: str) -> str:
    """Returns what counts as one caller: an IPv4 address, mapped or not, or the /64 network of an IPv6 address.

    Text that is no address counts as one caller as well.
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, _V6_PREFIX), strict=False))
