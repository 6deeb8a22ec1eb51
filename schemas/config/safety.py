"""Settings that would let anybody write into our books: refused at start, each with its path and what to do. Pure."""

import ipaddress
from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher
from typing import Final

from schemas.config.guessing import why_guessable
from schemas.config.settings import Account, Settings

SECRET_CHARS: Final = 16
_MAKE_ONE: Final = "make one with `openssl rand -hex 16`"
_SHARED_CHARS: Final = 6
"""So much in common with an id of the vendor's, which stands in every body, or with another account's secret."""


def unsafe(settings: Settings, pulled: frozenset[str], signing: frozenset[str]) -> tuple[str, ...]:
    """Returns a sentence for each unsafe setting.

    To a vendor of `pulled` nobody can push, so its accounts need neither a secret nor a network; of a vendor of
    `signing` signatures can be checked.
    """
    return (*_open_to_all(settings), *_accounts(settings, pulled), *_signing_secrets(settings, signing))


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that listens on `host`; "" listens everywhere, a name may be anything."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def _open_to_all(settings: Settings) -> Iterator[str]:
    ingress = settings.ingress
    if ingress.require_account:
        return
    if not is_loopback(ingress.host):
        reached = f"ingress.host {ingress.host!r} is reached from other machines"
        instead = 'ingress.host = "127.0.0.1"'
    elif ingress.trust_forwarded_for:
        reached = "ingress.trust_forwarded_for says that a proxy lets other machines in"
        instead = "ingress.trust_forwarded_for = 0 where there is none"
    else:
        return
    yield (
        f"{reached}, and anybody there may push without an account: set ingress.require_account = true and give each vendor "
        f"an account, or set {instead} - at `$.ingress.require_account`"
    )


def _accounts(settings: Settings, pulled: frozenset[str]) -> Iterator[str]:
    alike = _alike(settings.accounts)
    for index, account in enumerate(settings.accounts):
        path = f"$.accounts[{index}]"
        if account.secret.value:
            if why := _why_weak(account, alike[index]):
                yield f"{why}: {_MAKE_ONE} - at `{path}.secret`"
        elif account.vendor in pulled:
            continue
        elif not account.allow:
            yield f"whoever knows its name may push for this account: {_MAKE_ONE}, or name its networks in allow - at `{path}.secret`"
        elif _everywhere(account.allow):
            yield f"these networks are every address there is, and the account has no secret: {_MAKE_ONE} - at `{path}.allow`"


def _signing_secrets(settings: Settings, signing: frozenset[str]) -> Iterator[str]:
    for index, account in enumerate(settings.accounts):
        path = f"$.accounts[{index}].signing_secrets"
        if account.signing_secrets and account.vendor not in signing:
            yield f"signatures of {account.vendor} cannot be checked, so every push would be refused: remove them - at `{path}`"
        for place, secret in enumerate(account.signing_secrets):
            if not secret.value:
                yield f"anybody can sign with an empty key - at `{path}[{place}]`"


def _why_weak(account: Account, alike: frozenset[str]) -> str:
    secret = account.secret.value
    if len(secret) < SECRET_CHARS or not secret.isascii() or not secret.isalnum():
        return f"at least {SECRET_CHARS} letters and digits are wanted"
    names = {account.name, *account.name.replace("-", ".").replace("_", ".").split("."), account.vendor}
    why = why_guessable(secret, (*names, "callweave", *_parts_in(secret, (*account.external_ids, *alike))))
    return f"this secret can be guessed, {why}" if why else ""


def _alike(accounts: tuple[Account, ...]) -> tuple[frozenset[str], ...]:
    """For each account the secrets of others that have a part in common with its own."""
    secrets = [account.secret.value for account in accounts]
    owners: dict[str, set[str]] = {}
    for secret in secrets:
        for part in _parts(secret):
            owners.setdefault(part, set()).add(secret)
    return tuple(
        frozenset(other for part in _parts(each) for other in owners[part] if other != each) for each in secrets
    )


def _parts_in(secret: str, texts: Iterable[str]) -> Iterator[str]:
    """The longest stretches that a secret has in common with texts that others know."""
    for text in texts:
        shared = SequenceMatcher(None, secret, text, autojunk=False).find_longest_match()
        if shared.size >= _SHARED_CHARS:
            yield secret[shared.a : shared.a + shared.size]


def _parts(secret: str) -> set[str]:
    return {secret[start : start + _SHARED_CHARS] for start in range(len(secret) - _SHARED_CHARS + 1)}


def _everywhere(networks: tuple[str, ...]) -> bool:
    """Whether all addresses of IPv4, or all of IPv6, are inside."""
    read = [ipaddress.ip_network(network) for network in networks]
    four = ipaddress.collapse_addresses([each for each in read if isinstance(each, ipaddress.IPv4Network)])
    six = ipaddress.collapse_addresses([each for each in read if isinstance(each, ipaddress.IPv6Network)])
    return any(each.prefixlen == 0 for each in four) or any(each.prefixlen == 0 for each in six)
