"""Checks of settings that no single field can express: addresses, logins, accounts, contradictions.

Pure; `schemas.config.safety` finds those that are valid and unsafe.
"""

import ipaddress
import re
import unicodedata
from typing import Final
from urllib.parse import urlsplit

from schemas.config.figures.zones import check_zones
from schemas.config.kafka.checks import check_kafka, check_registry
from schemas.config.listening import has_admin_port
from schemas.config.privacy import KEY_CHARS
from schemas.config.secret import Secret
from schemas.config.settings import LEAST_CLICKHOUSE_MB, Account, ClickHouseSettings, IngressSettings, Settings
from schemas.config.tls import check_tls
from schemas.errors import SettingsError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_MAPPED: Final = ipaddress.IPv6Network("::ffff:0:0/96")
_BROKER: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s\[\]:/]+)(:\d{1,5})?")


def check(settings: Settings, vendors: frozenset[str]) -> None:
    """Raises `SettingsError` with the path of a setting that contradicts another one or is not usable."""
    _check_addresses(settings)
    _check_accounts(settings.accounts, vendors)
    _check_networks(settings.ingress.trusted_proxies, "$.ingress", "trusted_proxies")
    for index, poll in enumerate(settings.poll.accounts):
        path = f"$.poll.accounts[{index}]"
        _check_vendor(poll.vendor, path, vendors)
        if not poll.url.startswith(("http://", "https://")):
            raise SettingsError(f"an http(s) address is wanted - at `{path}.url`")
    check_zones(settings)
    _check_logins(settings.clickhouse)
    _check_servers(settings.clickhouse)
    check_kafka(settings.kafka)
    check_registry(settings.schema_registry)
    _check_listener(settings.ingress)
    if 0 < len(settings.privacy.key.value) < KEY_CHARS:
        raise SettingsError(f"at least {KEY_CHARS} characters, or none, are wanted - at `$.privacy.key`")
    if settings.kafka.min_insync_replicas > settings.kafka.replication:
        raise SettingsError("more in-sync replicas than replicas - at `$.kafka.min_insync_replicas`")
    if 0 < settings.embedded.clickhouse_memory_mb < LEAST_CLICKHOUSE_MB:
        raise SettingsError(f"0, or at least {LEAST_CLICKHOUSE_MB} - at `$.embedded.clickhouse_memory_mb`")
    if settings.clickhouse.insert_timeout_s >= settings.sink.session_timeout_s:
        raise SettingsError("must be below sink.session_timeout_s - at `$.clickhouse.insert_timeout_s`")


def network(text: str) -> Network:
    """Returns a network, as one of IPv4 where its addresses are mapped ones; raises ValueError for any other text."""
    read = ipaddress.ip_network(text)
    if isinstance(read, ipaddress.IPv6Network) and read.subnet_of(_MAPPED):
        mapped = read.network_address.ipv4_mapped
        return ipaddress.IPv4Network((int(mapped or 0), read.prefixlen - _MAPPED.prefixlen))
    return read


def _check_addresses(settings: Settings) -> None:
    for address in settings.kafka.bootstrap.split(",") if settings.kafka.bootstrap else ():
        if not _BROKER.fullmatch(address.strip()):
            raise SettingsError(f"host:port is wanted, not {address.rpartition('@')[2]!r} - at `$.kafka.bootstrap`")
    registry = (settings.schema_registry.url,) if settings.schema_registry.url else ()
    for path, urls in (("clickhouse", settings.clickhouse.urls), ("schema_registry", registry)):
        if not all(map(_is_http, urls)):
            raise SettingsError(f"an http(s) address is wanted - at `$.{path}.url`")


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets that do not close, or a port that is no number
        return False


def _check_logins(clickhouse: ClickHouseSettings) -> None:
    """Raises on a login that no client can send: Basic authorization ends a name at a colon, a header is one line."""
    if any("@" in urlsplit(url).netloc for url in clickhouse.urls):
        raise SettingsError(
            "name and password stand in clickhouse.user and clickhouse.password, not in the address - at `$.clickhouse.url`"
        )
    for path in ("user", "migrator", "reader", "analyst"):
        name: str = getattr(clickhouse, path)
        if ":" in name or not _one_line(name):
            raise SettingsError(f"a name without colons and control characters is wanted - at `$.clickhouse.{path}`")
    for path, password in (("password", clickhouse.password), ("migrator_password", clickhouse.migrator_password)):
        if not _one_line(password.value):
            raise SettingsError(f"a control character does not come through every client - at `$.clickhouse.{path}`")


def _check_servers(clickhouse: ClickHouseSettings) -> None:
    check_tls(clickhouse.tls, "$.clickhouse.tls")
    if clickhouse.sharded and not clickhouse.cluster:
        raise SettingsError("shards are those of a cluster: set clickhouse.cluster, too - at `$.clickhouse.sharded`")
    if len(set(clickhouse.urls)) < len(clickhouse.urls):
        raise SettingsError("an address is there twice - at `$.clickhouse.url`")


def _one_line(text: str) -> bool:
    return not any(unicodedata.category(char) in ("Cc", "Cs") for char in text)


def _check_vendor(vendor: str, path: str, vendors: frozenset[str]) -> None:
    if vendor not in vendors:
        raise SettingsError(f"unknown vendor {vendor!r}: one of {', '.join(sorted(vendors))} - at `{path}.vendor`")


def _check_accounts(accounts: tuple[Account, ...], vendors: frozenset[str]) -> None:
    names: set[tuple[str, str]] = set()
    secrets: set[str] = set()
    for index, account in enumerate(accounts):
        path = f"$.accounts[{index}]"
        _check_vendor(account.vendor, path, vendors)
        if not account.name or not all(c.isalnum() or c in "-_." for c in account.name):
            raise SettingsError(f"a name of letters, digits, - _ . is wanted - at `{path}.name`")
        if (account.vendor, account.name) in names:
            raise SettingsError(f"{account.vendor} has two accounts of this name - at `{path}.name`")
        if account.second_secret.value and not account.secret.value:
            raise SettingsError(f"a second secret stands beside a first one - at `{path}.second_secret`")
        for field, secret in (("secret", account.secret.value), ("second_secret", account.second_secret.value)):
            if secret and secret in secrets:
                raise SettingsError(f"another account has the same secret - at `{path}.{field}`")
            secrets.add(secret)
        _check_networks(account.allow, path)
        names.add((account.vendor, account.name))


def _check_listener(ingress: IngressSettings) -> None:
    for name in ("tls_key_file", "tls_key_password", "tls_client_ca_file"):
        given = getattr(ingress, name)
        if (given.value if isinstance(given, Secret) else given) and not ingress.tls_certificate_file:
            raise SettingsError(f"it needs ingress.tls_certificate_file - at `$.ingress.{name}`")
    if has_admin_port(ingress) and ingress.admin_port == ingress.port:
        raise SettingsError("the admin pages need a port of their own, not ingress.port - at `$.ingress.admin_port`")


def _check_networks(networks: tuple[str, ...], path: str, name: str = "allow") -> None:
    for index, text in enumerate(networks):
        try:
            network(text)
        except ValueError as exc:
            raise SettingsError(f"{exc} - at `{path}.{name}[{index}]`") from exc
