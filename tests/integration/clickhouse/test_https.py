"""The real engine behind TLS: reached with an authority and a certificate of one's own, and what is said when not."""

import logging
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
import pytest
import trustme
from msgspec.structs import replace

from deploy.doctor.clickhouse import clickhouse as doctor
from deploy.process.ports import free_port
from schemas.config.secret import Secret
from schemas.config.settings import ClickHouseSettings, Settings
from schemas.config.tls import ClientTls
from schemas.errors import SettingsError, Unavailable
from sinks.clickhouse import ClickHouse
from sinks.rows import CDR
from sinks.server.trouble import TROUBLE_CODES
from tests.contract.views.samples import record
from tests.support.tls_front import front

OURS: Final = trustme.CA()
ELSES: Final = trustme.CA()
SECRET: Final = "hunter2-and-more"


def serving(certificate: trustme.LeafCert, *, asks: trustme.CA | None = None) -> ssl.SSLContext:
    """Returns the context of a server, which asks its clients for a certificate of `asks`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    if asks:
        asks.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def pem(authority: trustme.CA) -> Secret:
    return Secret(authority.cert_pem.bytes().decode())


def mutual(signer: trustme.CA) -> ClientTls:
    """Returns the settings with a client certificate of this authority; the server's is of ours."""
    certificate = signer.issue_cert("parts@callweave.example")
    return ClientTls(
        ca_pem=pem(OURS),
        certificate_pem=Secret(b"".join(blob.bytes() for blob in certificate.cert_chain_pems).decode()),
        key_pem=Secret(certificate.private_key_pem.bytes().decode()),
    )


class Fronts(msgspec.Struct, kw_only=True):
    """The same engine behind several fronts, by what is particular of each."""

    ports: dict[str, int]
    plain: ClickHouseSettings

    def at(self, name: str, *, scheme: str = "https", host: str = "127.0.0.1", **more: Any) -> ClickHouseSettings:
        """Returns the settings that reach a front; the right authority unless others are given."""
        url = f"{scheme}://{host}:{self.ports[name]}"
        return replace(self.plain, **{"url": url, "tls": ClientTls(ca_pem=pem(OURS)), **more})


@pytest.fixture(scope="module")
def fronts(clickhouse: ClickHouseSettings) -> Iterator[Fronts]:
    """Yields the fronts; each has what its name says."""
    good = OURS.issue_cert("127.0.0.1", "localhost")
    now = datetime.now(UTC)
    contexts = {
        "good": serving(good),
        "another authority's": serving(ELSES.issue_cert("127.0.0.1")),
        "another name's": serving(OURS.issue_cert("clickhouse.example")),
        "expired": serving(OURS.issue_cert("127.0.0.1", not_after=now - timedelta(days=1))),
        "not yet valid": serving(OURS.issue_cert("127.0.0.1", not_before=now + timedelta(days=1))),
        "asks for a certificate": serving(good, asks=OURS),
    }
    engine = urlsplit(clickhouse.url).port
    assert engine
    with ExitStack() as open_:
        ports = {name: open_.enter_context(front(engine, tls)).port for name, tls in contexts.items()}
        yield Fronts(ports={**ports, "plain": engine, "nobody's": free_port()}, plain=clickhouse)


async def one(settings: ClickHouseSettings) -> list[tuple[Any, ...]]:
    async with ClickHouse(settings) as client:
        return await client.query("SELECT 1")


REACHED: Final = {
    "with its own authority": ("good", {}),
    "by a name of its certificate": ("good", {"host": "localhost"}),
    "by another name, where names are not compared": (
        "another name's",
        {"tls": ClientTls(ca_pem=pem(OURS), check_hostname=False)},
    ),
    "with a client certificate and a password": (
        "asks for a certificate",
        {"tls": mutual(OURS)},
    ),
}


@pytest.mark.parametrize(("name", "more"), REACHED.values(), ids=REACHED)
async def test_the_engine_is_reached(fronts: Fronts, name: str, more: dict[str, Any]) -> None:
    assert await one(fronts.at(name, **more)) == [(1,)]


WRONG: Final = {
    "an unknown authority": ("another authority's", {}, "unknown_ca", "set clickhouse.tls.ca_file"),
    "the system's authorities": ("good", {"tls": ClientTls()}, "unknown_ca", "set clickhouse.tls.ca_file"),
    "another name": ("another name's", {}, "wrong_name", "is for another name"),
    "an expired certificate": ("expired", {}, "expired", "has expired"),
    "a certificate of tomorrow": ("not yet valid", {}, "expired", "not valid yet: compare the clocks"),
    "no client certificate": ("asks for a certificate", {}, "client_certificate", "wants a certificate from its clients"),
    "a client certificate of another authority": (
        "asks for a certificate",
        {"tls": mutual(ELSES)},
        "client_certificate",
        "does not accept our certificate",
    ),
    "https to a plain port": ("plain", {}, "speaks_http", "it speaks plain HTTP at this port"),
    "http to a port with TLS": ("good", {"scheme": "http"}, "speaks_tls", "give https:// in clickhouse.url"),
    "http to a port that asks for a certificate": (
        "asks for a certificate", {"scheme": "http"}, "speaks_tls", "give https:// in clickhouse.url",
    ),
    "a wrong password": ("good", {"password": Secret(SECRET)}, "login", "wrong name or password (code 516)"),
    "nobody there": ("nobody's", {}, "away", "does not answer: ConnectionRefusedError"),
    "nobody there, plainly": ("nobody's", {"scheme": "http"}, "away", "does not answer: ConnectionRefusedError"),
    "a name that nobody has": ("good", {"host": "clickhouse.invalid"}, "away", "does not answer: gaierror"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "more", "code", "said"), WRONG.values(), ids=WRONG)
async def test_what_is_wrong_is_one_sentence_with_a_code(
    fronts: Fronts, caplog: pytest.LogCaptureFixture, name: str, more: dict[str, Any], code: str, said: str
) -> None:
    """Queries, inserts and the doctor say the same; no password stands in it, and nothing of a certificate."""
    settings = fronts.at(name, **more)
    caplog.set_level(logging.DEBUG)
    async with ClickHouse(settings) as client:
        with pytest.raises(Unavailable) as queried:
            await client.query("SELECT 1")
        with pytest.raises(Unavailable) as inserted:
            await client.insert(CDR, [record()])
    found = await doctor(Settings(clickhouse=settings), embedded=False)

    assert queried.value.code == inserted.value.code == code
    assert code in TROUBLE_CODES
    sentence = str(queried.value)
    assert said in sentence
    assert f":{fronts.ports[name]}" in sentence
    assert str(inserted.value) == sentence
    assert (found.state, bool(found.advice), said in found.detail) == ("bad", True, True)
    shown = f"{sentence} {found} {caplog.text}"
    for hidden in (SECRET, settings.password.value, "BEGIN", "Traceback", "trustme"):
        assert hidden not in shown
    assert "\n" not in sentence


async def test_a_file_that_is_no_certificate_ends_the_start_and_is_found_by_the_doctor(fronts: Fronts) -> None:
    settings = fronts.at("good", tls=ClientTls(ca_file="no-such.pem"))
    with pytest.raises(SettingsError, match=r"no-such\.pem .* at `\$\.clickhouse\.tls\.ca_file`"):
        ClickHouse(settings)
    found = await doctor(Settings(clickhouse=settings), embedded=False)

    assert (found.state, "$.clickhouse.tls.ca_file" in found.detail) == ("bad", True)
