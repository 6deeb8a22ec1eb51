"""TLS of a client: certificates from files and from text, what is said of those that are wrong, and their renewal."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from schemas.config.secret import Secret
from schemas.config.tls import ClientTls, check_tls
from schemas.errors import SettingsError
from schemas.tls import client_context

PASSWORD = "sesame"


class Papers:
    """Certificates of one authority in files."""

    def __init__(self, folder: Path) -> None:
        self.ca = trustme.CA()
        self.folder = folder
        self.ca.cert_pem.write_to_path(str(folder / "ca.pem"))
        self.issue("own")
        self.issue("other")
        key = serialization.load_pem_private_key((folder / "own.key").read_bytes(), None)
        locked = serialization.BestAvailableEncryption(PASSWORD.encode())
        (folder / "locked.key").write_bytes(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)
        )
        (folder / "both.pem").write_bytes((folder / "own.pem").read_bytes() + (folder / "own.key").read_bytes())

    def issue(self, name: str, host: str = "client.example") -> None:
        """Writes a certificate and its key as `name.pem` and `name.key`."""
        made = self.ca.issue_cert(host)
        made.cert_chain_pems[0].write_to_path(str(self.folder / f"{name}.pem"))
        made.private_key_pem.write_to_path(str(self.folder / f"{name}.key"))

    def file(self, name: str) -> str:
        """Returns the path of a file."""
        return str(self.folder / name)

    def text(self, name: str) -> Secret:
        """Returns the contents of a file as a secret of the settings."""
        return Secret((self.folder / name).read_text())


@pytest.fixture
def papers(tmp_path: Path) -> Papers:
    return Papers(tmp_path)


def presented(context: ssl.SSLContext, papers: Papers) -> str:
    """Shakes hands in memory with a server that asks for a certificate; returns the serial number of what it got."""
    served = papers.ca.issue_cert("server.example")
    asking = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.configure_cert(asking)
    papers.ca.configure_trust(asking)
    asking.verify_mode = ssl.CERT_OPTIONAL
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = asking.wrap_bio(to_server, to_client, server_side=True)
    client = context.wrap_bio(to_client, to_server, server_hostname="server.example")
    for end in (client, server, client, server):
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue
    certificate = server.getpeercert()
    return str(certificate["serialNumber"]) if certificate else ""


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(lambda p: {"certificate_file": p.file("own.pem"), "key_file": p.file("own.key")}, id="files"),
        pytest.param(lambda p: {"certificate_file": p.file("both.pem")}, id="key beside the certificate"),
        pytest.param(lambda p: {"certificate_pem": p.text("own.pem"), "key_pem": p.text("own.key")}, id="texts"),
        pytest.param(
            lambda p: {
                "certificate_pem": p.text("own.pem"),
                "key_pem": p.text("locked.key"),
                "key_password": Secret(PASSWORD),
            },
            id="encrypted key as text",
        ),
        pytest.param(
            lambda p: {
                "certificate_file": p.file("own.pem"),
                "key_file": p.file("locked.key"),
                "key_password": Secret(PASSWORD),
            },
            id="encrypted key in a file",
        ),
    ],
)
@pytest.mark.parametrize("authority", ["file", "text"])
def test_a_server_gets_our_certificate_wherever_it_comes_from(
    papers: Papers, given: Callable[[Papers], dict[str, Any]], authority: str
) -> None:
    ca = {"ca_file": papers.file("ca.pem")} if authority == "file" else {"ca_pem": papers.text("ca.pem")}

    assert presented(client_context(ClientTls(**ca, **given(papers))), papers)


def test_without_settings_the_names_and_certificates_of_servers_are_checked() -> None:
    context = client_context(ClientTls())

    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_without_the_name_the_certificate_is_still_checked() -> None:
    context = client_context(ClientTls(check_hostname=False))

    assert not context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED


@pytest.mark.parametrize(
    ("given", "said", "path"),
    [
        pytest.param({"ca_file": "none.pem"}, "No such file", "ca_file", id="no file of authorities"),
        pytest.param({"ca_file": "own.key"}, "no certificate", "ca_file", id="a key as authority"),
        pytest.param({"ca_pem": "own.key"}, "no certificate", "ca_pem", id="a key's text as authority"),
        pytest.param({"certificate_file": "none.pem"}, "No such file", "certificate_file", id="no certificate"),
        pytest.param(
            {"certificate_file": "own.pem", "key_file": "none.key"}, "No such file", "key_file", id="no file of the key"
        ),
        pytest.param({"certificate_file": "own.pem"}, "are wanted", "certificate_file", id="a certificate alone"),
        pytest.param(
            {"certificate_file": "own.pem", "key_file": "other.key"},
            "not that of",
            "certificate_file",
            id="another's key",
        ),
        pytest.param(
            {"certificate_file": "own.pem", "key_file": "locked.key"}, "encrypted", "key_password", id="no password"
        ),
        pytest.param(
            {"certificate_pem": "own.pem", "key_pem": "locked.key", "key_password": Secret("guess")},
            "encrypted",
            "key_password",
            id="a wrong password",
        ),
        pytest.param(
            {"certificate_file": "own.pem", "key_file": "locked.key", "key_password": Secret("x" * 5000)},
            "encrypted",
            "key_password",
            id="a password that OpenSSL does not take",
        ),
    ],
)
def test_what_cannot_be_used_is_one_sentence_with_its_path(
    papers: Papers, given: dict[str, str | Secret], said: str, path: str
) -> None:
    read = {
        name: value
        if isinstance(value, Secret)
        else papers.file(value)
        if name.endswith("_file")
        else papers.text(value)
        for name, value in given.items()
    }

    with pytest.raises(SettingsError) as error:
        client_context(ClientTls(**read), "$.kafka.tls")  # type: ignore[arg-type]  # a table's values

    assert said in str(error.value)
    assert f"`$.kafka.tls.{path}`" in str(error.value)
    assert "\n" not in str(error.value)
    assert "BEGIN" not in str(error.value)
    assert "guess" not in str(error.value)


@pytest.mark.parametrize(
    ("tls", "path"),
    [
        pytest.param(ClientTls(ca_file="a", ca_pem=Secret("b")), "ca_pem", id="two authorities"),
        pytest.param(ClientTls(certificate_file="a", certificate_pem=Secret("b")), "certificate_pem", id="two of them"),
        pytest.param(ClientTls(certificate_file="c", key_file="a", key_pem=Secret("b")), "key_pem", id="two keys"),
        pytest.param(ClientTls(key_file="a"), "key_file", id="a key alone"),
        pytest.param(ClientTls(key_pem=Secret("a")), "key_pem", id="a key's text alone"),
        pytest.param(ClientTls(key_password=Secret("a")), "key_password", id="a password alone"),
    ],
)
def test_contradictions_are_named(tls: ClientTls, path: str) -> None:
    with pytest.raises(SettingsError, match=path):
        check_tls(tls, "$.kafka.tls")


async def test_a_connection_ends_without_the_other_sides_farewell(papers: Papers) -> None:
    """A server that reads nothing more, as a broker with a fetch open: event loops would wait 30 s for it."""
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    papers.ca.issue_cert("127.0.0.1").configure_cert(served)
    over = threading.Event()

    def serve(listener: socket.socket) -> None:
        with served.wrap_socket(listener.accept()[0], server_side=True) as connection:
            connection.sendall(b"x" * 100)
            over.wait(30)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = asyncio.create_task(asyncio.to_thread(serve, listener))
        context = client_context(ClientTls(ca_file=papers.file("ca.pem")))
        reader, writer = await asyncio.open_connection(*listener.getsockname(), ssl=context)
        await reader.readexactly(1)
        writer.close()
        async with asyncio.timeout(10):
            await writer.wait_closed()
        over.set()
        await serving


def test_a_certificate_renewed_on_disk_counts_at_the_next_connection(papers: Papers) -> None:
    tls = ClientTls(
        ca_file=papers.file("ca.pem"), certificate_file=papers.file("own.pem"), key_file=papers.file("own.key")
    )
    context = client_context(tls)
    before = presented(context, papers)
    papers.issue("own")

    assert presented(context, papers) not in {before, ""}


def test_a_pair_of_which_one_half_is_new_leaves_the_old_pair_in_use(papers: Papers) -> None:
    tls = ClientTls(
        ca_file=papers.file("ca.pem"), certificate_file=papers.file("own.pem"), key_file=papers.file("own.key")
    )
    context = client_context(tls)
    before = presented(context, papers)
    Path(papers.file("other.pem")).replace(papers.file("own.pem"))
    between = presented(context, papers)
    Path(papers.file("other.key")).replace(papers.file("own.key"))

    assert between == before
    assert presented(context, papers) not in {before, ""}
