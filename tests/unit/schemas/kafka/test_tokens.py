"""Tokens for OAUTHBEARER: from commands as processes and from a provider over real HTTPS, kept for a while."""

import base64
import ssl
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web

from schemas.config.kafka.sasl import Oidc, Sasl
from schemas.config.secret import Secret
from schemas.config.tls import ClientTls
from schemas.kafka import tokens
from schemas.kafka.tokens import Token, TokenError, TokenProvider, token_provider
from tests.support.children import alive


def by(*command: str) -> TokenProvider:
    return token_provider(Sasl(mechanism="OAUTHBEARER", token_command=command))


@pytest.mark.parametrize(
    ("printed", "wanted"),
    [
        pytest.param("abc.def.ghi\n", "abc.def.ghi", id="the token alone"),
        pytest.param('{"access_token": "abc", "expires_in": 300, "token_type": "Bearer"}', "abc", id="JSON"),
        pytest.param('  {"access_token": "abc"}\n', "abc", id="JSON without a time"),
        pytest.param("x" * 30_000, "x" * 30_000, id="a long one"),
    ],
)
async def test_a_command_prints_the_token(printed: str, wanted: str) -> None:
    assert await by(sys.executable, "-c", f"print({printed!r}, end='')").token() == wanted


@pytest.mark.parametrize(
    ("command", "said"),
    [
        pytest.param(("no-such-command",), "cannot be run: No such file or directory", id="not there"),
        pytest.param((str(Path(__file__)),), "cannot be run: Permission denied", id="no program"),
        pytest.param(("sh", "-c", "echo sesame; echo sesame >&2; exit 7"), "ended with code 7", id="failed"),
        pytest.param(("true",), "gave no token: visible", id="nothing"),
        pytest.param(("echo", "two words"), "gave no token: visible", id="two words"),
        pytest.param(("printf", r"a\001b"), "gave no token: visible", id="a control character"),
        pytest.param(("printf", r"\377\376"), "gave no token: visible", id="no text"),
        pytest.param(("echo", '{"error": "sesame"}'), "`access_token` is missing", id="JSON of something else"),
        pytest.param(("echo", "{sesame"), "`access_token` is missing", id="broken JSON"),
        pytest.param(("echo", '{"access_token": 5}'), "`access_token` is missing", id="a number"),
        pytest.param(("sh", "-c", "yes sesame"), "gave no token", id="no end"),
    ],
)
async def test_a_command_that_gives_none_is_one_sentence(
    command: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "_LIMIT_S", 1.0)

    with pytest.raises(TokenError) as error:
        await by(*command).token()

    text = str(error.value.args[0])
    assert said in text
    assert text.startswith("the command of kafka.sasl.token_command ")
    assert "sesame" not in text
    assert "\n" not in text


async def test_a_command_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "_LIMIT_S", 0.3)
    note = tmp_path / "pid"
    note.touch()

    with pytest.raises(TokenError, match=r"within 0\.3 s"):
        await by("sh", "-c", f"echo $$ > {note}; exec sleep 60").token()

    assert not alive(int(note.read_text()))


async def test_a_token_is_kept_while_it_is_good() -> None:
    given = iter(("one", "two", "three"))

    async def fetch() -> Token:
        return Token(access_token=next(given), expires_in=lives)

    lives = 300.0
    provider = TokenProvider(fetch, "it")
    kept = [await provider.token(), await provider.token()]
    provider._until = 0.0  # a minute later
    lives = 0.0
    later = [await provider.token(), await provider.token()]

    assert kept == ["one", "one"]
    assert later == ["two", "three"]


async def test_after_a_failure_it_is_asked_again() -> None:
    given: list[Token] = []

    async def fetch() -> Token:
        if not given:
            raise TokenError("not now")
        return given.pop()

    provider = TokenProvider(fetch, "it")
    with pytest.raises(TokenError):
        await provider.token()
    given.append(Token(access_token="healed"))

    assert await provider.token() == "healed"


