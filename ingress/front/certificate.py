"""The listener's own certificate: loaded at the start, taken up anew when its files change.

Each new connection gets the newest context that could be loaded. Connections that are open keep theirs, so that nothing
is lost by a change. A pair that does not fit, as while only one of two files is written, leaves the old one in place.
"""

import asyncio
import hashlib
import logging
import ssl
from pathlib import Path
from typing import Final

from schemas.config.settings import IngressSettings
from schemas.config.tls import ClientTls
from schemas.errors import SettingsError
from schemas.metrics import Registry
from schemas.tls import load_authorities, load_certificate, stamp_of

LOOK_EVERY_S: Final = 1.0
_log: Final = logging.getLogger("callweave.ingress")


class Certificate:
    """The TLS context of new connections, which follows its files."""

    def __init__(self, ingress: IngressSettings, metrics: Registry) -> None:
        """Raises SettingsError with the path of the setting whose file cannot be used."""
        self._ingress = ingress
        self._metrics = metrics
        self._stamp = stamp_of(_files(ingress))
        self.context = load(ingress)
        """The context of the next connection."""
        metrics.put("callweave_ingress_certificate_stale", value=0)

    async def follow(self) -> None:
        """Looks at the files every second; runs until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            self.look()

    def look(self) -> None:
        """Takes changed files up; keeps the old certificate when they cannot be used, and says so."""
        stamp = stamp_of(_files(self._ingress))
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self.context = load(self._ingress)
        except SettingsError as exc:
            self._metrics.put("callweave_ingress_certificate_stale", value=1)
            _log.error("the new certificate cannot be used, the old one stays: %s", exc)
            return
        self._metrics.put("callweave_ingress_certificate_stale", value=0)
        _log.info(
            "a new certificate: file=%s sha256=%s", self._ingress.tls_certificate_file, fingerprint(self._ingress)
        )


def load(ingress: IngressSettings) -> ssl.SSLContext:
    """Returns a context of the files as they are; raises SettingsError with the path of the setting at fault."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION  # a caller could make us compute for nothing
    context.set_alpn_protocols(["http/1.1"])
    files = _files(ingress)
    load_certificate(context, files, "$.ingress.tls_")
    if files.ca_file:
        context.verify_mode = ssl.CERT_OPTIONAL
        load_authorities(context, files, "$.ingress.tls_client_")
    return context


def fingerprint(ingress: IngressSettings) -> str:
    """Returns the SHA-256 of the certificate, as tools show it without colons; "" when it cannot be read."""
    try:
        text = Path(ingress.tls_certificate_file).read_text("ascii", "replace")
        first = text[text.index("-----BEGIN CERTIFICATE") :].partition("-----END CERTIFICATE-----")[0]
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(f"{first}-----END CERTIFICATE-----\n")).hexdigest()
    except (OSError, ValueError):
        return ""


def _files(ingress: IngressSettings) -> ClientTls:
    """Returns the listener's files by the names that those of a client have."""
    return ClientTls(
        ca_file=ingress.tls_client_ca_file,
        certificate_file=ingress.tls_certificate_file,
        key_file=ingress.tls_key_file,
        key_password=ingress.tls_key_password,
    )
