"""Makes the TLS context of a client from its settings: one way for Kafka, ClickHouse and the schema registry.

A context lives as long as its client. It looks at its files before each new connection, so that a certificate which is
renewed on disk needs no restart. Authorities are only added to a living context: one that is no longer trusted is
forgotten at the next start.
"""

import contextlib
import os
import ssl
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from schemas.config.tls import ClientTls
from schemas.errors import SettingsError

Stamp = tuple[tuple[int, int, int], ...]
_PROC: Final = "/proc/self/fd"


def client_context(tls: ClientTls, at: str = "$.tls") -> ssl.SSLContext:
    """Returns the context for connections to a server; `at` is the path of the settings.

    Raises `SettingsError` with the path of a file that cannot be read, or is no certificate or key. The system's
    authorities are trusted where the settings name none.
    """
    context = _RenewingContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = tls.check_hostname
    context.load(tls, f"{at}.")
    return context


class _BriefObject(ssl.SSLObject):
    """Ends a connection without waiting for the other side's farewell, which TLS allows (RFC 8446, 6.1).

    A Kafka broker with a fetch still open gives none, and event loops wait 30 s for it: so long took the end of each
    consumer, and the restore of each partition.
    """

    def unwrap(self) -> None:
        """Says farewell, and takes whatever comes instead of an answer for one."""
        with contextlib.suppress(ssl.SSLError):
            super().unwrap()


class _RenewingContext(ssl.SSLContext):
    """A context that loads its files again when they have changed, before the next connection."""

    sslobject_class = _BriefObject
    _tls: ClientTls = ClientTls()
    _stamp: Stamp = ()

    def load(self, tls: ClientTls, at: str) -> None:
        """Loads authorities, certificate and key; raises `SettingsError`."""
        self._tls = tls
        self._stamp = stamp_of(tls)
        load_authorities(self, tls, at)
        load_certificate(self, tls, at)

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        """Begins a connection of asyncio, with the files as they are now."""
        self._renew()
        return super().wrap_bio(*args, **kwargs)

    def wrap_socket(self, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        """Begins a connection of a blocking client, with the files as they are now."""
        self._renew()
        return super().wrap_socket(*args, **kwargs)

    def _renew(self) -> None:
        stamp = stamp_of(self._tls)
        if stamp == self._stamp:
            return
        # On a context of its own first: a certificate whose key is still to be written would spoil this one, which goes
        # on with the old pair until both fit.
        with contextlib.suppress(SettingsError):
            trial = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            for context in (trial, self):
                load_authorities(context, self._tls, "")
                load_certificate(context, self._tls, "")
            self._stamp = stamp


def stamp_of(tls: ClientTls) -> Stamp:
    """Returns what changes when one of the files does."""
    found = []
    for path in (tls.ca_file, tls.certificate_file, tls.key_file):
        with contextlib.suppress(OSError):
            at = Path(path).stat()
            found.append((at.st_mtime_ns, at.st_size, at.st_ino))
    return tuple(found)


def load_authorities(context: ssl.SSLContext, tls: ClientTls, at: str) -> None:
    """Loads the authorities that are trusted; `at` is the beginning of the settings' paths. Raises `SettingsError`."""
    if tls.ca_file:
        with _said(f"{at}ca_file", tls.ca_file, "it holds no certificate in PEM"):
            context.load_verify_locations(cafile=tls.ca_file)
    elif tls.ca_pem.value:
        with _said(f"{at}ca_pem", "this text", "it holds no certificate in PEM"):
            context.load_verify_locations(cadata=tls.ca_pem.value)
    else:
        context.load_default_certs()


def load_certificate(context: ssl.SSLContext, tls: ClientTls, at: str) -> None:
    """Loads the certificate with its key; `at` is the beginning of the settings' paths. Raises `SettingsError`."""
    if not (tls.certificate_file or tls.certificate_pem.value):
        return
    for name, path in (("certificate_file", tls.certificate_file), ("key_file", tls.key_file)):
        if path:
            with _said(f"{at}{name}", path, ""):
                Path(path).open("rb").close()
    encrypted = False

    def password() -> str:  # without one OpenSSL would ask on the terminal
        nonlocal encrypted
        encrypted = True
        return tls.key_password.value

    name = "certificate_file" if tls.certificate_file else "certificate_pem"
    with (
        _file(tls.certificate_file, tls.certificate_pem.value) as certificate,
        _file(tls.key_file, tls.key_pem.value) as key,
    ):
        try:
            context.load_cert_chain(certificate, key or None, password=password)
        except (ssl.SSLError, ValueError) as exc:  # ValueError: a password beyond OpenSSL's bound
            if encrypted:
                raise SettingsError(
                    f"the key is encrypted, and this does not open it - at `{at}key_password`"
                ) from None
            why = (
                "the key is not that of the certificate"
                if _is_mismatch(exc)
                else "certificate and key in PEM are wanted"
            )
            raise SettingsError(
                f"{tls.certificate_file or 'this text'} cannot be used: {why} - at `{at}{name}`"
            ) from None


def _is_mismatch(error: Exception) -> bool:
    return isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH"


@contextlib.contextmanager
def _said(at: str, what: str, wanted: str) -> Iterator[None]:
    """Turns the failure to load a file into `SettingsError`, without a word of what stands in it."""
    try:
        yield
    except (ssl.SSLError, ValueError):  # ValueError: a NUL in a path
        raise SettingsError(f"{what} cannot be used: {wanted} - at `{at}`") from None
    except OSError as exc:
        raise SettingsError(f"{what} cannot be read: {exc.strerror} - at `{at}`") from None


@contextlib.contextmanager
def _file(path: str, text: str) -> Iterator[str]:
    """Yields the path of a file, for a text one that is only in memory: OpenSSL takes certificates from files."""
    if path or not text:
        yield path
        return
    if hasattr(os, "memfd_create") and Path(_PROC).is_dir():
        number = os.memfd_create("pem")
        with os.fdopen(number, "wb") as held:
            held.write(text.encode())
            held.flush()
            yield f"{_PROC}/{number}"
        return
    with tempfile.NamedTemporaryFile("w", encoding="utf-8") as kept:  # mode 0600
        kept.write(text)
        kept.flush()
        yield kept.name
