"""Networks of IPv4 and IPv6, and IPv4 addresses that are written as IPv6."""

import pytest

from ingress.access.networks import inside, networks


@pytest.mark.parametrize(
    ("address", "network", "wanted"),
    [
        pytest.param("192.0.2.9", "192.0.2.0/24", True, id="IPv4"),
        pytest.param("192.0.3.9", "192.0.2.0/24", False, id="another IPv4"),
        pytest.param("192.0.2.9:5060", "192.0.2.0/24", True, id="IPv4 with a port"),
        pytest.param("::ffff:192.0.2.9", "192.0.2.0/24", True, id="a mapped address in a network of IPv4"),
        pytest.param("192.0.2.9", "::ffff:192.0.2.0/120", True, id="an address in a mapped network"),
        pytest.param("::ffff:192.0.2.9", "::ffff:192.0.2.0/120", True, id="a mapped address in a mapped network"),
        pytest.param("192.0.3.9", "::ffff:192.0.2.0/120", False, id="an address beside a mapped network"),
        pytest.param("192.0.2.9", "::/0", False, id="IPv4 in all of IPv6"),
        pytest.param("2001:db8::7", "2001:db8::/32", True, id="IPv6"),
        pytest.param("[2001:db8::7]:443", "2001:db8::/32", True, id="IPv6 with a port"),
        pytest.param("fe80::1%eth0", "fe80::/10", True, id="IPv6 with a zone"),
        pytest.param("2001:db9::7", "2001:db8::/32", False, id="another IPv6"),
        pytest.param("", "0.0.0.0/0", False, id="no address"),
        pytest.param("192.0.2.9, 192.0.2.8", "192.0.2.0/24", False, id="two addresses"),
        pytest.param("192.0.2.09", "192.0.2.0/24", False, id="a leading zero"),
    ],
)
def test_an_address_is_in_its_network(address: str, network: str, wanted: object) -> None:
    assert inside(address, networks([network])) is wanted
