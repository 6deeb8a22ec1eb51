"""Tokens for the login by OAUTHBEARER: from a command of the operator's, or from an OpenID Connect provider.

A token is kept for at most a minute, and for less where it says that it ends sooner: connections are rare, and one that
was withdrawn heals within that time.
"""

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote_plus, urlsplit

import aiohttp
import msgspec
from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import KafkaError

from schemas.config.kafka.sasl import Oidc, Sasl
from schemas.tls import client_context
from schemas.tls.faults import fault

KEPT_S: Final = 60.0
_LIMIT_S: Final = 10.0
_MOST_BYTES: Final = 64 * 1024
_TOKEN: Final = re.compile(r"[\x21-\x7e]+")
"""Visible characters: Kafka's message ends a token at a control character."""


class TokenError(KafkaError):  # type: ignore[misc]  # aiokafka has no types
    """Raised when there is no token; its text is one sentence without a secret. aiokafka repeats after it."""


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """A token, and the seconds for which it is good."""

    access_token: str
    expires_in: float = KEPT_S


class TokenProvider(AbstractTokenProvider):  # type: ignore[misc]  # aiokafka has no types
    """Keeps a token while it is good; aiokafka asks for it at each connection."""

    def __init__(self, fetch: Callable[[], Awaitable[Token]], source: str) -> None:
        self._fetch = fetch
        self._source = source
        self._token = ""
        self._until = float("-inf")

    async def token(self) -> str:
        """Returns a token; raises `TokenError`."""
        now = asyncio.get_running_loop().time()
        if now >= self._until:
            try:
                async with asyncio.timeout(_LIMIT_S):
                    fetched = await self._fetch()
            except TimeoutError as exc:
                raise TokenError(f"{self._source} gave no token within {_LIMIT_S:g} s") from exc
            if not _TOKEN.fullmatch(fetched.access_token):
                raise TokenError(f"{self._source} gave no token: visible characters without spaces are wanted")
            self._token = fetched.access_token
            # Four fifths, so that it does not end between us and the broker.
            self._until = now + min(KEPT_S, 0.8 * fetched.expires_in)
        return self._token

    def extensions(self) -> Mapping[str, str]:
        """Returns nothing beside the token."""
        return {}


def token_provider(sasl: Sasl) -> TokenProvider:
    """Returns the provider that the settings name."""
    if sasl.token_command:
        source = "the command of kafka.sasl.token_command"
        return TokenProvider(lambda: _from_command(sasl.token_command, source), source)
    source = f"the provider {urlsplit(sasl.oidc.url).hostname} of kafka.sasl.oidc"
    return TokenProvider(lambda: _from_provider(sasl.oidc, source), source)


async def _from_command(command: Sequence[str], source: str) -> Token:
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,  # it may quote a secret
            start_new_session=True,
        )
    except (OSError, ValueError) as exc:
        raise TokenError(f"{source} cannot be run: {getattr(exc, 'strerror', None) or type(exc).__name__}") from exc
    try:
        assert process.stdout is not None
        printed = await _bounded(process.stdout)
        if len(printed) >= _MOST_BYTES:
            raise TokenError(f"{source} gave no token: it prints more than any token has")
        code = await process.wait()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # those that it started hold the pipe, too
            await process.communicate()  # what is left in the pipe, so that it is closed
    if code:
        raise TokenError(f"{source} ended with code {code}")
    text = printed.decode("utf-8", "replace").strip()
    return _read(printed, source) if text.startswith("{") else Token(access_token=text)


async def _from_provider(oidc: Oidc, source: str) -> Token:
    form = {"grant_type": "client_credentials", "scope": oidc.scope, "audience": oidc.audience}
    # RFC 6749, 2.3.1: name and secret are encoded as in a form before they become a login.
    login = aiohttp.encode_basic_auth(quote_plus(oidc.client_id), quote_plus(oidc.client_secret.value))
    context = client_context(oidc.tls, "$.kafka.sasl.oidc.tls") if oidc.url.startswith("https:") else True
    try:
        async with (
            aiohttp.ClientSession() as session,
            # A redirect would take the login to another address.
            session.post(
                oidc.url,
                data={name: value for name, value in form.items() if value},
                headers={"Accept": "application/json", "Authorization": login},
                ssl=context,
                allow_redirects=False,
            ) as answer,
        ):
            said = await _bounded(answer.content)
    except (aiohttp.ClientError, OSError) as exc:
        untrusted = fault(exc, source, oidc.tls, "kafka.sasl.oidc.tls")
        raise TokenError(
            untrusted.sentence if untrusted else f"{source} does not answer: {type(exc).__name__}"
        ) from exc
    if answer.status != 200:
        raise TokenError(f"{source} gave no token, but status {answer.status}{_reason(said)}")
    return _read(said, source)


async def _bounded(stream: asyncio.StreamReader | aiohttp.StreamReader) -> bytes:
    """Returns all of an answer, or its beginning where it is longer than any token."""
    read = b""
    while len(read) < _MOST_BYTES and (some := await stream.read(_MOST_BYTES - len(read))):
        read += some
    return read


def _read(said: bytes, source: str) -> Token:
    """Returns the token in an answer in JSON."""
    try:
        return msgspec.json.decode(said, type=Token)
    except msgspec.DecodeError as exc:
        raise TokenError(f"{source} gave no token: `access_token` is missing") from exc


def _reason(said: bytes) -> str:
    """Returns the error's code of RFC 6749 if the answer has one, which is a bounded word and no secret."""
    try:
        error: Any = msgspec.json.decode(said)["error"]
    except (msgspec.DecodeError, LookupError, TypeError):
        return ""
    return f" ({error})" if isinstance(error, str) and re.fullmatch(r"[a-z_]{1,40}", error) else ""
