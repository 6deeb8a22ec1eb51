"""The order in which several servers of ClickHouse are asked."""

import pytest

from sinks.server.hosts import AGAIN_S, Hosts


class Clock:
    """A clock that a test sets."""

    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.mark.parametrize(
    ("told", "later_s", "order"),
    [
        pytest.param("", 0, "abc", id="the settings' order"),
        pytest.param("a", 1, "bca", id="one that is away is asked last"),
        pytest.param("ab", 1, "cab", id="of two the one that has been away for longer is asked first"),
        pytest.param("abc", 1, "abc", id="when all are away all are asked"),
        pytest.param("cba", 1, "cba", id="in the order in which they went"),
        pytest.param("a", AGAIN_S, "abc", id="after a while it is asked first again"),
        pytest.param("aA", 1, "abc", id="one that is back is asked first"),
        pytest.param("a" * 5, AGAIN_S - 1, "bca", id="the while begins with the last failure"),
    ],
)
def test_servers_are_asked_in_order(told: str, later_s: float, order: str) -> None:
    """A small letter is a server that is away, a capital one that is back."""
    clock = Clock()
    servers = Hosts(("a", "b", "c"), clock)
    for letter in told:
        clock.now_s += 0.01
        (servers.is_away if letter.islower() else servers.is_here)(letter.lower())
    clock.now_s += later_s
    assert "".join(servers.order()) == order
