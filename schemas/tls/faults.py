"""Says in words why a TLS connection did not come about: one wording for Kafka, ClickHouse and the schema registry.

No word comes from the other side.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator, Mapping
from typing import Final, Literal

import msgspec

from schemas.config.tls import ClientTls

FaultCode = Literal["unknown_ca", "wrong_name", "expired", "client_certificate", "tls"]
_NAME: Final = ("wrong_name", "is for another name: reach it by a name that stands in it")
_CA: Final = (
    "unknown_ca",
    "is of an authority that is not trusted: set {at}.ca_file to the certificate of its authority",
)
_VERIFY: Final[Mapping[int, tuple[FaultCode, str]]] = {
    **dict.fromkeys((2, 18, 19, 20, 21), _CA),
    9: ("expired", "is not valid yet: compare the clocks"),
    10: ("expired", "has expired: it must be renewed there"),
    62: _NAME,
    64: _NAME,
}
"""OpenSSL's numbers of a certificate's faults (X509_V_ERR_*)."""
_OUR_CERTIFICATE: Final = (
    *("ALERT_UNKNOWN_CA", "ALERT_BAD_CERTIFICATE", "CERTIFICATE_REQUIRED", "ALERT_CERTIFICATE_EXPIRED"),
    *("ALERT_CERTIFICATE_REVOKED", "ALERT_CERTIFICATE_UNKNOWN", "ALERT_HANDSHAKE_FAILURE", "ALERT_ACCESS_DENIED"),
    *("ALERT_DECRYPT_ERROR", "ALERT_UNSUPPORTED_CERTIFICATE"),
)
_GREETING_S: Final = 2.0


class CertificateFault(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate that one side does not accept."""

    code: FaultCode
    sentence: str


class HungUp(ConnectionError):
    """Raised for a server that ends a connection without a reason as soon as TLS is there."""


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yields an exception and all that it comes from: causes, reasons and arguments of libraries' exceptions."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        one = waiting.pop(0)
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]


def fault(error: BaseException, server: str, tls: ClientTls, at: str) -> CertificateFault | None:
    """Returns why a certificate is not accepted by one side; None when the failure is another one.

    `server` names the server with its address, `at` is the path of the settings.
    """
    for cause in causes(error):
        number = getattr(cause, "verify_code", None)  # aiohttp's own error of this kind has none, but one that has
        if isinstance(cause, ssl.SSLCertVerificationError) and number is not None:
            code, why = _VERIFY.get(number, ("tls", f"is refused (OpenSSL {number})"))
            return CertificateFault(code=code, sentence=f"the certificate of {server} {why.format(at=at)}")
        if isinstance(cause, HungUp):
            said = f"hangs up as soon as TLS is there, as where it wants another certificate: see {at}.certificate_file"
            return CertificateFault(code="client_certificate", sentence=f"{server} {said}")
        reason = getattr(cause, "reason", None) or ""  # likewise
        if isinstance(cause, ssl.SSLError) and any(name in reason for name in _OUR_CERTIFICATE):
            said = (
                f"does not accept our certificate ({at}.certificate_file): it trusts another authority, or it has expired"
                if tls.certificate_file or tls.certificate_pem.value
                else f"wants a certificate from its clients: set {at}.certificate_file and {at}.key_file"
            )
            return CertificateFault(code="client_certificate", sentence=f"{server} {said}")
    return None


def greeted(host: str, port: int, context: ssl.SSLContext | None = None, *, waits: bool = False) -> OSError | None:
    """Makes a TLS connection and says nothing; returns the error with which it ends, None where it does not.

    Without a `context` any certificate will do. With TLS 1.3 a server refuses our certificate after the handshake, and
    HTTP clients hide that: with `waits` it has some seconds for it.
    """
    try:
        with (
            socket.create_connection((host, port), _GREETING_S) as plain,
            (context or _anybody()).wrap_socket(plain, server_hostname=host) as secure,
            contextlib.suppress(TimeoutError, ConnectionError),
        ):
            return HungUp() if waits and not secure.recv(1) else None
    except OSError as exc:
        return exc
    return None


async def speaks_tls(host: str, port: int) -> bool | None:
    """True when a port answers a TLS greeting, False when it hangs up or says something else, None when away."""
    ended = await asyncio.to_thread(greeted, host, port)
    if isinstance(ended, ConnectionRefusedError | TimeoutError | socket.gaierror):
        return None
    return "ALERT" in (ended.reason or "") if isinstance(ended, ssl.SSLError) else ended is None


def _anybody() -> ssl.SSLContext:
    """Returns a context that takes any certificate, for a connection over which nothing is sent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
