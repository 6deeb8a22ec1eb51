"""Checks of credentials that stand in a header as they are: Basic, Bearer, a key, and a client certificate's subject.

Every check is total: any text in a header gives a verdict. Pure: no I/O, no clock.
"""

import binascii
from base64 import b64decode, b64encode
from datetime import datetime
from typing import Final

from ingress.access.comparing import hashed, is_any, set_ones
from ingress.access.networks import inside, networks
from ingress.access.proofs.xfcc import subject_in
from ingress.access.request_head import RequestHead, as_sent
from ingress.access.verdict import HeadCheck, Refusal, Verdict
from schemas.config.caller_checks import ApiKey, Basic, Bearer, Mtls

_AUTHORIZATION: Final = "authorization"
_NO_LOGIN: Final = Refusal(
    code="bad_credentials",
    sentence="name and password of this account are wanted",
    challenge='Basic realm="callweave", charset="UTF-8"',
)
_NO_TOKEN: Final = Refusal(
    code="bad_credentials", sentence="a token of this account is wanted", challenge='Bearer realm="callweave"'
)
_NO_KEY: Final = Refusal(
    code="bad_credentials", sentence="a key of this account is wanted", challenge='ApiKey realm="callweave"'
)
_NO_CERTIFICATE: Final = Refusal(code="forbidden", sentence="a client certificate of this account is wanted")


def basic(check: Basic) -> HeadCheck:
    """Returns the check of name and password."""
    wanted = tuple(
        hashed(f"{name}:{secret.value}".encode("utf-8", "surrogatepass"))
        for name, secret in (
            (check.username, check.secret), (check.second_username or check.username, check.second_secret),
        )
        if secret.value
    )  # fmt: skip

    def verdict(head: RequestHead, _now: datetime) -> Verdict:
        login = login_of(head)
        return None if login and is_any(login, wanted) else _NO_LOGIN

    return verdict


def bearer(check: Bearer) -> HeadCheck:
    """Returns the check of a token."""
    wanted = tuple(map(hashed, set_ones(check.secret, check.second_secret)))

    def verdict(head: RequestHead, _now: datetime) -> Verdict:
        token = token_of(head)
        return None if token and is_any(token, wanted) else _NO_TOKEN

    return verdict


def api_key(check: ApiKey) -> HeadCheck:
    """Returns the check of a key in a header of its own."""
    wanted, name = tuple(map(hashed, set_ones(check.secret, check.second_secret))), check.header.lower()

    def verdict(head: RequestHead, _now: datetime) -> Verdict:
        key = as_sent(head.only(name))
        return None if key and is_any(key, wanted) else _NO_KEY

    return verdict


def mtls(check: Mtls, proxies: tuple[str, ...]) -> HeadCheck:
    """Returns the check of a certificate's subject, which is believed of the trusted proxies and our own listener."""
    wanted = tuple(hashed(subject.encode("utf-8", "surrogatepass")) for subject in check.subjects if subject)
    trusted = networks(proxies)
    name, said = check.header.lower(), check.verified_header.lower()

    def own(head: RequestHead, _now: datetime) -> Verdict:
        subject = as_sent(head.client_subject)
        return None if subject and is_any(subject, wanted) else _NO_CERTIFICATE

    def verdict(head: RequestHead, _now: datetime) -> Verdict:
        if not inside(head.peer, trusted) or (said and head.only(said) != check.verified):
            return _NO_CERTIFICATE
        subject = as_sent(subject_in(head.only(name), check.proxies) if check.format == "xfcc" else head.only(name))
        return None if subject and is_any(subject, wanted) else _NO_CERTIFICATE

    return verdict if name else own


def login_of(head: RequestHead) -> bytes:
    """Returns `name:password` of Basic authorization, b"" where there is none or it is not in Base64."""
    given = _scheme(head, "basic")
    try:
        login = b64decode(given, validate=True)
    except (ValueError, binascii.Error):
        return b""
    # One spelling only: the last letter of Base64 may hold bits that count for nothing.
    return login if b":" in login and b64encode(login).decode() == given else b""


def token_of(head: RequestHead) -> bytes:
    """Returns the token of Bearer authorization, b"" where there is none."""
    return as_sent(_scheme(head, "bearer"))


def _scheme(head: RequestHead, scheme: str) -> str:
    """Returns what follows a scheme of authorization, whose name counts in any case."""
    found, _, rest = head.only(_AUTHORIZATION).partition(" ")
    return rest.strip(" ") if found.lower() == scheme else ""
