"""Ports: the user of one is named, none is handed out twice, and addresses are written for clients."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.process.ports import free_port, holder, http_url, require_free
from schemas.errors import SetupError

LISTENS = "sl local rem st\n0: 0100007F:{port:04X} 00000000:0000 0A 0 0 0 0 0 {inode} 1\n"


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def test_no_port_is_handed_out_twice() -> None:
    ports = [free_port() for _ in range(500)]
    first = free_port(run=4)

    assert len({*ports, *range(first, first + 4)}) == 504
    assert max(ports) < 32_768, "a port that the system may give to a connection"


def test_a_taken_port_is_refused_with_the_setting(taken: int) -> None:
    with pytest.raises(SetupError, match=f"A test needs port {taken}, which .*\n.*set this.setting") as caught:
        require_free(taken, what="A test", setting="this.setting")

    assert caught.value.code == "port_in_use"


@pytest.mark.parametrize("host", ["192.0.2.1", "nobody.invalid"], ids=["of another machine", "no name at all"])
def test_a_host_that_is_not_ours_is_refused_as_such(host: str) -> None:
    with pytest.raises(
        SetupError, match=rf"A test cannot listen on {host}:8080: \w.*\n.* address of this machine"
    ) as caught:
        require_free(8080, what="A test", setting="this.setting", host=host)

    assert caught.value.code == "port"


@pytest.mark.skipif(not Path("/proc/net/if_inet6").exists(), reason="this machine has no IPv6")
def test_a_port_is_looked_at_on_ipv6_too() -> None:
    require_free(free_port("::1"), what="A test", setting="-", host="::1")


@pytest.mark.parametrize(
    ("host", "url"),
    [
        pytest.param("127.0.0.1", "http://127.0.0.1:80", id="an address"),
        pytest.param("callweave.example", "http://callweave.example:80", id="a name"),
        pytest.param("0.0.0.0", "http://127.0.0.1:80", id="every address"),
        pytest.param("::1", "http://[::1]:80", id="IPv6"),
        pytest.param("::", "http://[::1]:80", id="every address, IPv6"),
    ],
)
def test_an_address_can_be_reached_from_this_machine(host: str, url: str) -> None:
    assert http_url(host, 80) == url


@pytest.mark.parametrize(
    ("comm", "expected"),
    [("java\n", "java (pid 12)"), (None, "a process that is ending (pid 12)")],
    ids=["alive", "ending"],
)
def test_the_holder_is_found_whatever_ends_meanwhile(tmp_path: Path, comm: str | None, expected: str) -> None:
    """Processes end during the search: 11 has just gone, and a descriptor of 12 is closed."""
    (tmp_path / "net").mkdir()
    (tmp_path / "net/tcp").write_text(LISTENS.format(port=9092, inode=77))
    (tmp_path / "11").mkdir()
    (tmp_path / "12/fd").mkdir(parents=True)
    (tmp_path / "12/fd/3").write_text("no link")
    (tmp_path / "12/fd/4").symlink_to("socket:[77]")
    if comm:
        (tmp_path / "12/comm").write_text(comm)

    assert holder(9092, tmp_path) == expected
    assert holder(9093, tmp_path) == ""
