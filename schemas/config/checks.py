"""Checks of settings that no single field can express: addresses, logins, accounts, contradictions.

Pure; `schemas.config.safety` finds those that are valid and unsafe.
"""

import ipaddress
import re
import unicodedata
from typing import Final
from urllib.parse import urlsplit

from schemas.config.settings import LEAST_CLICKHOUSE_MB, Account, ClickHouseSettings, Settings
from schemas.errors import SettingsError

_BROKER: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s\[\]:/]+)(:\d{1,5})?")


def check(settings: Settings, vendors: frozenset[str]) -> None:
    """Raises `SettingsError` with the path of a setting that contradicts another one or is not usable."""
    _check_addresses(settings)
    _check_accounts(settings.accounts, vendors)
    for index, poll in enumerate(settings.poll.accounts):
        path = f"$.poll.accounts[{index}]"
        _check_vendor(poll.vendor, path, vendors)
        if not poll.url.startswith(("http://", "https://")):
            raise SettingsError(f"an http(s) address is wanted - at `{path}.url`")
    _check_logins(settings.clickhouse)
    if settings.kafka.min_insync_replicas > settings.kafka.replication:
        raise SettingsError("more in-sync replicas than replicas - at `$.kafka.min_insync_replicas`")
    if 0 < settings.embedded.clickhouse_memory_mb < LEAST_CLICKHOUSE_MB:
        raise SettingsError(f"0, or at least {LEAST_CLICKHOUSE_MB} - at `$.embedded.clickhouse_memory_mb`")
    if settings.clickhouse.insert_timeout_s >= settings.sink.session_timeout_s:
        raise SettingsError("must be below sink.session_timeout_s - at `$.clickhouse.insert_timeout_s`")


def _check_addresses(settings: Settings) -> None:
    for address in settings.kafka.bootstrap.split(",") if settings.kafka.bootstrap else ():
        if not _BROKER.fullmatch(address.strip()):
            raise SettingsError(f"host:port is wanted, not {address!r} - at `$.kafka.bootstrap`")
    for path, url in (("clickhouse", settings.clickhouse.url), ("schema_registry", settings.schema_registry.url)):
        if url and not _is_http(url):
            raise SettingsError(f"an http(s) address is wanted - at `$.{path}.url`")


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets that do not close, or a port that is no number
        return False


def _check_logins(clickhouse: ClickHouseSettings) -> None:
    """Raises on a login that no client can send: Basic authorization ends a name at a colon, a header is one line."""
    if "@" in urlsplit(clickhouse.url).netloc:
        raise SettingsError(
            "name and password stand in clickhouse.user and clickhouse.password, not in the address - at `$.clickhouse.url`"
        )
    for path, name in (("user", clickhouse.user), ("migrator", clickhouse.migrator)):
        if ":" in name or not _one_line(name):
            raise SettingsError(f"a name without colons and control characters is wanted - at `$.clickhouse.{path}`")
    for path, password in (("password", clickhouse.password), ("migrator_password", clickhouse.migrator_password)):
        if not _one_line(password.value):
            raise SettingsError(f"a control character does not come through every client - at `$.clickhouse.{path}`")


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
        secret = account.secret.value
        if secret and secret in secrets:
            raise SettingsError(f"another account has the same secret - at `{path}.secret`")
        _check_networks(account.allow, path)
        names.add((account.vendor, account.name))
        secrets.add(secret)


def _check_networks(networks: tuple[str, ...], path: str) -> None:
    for index, network in enumerate(networks):
        try:
            ipaddress.ip_network(network)
        except ValueError as exc:
            raise SettingsError(f"{exc} - at `{path}.allow[{index}]`") from exc
