"""The sender of a request: proxies that are named are believed, and nobody else."""

import pytest

from ingress.http.proxies import Proxies
from schemas.config.settings import IngressSettings

PROXY, OTHER = "192.0.2.7", "203.0.113.9"
NAMED = ("192.0.2.0/29", "2001:db8::/126")


@pytest.mark.parametrize(
    ("networks", "count", "peer", "said", "sender"),
    [
        pytest.param((), 0, OTHER, "198.51.100.1", OTHER, id="no proxy: nothing is believed"),
        pytest.param((), 1, PROXY, "198.51.100.1", "198.51.100.1", id="no networks: any peer is believed"),
        pytest.param(NAMED, 1, PROXY, "198.51.100.1", "198.51.100.1", id="the proxy is believed"),
        pytest.param(NAMED, 1, OTHER, "198.51.100.1", OTHER, id="a stranger is not"),
        pytest.param(NAMED, 0, PROXY, "198.51.100.1", PROXY, id="the proxy is not, without a count"),
        pytest.param(NAMED, 1, PROXY, "10.0.0.1, 198.51.100.1", "198.51.100.1", id="what a caller forged stands before"),
        pytest.param(NAMED, 2, PROXY, "10.0.0.1, 198.51.100.1, 192.0.2.6", "198.51.100.1", id="two proxies"),
        pytest.param(NAMED, 2, PROXY, "198.51.100.1", PROXY, id="fewer entries than proxies"),
        pytest.param(NAMED, 1, PROXY, "", PROXY, id="no entry"),
        pytest.param(NAMED, 1, PROXY, " , ,", PROXY, id="empty entries"),
        pytest.param(NAMED, 1, "::ffff:192.0.2.7", "198.51.100.1", "198.51.100.1", id="IPv4 written as IPv6"),
        pytest.param(NAMED, 1, "2001:db8::2", "198.51.100.1", "198.51.100.1", id="IPv6"),
        pytest.param(NAMED, 1, "2001:db8::2%eth0", "198.51.100.1", "198.51.100.1", id="IPv6 with an interface"),
        pytest.param(NAMED, 1, "2001:db8::4", "198.51.100.1", "2001:db8::4", id="IPv6 beside the network"),
        pytest.param(NAMED, 1, "", "198.51.100.1", "", id="no peer"),
    ],
)  # fmt: skip
def test_the_sender_of_a_request(networks: tuple[str, ...], count: int, peer: str, said: str, sender: str) -> None:
    proxies = Proxies(IngressSettings(trusted_proxies=networks, trust_forwarded_for=count))
    assert proxies.sender(peer, said) == sender
