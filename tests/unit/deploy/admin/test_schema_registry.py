"""The schema registry behind a login and TLS: a real HTTP server that answers as Confluent's API does."""

import base64
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest
import trustme
from aiohttp import web

from deploy.admin.schema_registry import codecs_from, describe_registry
from deploy.process.ports import free_port
from schemas.codec import PUBLISHED, schema_text
from schemas.config.kafka.registry import SchemaRegistrySettings
from schemas.config.secret import Secret
from schemas.config.settings import KafkaSettings, Settings
from schemas.config.tls import ClientTls
from schemas.errors import CallweaveError, SetupError, Unavailable
from tests.support.strategies import callback

USER, PASSWORD, TOKEN = "callweave", "pass:wörd-sesame", "token-sesame"
TYPE = "application/vnd.schemaregistry.v1+json"


class Registry:
    """Schemas by id, behind a login; with Confluent's paths, bodies and error codes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca, self.other_ca = trustme.CA(), trustme.CA()
        self.logins: set[str] = set()
        """The values of Authorization that are let in; none: all are."""
        self.forbidden = False
        self.ids: dict[str, int] = {}
        self.subjects: set[str] = set()
        self.ports: dict[str, int] = {}
        self.ca.cert_pem.write_to_path(self.file("ca.pem"))
        self.other_ca.cert_pem.write_to_path(self.file("other-ca.pem"))
        for name, ca in (("client", self.ca), ("stranger", self.other_ca)):
            ca.issue_cert("client.example").private_key_and_cert_chain_pem.write_to_path(self.file(f"{name}.pem"))

    def file(self, name: str) -> str:
        """Returns the path of a file."""
        return str(self.folder / name)

    @web.middleware
    async def guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """Answers 401 and 403 as Confluent's registry does."""
        if self.logins and request.headers.get("Authorization") not in self.logins:
            return _answer({"error_code": 401, "message": f"Unauthorized {TOKEN}"}, 401)
        if self.forbidden:
            return _answer({"error_code": 40301, "message": "User is denied operation Write on Subject"}, 403)
        response: web.StreamResponse = await handler(request)
        return response

    async def list(self, _request: web.Request) -> web.Response:
        """Lists subjects."""
        return _answer(sorted(self.subjects))

    async def register(self, request: web.Request) -> web.Response:
        """Registers a schema; the same text has the same id."""
        assert request.content_type == TYPE
        body = await request.json()
        assert body["schemaType"] == "AVRO"
        self.subjects.add(request.match_info["subject"])
        return _answer({"id": self.ids.setdefault(body["schema"], 100 + len(self.ids))})

    def settings(self, port: str = "tls", host: str = "127.0.0.1", **more: Any) -> SchemaRegistrySettings:
        """Returns the settings that reach one of its ports."""
        scheme = "http" if port == "plain" else "https"
        options = {"url": f"{scheme}://{host}:{self.ports[port]}", **more}
        if scheme == "https":
            options = {"tls": ClientTls(ca_file=self.file("ca.pem")), **options}
        return SchemaRegistrySettings(**options)


def _answer(body: object, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), status=status, content_type=TYPE)


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[Registry]:
    it = Registry(tmp_path)
    app = web.Application(middlewares=[it.guard])
    app.router.add_get("/subjects", it.list)
    app.router.add_post("/subjects/{subject}/versions", it.register)
    runner = web.AppRunner(app)
    await runner.setup()
    past = datetime.now(UTC) - timedelta(days=2)
    contexts: dict[str, ssl.SSLContext | None] = {"plain": None}
    for name, certificate in (
        ("tls", it.ca.issue_cert("127.0.0.1")),
        ("mutual", it.ca.issue_cert("127.0.0.1")),
        ("expired", it.ca.issue_cert("127.0.0.1", not_before=past, not_after=past + timedelta(days=1))),
    ):
        context = contexts[name] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        if name == "mutual":
            it.ca.configure_trust(context)
            context.verify_mode = ssl.CERT_REQUIRED
    for name, used in contexts.items():
        it.ports[name] = free_port()
        await web.TCPSite(runner, "127.0.0.1", it.ports[name], ssl_context=used).start()
    yield it
    await runner.cleanup()


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def by_certificate(registry: Registry, name: str) -> ClientTls:
    return ClientTls(ca_file=registry.file("ca.pem"), certificate_file=registry.file(f"{name}.pem"))


@pytest.mark.parametrize(
    ("login", "given"),
    [
        pytest.param("", {}, id="nobody asks"),
        pytest.param(basic(USER, PASSWORD), {"user": USER, "password": Secret(PASSWORD)}, id="basic"),
        pytest.param(f"Bearer {TOKEN}", {"token": Secret(TOKEN)}, id="bearer"),
    ],
)
@pytest.mark.parametrize("port", ["plain", "tls", "mutual"])
async def test_schemas_get_the_registrys_ids_by_every_login(
    registry: Registry, login: str, given: dict[str, Any], port: str
) -> None:
    registry.logins = {login} if login else set()
    more: dict[str, Any] = {"tls": by_certificate(registry, "client")} if port == "mutual" else {}
    settings = registry.settings(port, **given, **more)

    codecs = await codecs_from(Settings(schema_registry=settings))
    said = await describe_registry(settings)

    subjects = {subject for published in PUBLISHED for subject in published.subjects}
    assert registry.subjects == subjects
    assert said == f"{settings.url}: {len(subjects)} subjects"
    assert codecs is not None


