"""Settings of TLS where we are the client: of Kafka, of ClickHouse, of a schema registry. Pure."""

import msgspec

from schemas.config.secret import Secret
from schemas.errors import SettingsError


class ClientTls(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Certificates of an encrypted connection. Files that change are read again at the next connection."""

    ca_file: str = ""
    """File (PEM) of the authorities that are trusted in place of the system's own: set it where the server's
    certificate is of a company's own authority."""
    ca_pem: Secret = Secret()
    """The same as PEM text, as from a variable, instead of `ca_file`."""
    certificate_file: str = ""
    """File (PEM) of our certificate with its chain: set it where the server asks its clients for one (mutual TLS)."""
    certificate_pem: Secret = Secret()
    """The same as PEM text, instead of `certificate_file`."""
    key_file: str = ""
    """File (PEM) of the key of our certificate. Empty: the key stands beside the certificate."""
    key_pem: Secret = Secret()
    """The same as PEM text, instead of `key_file`."""
    key_password: Secret = Secret()
    """Password of an encrypted key. Empty: it is not encrypted."""
    check_hostname: bool = True
    """Compares the server's name with its certificate. False only where servers are reached by addresses that no
    certificate can name: whoever has any certificate of the authority can then stand between."""


def check_tls(tls: ClientTls, path: str) -> None:
    """Raises `SettingsError` with the path of a setting that contradicts another one."""
    for name in ("ca", "certificate", "key"):
        if getattr(tls, f"{name}_file") and getattr(tls, f"{name}_pem").value:
            raise SettingsError(f"give {name}_file or {name}_pem, not both - at `{path}.{name}_pem`")
    certificate = tls.certificate_file or tls.certificate_pem.value
    for name, given in (
        ("key_file", tls.key_file),
        ("key_pem", tls.key_pem.value),
        ("key_password", tls.key_password.value),
    ):
        if given and not certificate:
            raise SettingsError(f"a key without certificate_file or certificate_pem is of no use - at `{path}.{name}`")