class Provider:
    """An OpenID Connect provider's token endpoint over HTTPS."""

    def __init__(self, folder: Path) -> None:
        self.ca = trustme.CA()
        self.ca.cert_pem.write_to_path(str(folder / "ca.pem"))
        self.ca_file = str(folder / "ca.pem")
        self.asked: list[dict[str, Any]] = []
        self.answer: Callable[[], web.Response] = lambda: web.json_response(
            {"access_token": "abc.def", "expires_in": 300}
        )
        self.url = ""

    async def token(self, request: web.Request) -> web.Response:
        """Answers."""
        login = base64.b64decode(request.headers.get("Authorization", "").removeprefix("Basic ")).decode()
        self.asked.append({"login": login, **(await request.post())})
        return self.answer()

    def oidc(self, **more: Any) -> Oidc:
        """Returns the settings that reach it."""
        options: dict[str, Any] = {
            "url": self.url,
            "client_id": "call:weave",
            "client_secret": Secret("ses+ame"),
            "tls": ClientTls(ca_file=self.ca_file),
            **more,
        }
        return Oidc(**options)


@pytest.fixture
async def provider(tmp_path: Path) -> AsyncIterator[Provider]:
    it = Provider(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    it.ca.issue_cert("127.0.0.1").configure_cert(context)
    app = web.Application()
    app.router.add_post("/token", it.token)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    it.url = f"https://127.0.0.1:{runner.addresses[0][1]}/token"
    yield it
    await runner.cleanup()


def at(oidc: Oidc) -> TokenProvider:
    return token_provider(Sasl(mechanism="OAUTHBEARER", oidc=oidc))


async def test_a_provider_gets_our_credentials_as_the_standard_says(provider: Provider) -> None:
    token = await at(provider.oidc(scope="kafka write", audience="cluster-1")).token()

    assert token == "abc.def"
    assert provider.asked == [
        {
            "login": "call%3Aweave:ses%2Bame",
            "grant_type": "client_credentials",
            "scope": "kafka write",
            "audience": "cluster-1",
        }
    ]


async def test_empty_fields_are_left_out(provider: Provider) -> None:
    await at(provider.oidc()).token()

    assert set(provider.asked[0]) == {"login", "grant_type"}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        pytest.param(
            lambda: web.json_response({"error": "invalid_client", "error_description": "sesame"}, status=401),
            "gave no token, but status 401 (invalid_client)",
            id="wrong credentials",
        ),
        pytest.param(lambda: web.Response(text="sesame", status=500), "status 500", id="broken"),
        pytest.param(
            lambda: web.json_response({"error": "sesame street"}, status=400), "but status 400", id="a strange error"
        ),
        pytest.param(lambda: web.json_response({"token": "sesame"}), "`access_token` is missing", id="another field"),
        pytest.param(lambda: web.Response(text="<html>sesame "), "gave no token", id="a page"),
        pytest.param(
            lambda: web.Response(status=302, headers={"Location": "https://sesame.example/"}),
            "status 302",
            id="a redirect",
        ),
    ],
)
async def test_a_provider_that_gives_none_is_one_sentence(
    provider: Provider, answer: Callable[[], web.Response], said: str
) -> None:
    provider.answer = answer

    with pytest.raises(TokenError) as error:
        await at(provider.oidc()).token()

    text = str(error.value.args[0])
    assert said in text
    assert text.startswith("the provider 127.0.0.1 of kafka.sasl.oidc ")
    assert "ses" not in text.removeprefix("the provider 127.0.0.1 of kafka.sasl.oidc ")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        pytest.param({"tls": ClientTls()}, "set kafka.sasl.oidc.tls.ca_file", id="an authority that is not trusted"),
        pytest.param({"url": "https://127.0.0.1:1/token"}, "does not answer", id="nobody there"),
    ],
)
async def test_a_provider_that_cannot_be_reached_is_one_sentence(
    provider: Provider, more: dict[str, Any], said: str
) -> None:
    with pytest.raises(TokenError, match=said):
        await at(provider.oidc(**more)).token()
