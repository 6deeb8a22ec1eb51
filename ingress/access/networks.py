"""Networks that addresses may come from: IPv4, IPv6, and IPv4 written as IPv6. Pure: no I/O, no clock."""

import ipaddress
from collections.abc import Iterable

from schemas.config.checks import Network, network


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Returns the networks of settings that were checked."""
    return tuple(map(network, texts))


def inside(address: str, among: tuple[Network, ...]) -> bool:
    """True when an address, with or without a port, is in one of the networks; text that is no address is in none."""
    try:
        client = ipaddress.ip_address(_without_port(address))
    except ValueError:
        return False
    if isinstance(client, ipaddress.IPv6Address) and client.ipv4_mapped:
        client = client.ipv4_mapped
    return any(client in each for each in among)


def _without_port(address: str) -> str:
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address.partition(":")[0] if address.count(":") == 1 else address