async def test_a_login_in_the_address_counts_too_and_is_not_shown(registry: Registry) -> None:
    registry.logins = {basic("me", "sesame")}
    settings = registry.settings("plain", url=f"http://me:sesame@127.0.0.1:{registry.ports['plain']}")

    assert (await describe_registry(settings)).startswith("http://127.0.0.1:")
    registry.logins = {"another"}
    with pytest.raises(Unavailable) as error:
        await describe_registry(settings)
    assert "sesame" not in str(error.value)


CASES: dict[str, tuple[dict[str, Any], str, str]] = {
    "no login": ({}, "registry_login", "does not let us in"),
    "a wrong password": ({"user": USER, "password": Secret("guess-sesame")}, "registry_login", "does not let us in"),
    "a wrong token": ({"token": Secret("guess-sesame")}, "registry_login", "does not let us in"),
    "an authority that is not the system's": (
        {"tls": ClientTls()},
        "registry_certificate",
        "schema_registry.tls.ca_file",
    ),
    "another authority": ({"tls": "other-ca"}, "registry_certificate", "schema_registry.tls.ca_file"),
    "another name": ({"host": "localhost"}, "registry_certificate", "for another name"),
    "an expired certificate": ({"port": "expired"}, "registry_certificate", "has expired"),
    "no certificate of ours": ({"port": "mutual"}, "registry_certificate", "schema_registry.tls.certificate_file"),
    "a certificate of a stranger": (
        {"port": "mutual", "tls": "stranger"},
        "registry_certificate",
        "wants another certificate",
    ),
    "http on a port with TLS": ({"scheme": "http"}, "registry_protocol", "speaks TLS: write https://"),
    "https on a port without": (
        {"port": "plain", "scheme": "https"},
        "registry_protocol",
        "speaks no TLS: write http://",
    ),
    "nobody there": ({"url": "http://127.0.0.1:1"}, "unavailable", "does not answer"),
}


@pytest.mark.parametrize(("given", "code", "said"), CASES.values(), ids=CASES)
async def test_what_is_wrong_is_one_sentence(registry: Registry, given: dict[str, Any], code: str, said: str) -> None:
    registry.logins = {basic(USER, PASSWORD)}
    given = dict(given)
    if given.get("tls") == "other-ca":
        given["tls"] = ClientTls(ca_file=registry.file("other-ca.pem"))
    elif given.get("tls") == "stranger":
        given["tls"] = by_certificate(registry, "stranger")
    scheme = given.pop("scheme", "")
    settings = registry.settings(**given)
    if scheme:
        settings = msgspec.structs.replace(settings, url=f"{scheme}://{settings.url.partition('://')[2]}")

    for ask in (partial(codecs_from, Settings(schema_registry=settings)), partial(describe_registry, settings)):
        with pytest.raises(CallweaveError) as error:
            await ask()
        text = str(error.value)
        assert error.value.code == code
        assert said in text
        assert "\n" not in text
        assert "sesame" not in text


@pytest.mark.parametrize(("release", "version"), [("newest", 3), ("previous", 2)])
@pytest.mark.parametrize("port", ["plain", ""], ids=["the registry's id", "the pinned id"])
async def test_what_is_written_is_what_the_setting_says(
    registry: Registry, release: Literal["newest", "previous"], version: int, port: str
) -> None:
    """Every version is registered all the same, so that the newest needs no right at the end of an upgrade."""
    settings = Settings(
        kafka=KafkaSettings(avro_release=release),
        schema_registry=registry.settings(port) if port else SchemaRegistrySettings(),
    )
    codecs = await codecs_from(settings)
    facts = {one.version: one for one in PUBLISHED if one.name == "fact"}
    written = codecs.fact.encode(callback())

    known = registry.ids[schema_text(facts[version])] if port else facts[version].schema_id
    assert int.from_bytes(written[1:5], "big") == known
    assert set(registry.ids) == ({schema_text(one) for one in PUBLISHED} if port else set())


async def test_a_right_that_is_missing_is_said(registry: Registry) -> None:
    registry.forbidden = True

    with pytest.raises(Unavailable, match="may not read or write its subjects") as error:
        await codecs_from(Settings(schema_registry=registry.settings()))

    assert error.value.code == "registry_login"


async def test_what_is_no_registry_is_said(registry: Registry) -> None:
    with pytest.raises(SetupError, match="no schema registry"):
        await describe_registry(registry.settings(url=f"https://127.0.0.1:{registry.ports['tls']}/elsewhere"))


async def test_a_login_that_becomes_right_heals(registry: Registry) -> None:
    registry.logins = {basic(USER, "another")}
    settings = registry.settings(user=USER, password=Secret(PASSWORD))
    with pytest.raises(Unavailable):
        await codecs_from(Settings(schema_registry=settings))
    registry.logins = {basic(USER, PASSWORD)}

    await codecs_from(Settings(schema_registry=settings))
