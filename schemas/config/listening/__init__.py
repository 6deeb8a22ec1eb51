"""Derives from the settings who can reach the ingress, and where its pages are; says why a port cannot be had. Pure."""

import errno
import ipaddress

from schemas.config.settings import IngressSettings
from schemas.errors import SetupError


def is_loopback(host: str) -> bool:
    """True when only this machine reaches a server on `host`: "" is every address, and a name may be any."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def who_reaches(ingress: IngressSettings) -> str:
    """Returns the setting by which other machines reach the ingress, as a sentence; "" when none do."""
    if not is_loopback(ingress.host):
        return f"ingress.host {ingress.host!r} is reached from other machines"
    for name in ("trust_forwarded_for", "trusted_proxies", "proxy_protocol"):
        if getattr(ingress, name):
            return f"ingress.{name} says that a proxy lets other machines in"
    return ""


def needs_account(ingress: IngressSettings) -> bool:
    """True when pushes that name no account are refused."""
    if ingress.require_account == "auto":
        return bool(who_reaches(ingress))
    return ingress.require_account


def has_admin_port(ingress: IngressSettings) -> bool:
    """True when `/metrics` and the details of `/readyz` are on a port of their own.

    That is so where other machines reach the port of the pushes, and where it does not speak plain HTTP.
    """
    return not is_loopback(ingress.host) or bool(ingress.tls_certificate_file) or ingress.proxy_protocol


def admin_address(ingress: IngressSettings) -> tuple[str, int]:
    """Returns the host and the port of `/metrics` and the details of `/readyz`."""
    return (ingress.admin_host, ingress.admin_port) if has_admin_port(ingress) else (ingress.host, ingress.port)


def cannot_listen(error: OSError, host: str, port: int, *, what: str, setting: str, holder: str = "") -> SetupError:
    """Returns the error for a port that `what` cannot listen on; `holder` names the process that uses it."""
    if error.errno == errno.EADDRINUSE:
        return SetupError(
            f"{what} needs port {port}, which {holder or 'another process'} already uses",
            code="port_in_use",
            advice=f"Stop that process, or set {setting} to a free port.",
        )
    why = (error.strerror or str(error)).rpartition(": ")[2]  # asyncio puts the address before the reason
    return SetupError(
        f"{what} cannot listen on {host}:{port}: {why}",
        code="port",
        advice=f"Set {setting} to a port you may use, and the host beside it to an address of this machine.",
    )
