"""Tells the accounts of a vendor apart by the credentials of a push, where neither address nor name says whose it is.

A name or a token that one account alone has is enough to find it; whether the credentials are right is for its gate to
say. Pure: no I/O, no clock.
"""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from ingress.access.comparing import hashed, is_any, set_ones
from ingress.access.proofs.credentials import login_of, token_of
from ingress.access.proofs.wsse import username_token
from ingress.access.request_head import RequestHead, as_sent
from schemas.config.caller_checks import ApiKey, Basic, Bearer, Check, Wsse
from schemas.config.settings import Account
from schemas.errors import Rejected

_Reader = Callable[[RequestHead], bytes]
_REFUSED: Final = "these are credentials of no account, or of several: name the account with ?account="


class _Sign(msgspec.Struct, frozen=True):
    """The part of a push by which an account is known."""

    account: Account
    read: _Reader
    wanted: tuple[bytes, ...]


class Callers:
    """The credentials by which accounts are known; those with a path secret are known by that alone."""

    def __init__(self, accounts: Sequence[Account]) -> None:
        self._signs: dict[str, list[_Sign]] = {}
        for account in accounts:
            if account.secret.value:
                continue
            for check in account.checks:
                read, wanted = _known_by(check)
                if read is not None:
                    sign = _Sign(account, read, tuple(hashed(each) for each in wanted if each))
                    self._signs.setdefault(account.vendor, []).append(sign)

    def find(self, vendor: str, head: RequestHead) -> Account | None:
        """Returns the account whose credentials a push bears, None for a push without any.

        Raises Rejected 403 for credentials of nobody, or of several accounts: they are no reason to take the push as
        one of nobody.
        """
        found: dict[str, Account] = {}
        shown = False
        for sign in self._signs.get(vendor, ()):
            given = sign.read(head)
            shown |= bool(given)
            if given and is_any(given, sign.wanted):
                found[sign.account.name] = sign.account
        if len(found) == 1:
            return next(iter(found.values()))
        if shown:
            raise Rejected(_REFUSED, code="bad_credentials", http_status=403)
        return None


def _known_by(check: Check) -> tuple[_Reader | None, tuple[bytes, ...]]:
    """Returns how a check's credentials are read from a head, and those by which its account is known."""
    match check:
        case Basic():
            return lambda head: login_of(head).partition(b":")[0], _names(check)
        case Wsse():
            name = check.header.lower()
            return lambda head: _username(head.only(name)), _names(check)
        case Bearer():
            return token_of, set_ones(check.secret, check.second_secret)
        case ApiKey():
            header = check.header.lower()
            return lambda head: as_sent(head.only(header)), set_ones(check.secret, check.second_secret)
        case _:
            return None, ()


def _names(check: Basic | Wsse) -> tuple[bytes, ...]:
    return tuple(name.encode("utf-8", "surrogatepass") for name in (check.username, check.second_username))


def _username(header: str) -> bytes:
    token = username_token(header)
    return as_sent(token.username) if token else b""
