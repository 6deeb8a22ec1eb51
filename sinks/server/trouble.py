"""Says in one sentence why a server of ClickHouse cannot be reached or used, with a bounded code. Pure.

No text of the server is quoted, because it may repeat values; its codes and names are. Nothing here names a password.
"""

import ssl
from typing import Final, Literal, get_args
from urllib.parse import urlsplit

import msgspec
from urllib3.exceptions import ProtocolError

from schemas.config.tls import ClientTls
from schemas.tls.faults import causes, fault

TroubleCode = Literal[
    "away",  # It does not answer, or is full or busy.
    "unknown_ca",  # Nobody whom we trust signed its certificate.
    "wrong_name",  # Its certificate is for another name.
    "expired",  # Its certificate is not valid now.
    "client_certificate",  # It wants a certificate of ours, or does not take the one it gets.
    "tls",  # Another failure of TLS.
    "speaks_http",  # https was asked for at a port without TLS.
    "speaks_tls",  # http was asked for at a port with TLS.
    "not_clickhouse",  # Something else answers.
    "login",  # The name or the password is wrong.
    "rights",  # The account lacks a right.
    "migration",  # A table or a column is missing.
    "full",  # The disk has no room left.
]
TROUBLE_CODES: Final = frozenset(get_args(TroubleCode))
NO_LOGIN: Final = (192, 193, 194, 516)
"""ClickHouse's codes UNKNOWN_USER, WRONG_PASSWORD, REQUIRED_PASSWORD and AUTHENTICATION_FAILED."""
NO_RIGHT: Final = (164, 291, 497)
"""ClickHouse's codes READONLY, DATABASE_ACCESS_DENIED and ACCESS_DENIED."""

_SPEAKS_HTTP: Final = (
    "WRONG_VERSION_NUMBER",
    "HTTP_REQUEST",
    "UNKNOWN_PROTOCOL",
    "RECORD_LAYER_FAILURE",
    "PACKET_LENGTH",
)
"""Texts in the reason of an error of OpenSSL that got something else than TLS."""


class BrokenAnswerError(ProtocolError):
    """An answer that ended within its head."""


class StrangeAnswerError(ProtocolError):
    """A successful answer that no ClickHouse gave."""


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """The reason why a server could not be used."""

    code: TroubleCode
    sentence: str


def place(url: str) -> str:
    """Returns `host:port` of an address, which may be shown; a path behind it is left out."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{host}:{port(url)}"


def port(url: str) -> int:
    """Returns the port of an address; without one that of ClickHouse for its scheme."""
    parts = urlsplit(url)
    return parts.port or (8443 if parts.scheme == "https" else 8123)


def no_connection(url: str, tls: ClientTls, exc: BaseException) -> Trouble:
    """Returns the reason why a server gave no answer of its own, from the exception and its causes."""
    server = f"ClickHouse at {place(url)}"
    if untrusted := fault(exc, server, tls, "clickhouse.tls"):
        return Trouble(code=untrusted.code, sentence=untrusted.sentence)
    for cause in causes(exc):
        # A connection that ends is no failure of TLS by itself.
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return _tls_trouble(url, cause.reason or type(cause).__name__)
        if isinstance(cause, BrokenAnswerError):
            return Trouble(code="away", sentence=f"{server} broke off its answer")
        if isinstance(cause, StrangeAnswerError):
            return _not_clickhouse(url)
    # The HTTP library wraps a TLS alert that comes in the place of an answer.
    if any("\\x15\\x03" in repr(cause) for cause in causes(exc)):
        return speaks_tls(url)
    return Trouble(code="away", sentence=f"{server} does not answer: {_kind(exc)}")


def speaks_tls(url: str) -> Trouble:
    """Returns the trouble of a plain request to a port with TLS."""
    return _at(url, "speaks_tls", "it wants TLS at this port: give https:// in clickhouse.url, or its http port")


def refused(url: str, user: str, code: int | None, name: str | None) -> Trouble:
    """Returns the reason why a server refused a login or a statement with a code of its own."""
    if code is None:
        return _not_clickhouse(url)
    if code in NO_LOGIN:
        return Trouble(
            code="login",
            sentence=f"ClickHouse at {place(url)} does not let {user} in: wrong name or password (code {code})",
        )
    label = f"code {code} {name or ''}".rstrip()
    if code in NO_RIGHT:
        return Trouble(
            code="rights",
            sentence=f"ClickHouse at {place(url)} gives {user} too few rights ({label}): "
            "`callweave migrate --grants` prints what each account needs",
        )
    return Trouble(code="away", sentence=f"ClickHouse at {place(url)} does not answer: {label}")


def _not_clickhouse(url: str) -> Trouble:
    return Trouble(code="not_clickhouse", sentence=f"what answers for ClickHouse at {place(url)} is not ClickHouse")


def _tls_trouble(url: str, reason: str) -> Trouble:
    if any(sign in reason for sign in _SPEAKS_HTTP):
        said = "it speaks plain HTTP at this port: give its https port, or http:// in clickhouse.url"
        return _at(url, "speaks_http", said)
    return _at(url, "tls", f"TLS fails ({reason})")


def _kind(exc: BaseException) -> str:
    """Returns the type of the innermost failure of the operating system, else of the exception."""
    systems = [cause for cause in causes(exc) if isinstance(cause, OSError)]
    return type(systems[-1] if systems else exc).__name__


def _at(url: str, code: TroubleCode, text: str) -> Trouble:
    return Trouble(code=code, sentence=f"ClickHouse at {place(url)}: {text}")
