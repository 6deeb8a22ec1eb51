"""Finds settings that would let anybody write records: refused at start, each with its path and advice. Pure."""

import ipaddress
from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher
from typing import Final

from schemas.config.caller_safety import keeps_others_out, unsafe_checks
from schemas.config.checks import network
from schemas.config.guessing import why_guessable
from schemas.config.listening import is_loopback, who_reaches
from schemas.config.settings import Account, Settings

SECRET_CHARS: Final = 16
_MAKE_ONE: Final = "make one with `openssl rand -hex 16`"
_SHARED_CHARS: Final = 6
"""Length of a text shared with a vendor's id, which is in every body, or with another secret, that counts as known."""


def unsafe(
    settings: Settings,
    pulled: frozenset[str],
    signing: frozenset[str],
    xml: frozenset[str] = frozenset(),
    *,
    may_be_open: bool = False,
) -> tuple[str, ...]:
    """Returns a sentence for each unsafe setting.

    To a vendor of `pulled` nobody can push, so its accounts need neither a secret nor a network; of a vendor of
    `signing` signatures can be checked, and the bodies of the vendors of `xml` are XML. `may_be_open` says that the
    operator wants anybody to push, or that the command does not listen.
    """
    return (
        *(() if may_be_open else _open_to_all(settings)),
        *_forged_addresses(settings),
        *_accounts(settings, pulled),
        *_signing_secrets(settings, signing),
        *_token_key(settings.privacy.key.value),
        *unsafe_checks(settings, xml),
    )


def _open_to_all(settings: Settings) -> Iterator[str]:
    ingress = settings.ingress
    reached = who_reaches(ingress)
    if not reached or ingress.require_account is True or (ingress.require_account == "auto" and settings.accounts):
        return
    instead = (
        'ingress.host = "127.0.0.1"' if not is_loopback(ingress.host) else "no proxy (ingress.trust_forwarded_for = 0)"
    )
    what = (
        "there is no account, so nobody could push"
        if ingress.require_account == "auto"
        else "anybody there may push without an account"
    )
    yield (
        f"{reached}, and {what}: set ingress.require_account = true and give each vendor an account, set {instead}, or start "
        "with --open where anybody may push - at `$.ingress.require_account`"
    )


def _forged_addresses(settings: Settings) -> Iterator[str]:
    """Yields a sentence for each way to forge the address of a sender."""
    ingress = settings.ingress
    if ingress.trust_forwarded_for and not ingress.trusted_proxies and not is_loopback(ingress.host):
        yield (
            "anybody who reaches the port without the proxy can forge X-Forwarded-For: name the proxies' networks in "
            "ingress.trusted_proxies - at `$.ingress.trust_forwarded_for`"
        )
    if ingress.proxy_protocol and not ingress.trusted_proxies:
        yield (
            "anybody can send a PROXY protocol header: name the proxies' networks in ingress.trusted_proxies "
            "- at `$.ingress.proxy_protocol`"
        )
    if _everywhere(ingress.trusted_proxies):
        yield "these networks are every address there is, and not those of proxies - at `$.ingress.trusted_proxies`"


def _accounts(settings: Settings, pulled: frozenset[str]) -> Iterator[str]:
    alike = _alike(settings.accounts)
    for index, account in enumerate(settings.accounts):
        path = f"$.accounts[{index}]"
        for field, secret in (("secret", account.secret.value), ("second_secret", account.second_secret.value)):
            if secret and (why := _why_weak(secret, account, alike[index])):
                yield f"{why}: {_MAKE_ONE} - at `{path}.{field}`"
        if account.secret.value or account.vendor in pulled or any(map(keeps_others_out, account.checks)):
            continue
        if account.checks and not account.allow:
            yield f"an MD5 that begins with its key can be continued by others, and is no check alone: {_MAKE_ONE} - at `{path}.checks`"
        elif not account.allow:
            yield f"whoever knows its name may push for this account: {_MAKE_ONE}, name its networks in allow, or add one of checks - at `{path}.secret`"
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


def _token_key(key: str) -> Iterator[str]:
    if key and (why := why_guessable(key, ("callweave",))):
        yield (
            f"whoever guesses this key finds the numbers of all tokens, and {why}: make one with `openssl rand -hex 32` "
            "- at `$.privacy.key`"
        )


def _why_weak(secret: str, account: Account, alike: frozenset[str]) -> str:
    if len(secret) < SECRET_CHARS or not secret.isascii() or not secret.isalnum():
        return f"at least {SECRET_CHARS} letters and digits are wanted"
    names = {account.name, *account.name.replace("-", ".").replace("_", ".").split("."), account.vendor}
    why = why_guessable(secret, (*names, "callweave", *_parts_in(secret, (*account.external_ids, *alike))))
    return f"this secret can be guessed, {why}" if why else ""


def _alike(accounts: tuple[Account, ...]) -> tuple[frozenset[str], ...]:
    """Returns for each account the secrets of others that share a text with one of its own."""
    ours = [{secret.value for secret in (account.secret, account.second_secret)} for account in accounts]
    owners: dict[str, set[str]] = {}
    for secret in {secret for each in ours for secret in each}:
        for part in _parts(secret):
            owners.setdefault(part, set()).add(secret)
    return tuple(
        frozenset(other for secret in each for part in _parts(secret) for other in owners[part]) - each for each in ours
    )


def _parts_in(secret: str, texts: Iterable[str]) -> Iterator[str]:
    """Yields the longest texts that a secret shares with texts that others know."""
    for text in texts:
        shared = SequenceMatcher(None, secret, text, autojunk=False).find_longest_match()
        if shared.size >= _SHARED_CHARS:
            yield secret[shared.a : shared.a + shared.size]


def _parts(secret: str) -> set[str]:
    return {secret[start : start + _SHARED_CHARS] for start in range(len(secret) - _SHARED_CHARS + 1)}


def _everywhere(networks: tuple[str, ...]) -> bool:
    """True when the networks cover all addresses of IPv4, or all of IPv6."""
    read = [network(text) for text in networks]
    four = ipaddress.collapse_addresses([each for each in read if isinstance(each, ipaddress.IPv4Network)])
    six = ipaddress.collapse_addresses([each for each in read if isinstance(each, ipaddress.IPv6Network)])
    return any(each.prefixlen == 0 for each in four) or any(each.prefixlen == 0 for each in six)
