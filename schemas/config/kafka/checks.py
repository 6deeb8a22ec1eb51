"""Checks of the settings of Kafka and of the schema registry: protocol, login, certificates, further options. Pure."""

import difflib
import ipaddress
from collections.abc import Callable, Iterator, Mapping
from typing import Final
from urllib.parse import urlsplit

from schemas.config.kafka.registry import SchemaRegistrySettings
from schemas.config.kafka.sasl import CLOSED, OPEN, Sasl
from schemas.config.settings import KafkaSettings
from schemas.config.tls import ClientTls, check_tls
from schemas.errors import SettingsError

_LONGEST_MS: Final = 2**31 - 1


def check_kafka(kafka: KafkaSettings) -> None:
    """Raises `SettingsError` with the path of a setting that contradicts another one or is not usable."""
    has_tls, has_login = kafka.security_protocol.endswith("SSL"), kafka.security_protocol.startswith("SASL")
    if kafka.security_protocol != "PLAINTEXT" and not kafka.bootstrap:
        raise SettingsError(
            "the Kafka that `callweave up` starts speaks PLAINTEXT: set kafka.bootstrap to one of yours, or leave this out "
            "- at `$.kafka.security_protocol`"
        )
    if kafka.tls != ClientTls() and not has_tls:
        raise SettingsError(
            f"{kafka.security_protocol} has no TLS: set SSL or SASL_SSL - at `$.kafka.security_protocol`"
        )
    if kafka.sasl != Sasl() and not has_login:
        raise SettingsError(
            f"{kafka.security_protocol} has no login: set SASL_SSL or SASL_PLAINTEXT - at `$.kafka.security_protocol`"
        )
    if has_tls:
        check_tls(kafka.tls, "$.kafka.tls")
    check = _LOGINS.get(kafka.sasl.mechanism) if has_login else None
    if check and (fault := next(check(kafka.sasl), None)):
        raise SettingsError(f"{fault[1]} - at `$.kafka.sasl.{fault[0]}`")
    _check_further(kafka.client)


def check_registry(registry: SchemaRegistrySettings) -> None:
    """Raises `SettingsError` with the path of a setting that contradicts another one."""
    if registry.user and registry.token.value:
        raise SettingsError("give user and password, or token, not both - at `$.schema_registry.token`")
    if registry.password.value and not registry.user:
        raise SettingsError("a password without a user is of no use - at `$.schema_registry.user`")
    if ":" in registry.user:
        raise SettingsError("a name without colons is wanted - at `$.schema_registry.user`")
    if registry.user and "@" in urlsplit(registry.url).netloc:
        raise SettingsError("the address has a login of its own: leave one out - at `$.schema_registry.url`")
    if registry.tls != ClientTls() and not registry.url.startswith("https://"):
        raise SettingsError("certificates are of no use without an https address - at `$.schema_registry.url`")
    check_tls(registry.tls, "$.schema_registry.tls")


def _password(sasl: Sasl) -> Iterator[tuple[str, str]]:
    if not sasl.user:
        yield "user", f"{sasl.mechanism} wants a user"
    if not sasl.password.value:
        yield "password", f"{sasl.mechanism} wants a password"


def _token(sasl: Sasl) -> Iterator[tuple[str, str]]:
    if bool(sasl.token_command) == bool(sasl.oidc.url):
        yield "token_command", "OAUTHBEARER wants a token from token_command or from oidc.url, one of them"
    if not sasl.oidc.url:
        return
    if not _is_private(sasl.oidc.url):
        yield "oidc.url", "an https address is wanted, because our secret goes there"
    if not sasl.oidc.client_id:
        yield "oidc.client_id", "the provider wants the name of our client"
    if not sasl.oidc.client_secret.value:
        yield "oidc.client_secret", "the provider wants the secret of our client"
    check_tls(sasl.oidc.tls, "$.kafka.sasl.oidc.tls")


_LOGINS: Final[Mapping[str, Callable[[Sasl], Iterator[tuple[str, str]]]]] = {
    "PLAIN": _password,
    "SCRAM-SHA-256": _password,
    "SCRAM-SHA-512": _password,
    "OAUTHBEARER": _token,
}


def _is_private(url: str) -> bool:
    """True for an address to which a secret can be sent: over https, or on this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    if parts.scheme == "https":
        return bool(host)
    try:
        return parts.scheme == "http" and (host == "localhost" or ipaddress.ip_address(host).is_loopback)
    except ValueError:
        return False


def _check_further(options: Mapping[str, int]) -> None:
    for name, value in options.items():
        path = f"$.kafka.client.{name}"
        if why := CLOSED.get(name):
            raise SettingsError(f"{why} - at `{path}`")
        if name not in OPEN:
            near = difflib.get_close_matches(name, OPEN, n=1)
            meant = f", {near[0]} is meant" if near else f": one of {', '.join(sorted(OPEN))}"
            raise SettingsError(f"the Kafka client has no such option{meant} - at `{path}`")
        if not 1 <= value <= _LONGEST_MS:
            raise SettingsError(f"a number from 1 to {_LONGEST_MS} is wanted - at `{path}`")
