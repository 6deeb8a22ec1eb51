"""Refused requests by address: bounded in number and in memory."""

import pytest

from ingress.quota.unknown_callers import MOST_ADDRESSES, UnknownCallers, network_of


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        pytest.param("192.0.2.1", "192.0.2.1", True, id="one address"),
        pytest.param("192.0.2.1", "192.0.2.2", False, id="two addresses"),
        pytest.param("192.0.2.1", "::ffff:192.0.2.1", True, id="an IPv4 address written as IPv6"),
        pytest.param("2001:db8::1", "2001:db8::ffff:1", True, id="two addresses of one IPv6 network"),
        pytest.param("2001:db8:0:1::1", "2001:db8:0:2::1", False, id="two IPv6 networks"),
        pytest.param("fe80::1%eth0", "fe80::2%eth1", True, id="with a zone"),
        pytest.param("", "unix:", True, id="no addresses"),
    ],
)
def test_who_is_one_caller(one: str, other: str, *, alike: bool) -> None:
    assert (network_of(one) == network_of(other)) is alike


def test_beyond_the_bound_an_address_is_too_many_and_another_is_not() -> None:
    callers = UnknownCallers(per_minute=3)

    assert [callers.too_many("192.0.2.1", 0.0) for _ in range(5)] == [False] * 3 + [True] * 2
    assert not callers.too_many("192.0.2.2", 0.0)
    assert not callers.too_many("192.0.2.1", 20.0)
    assert callers.too_many("192.0.2.1", 20.0)


def test_0_is_without_bound() -> None:
    callers = UnknownCallers(per_minute=0)
    assert not any(callers.too_many("192.0.2.1", 0.0) for _ in range(1000))


def test_memory_is_bounded() -> None:
    callers = UnknownCallers(per_minute=1)
    addresses = [f"10.0.{number >> 8}.{number & 255}" for number in range(MOST_ADDRESSES + 500)]
    for address in addresses:
        callers.too_many(address, 0.0)

    assert len(callers._buckets) == MOST_ADDRESSES
    assert callers.too_many(addresses[-1], 0.0), "the newest are remembered"
    assert not callers.too_many(addresses[0], 0.0), "the oldest are forgotten"
