"""Examples that vendors and standards print, so that our reading of a scheme is not checked by itself."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest

from ingress.access.gate import Gate
from ingress.access.request_head import RequestHead
from schemas.config.caller_checks import Basic, Bearer, Check, Hmac, Svix, Twilio, Wsse
from schemas.config.secret import Secret
from schemas.errors import Rejected

FORM = "application/x-www-form-urlencoded"


def passes(
    check: Check, headers: Mapping[str, str], body: bytes = b"", *, at: str = "2026-05-06T07:08:09", **head: Any
) -> bool:
    """True when a push with these headers (names in lower case) passes the check."""
    asked = RequestHead(method="POST", path="", headers=tuple(headers.items()), **head)
    gate, now = Gate((check,), ()), datetime.fromisoformat(at).replace(tzinfo=UTC)
    try:
        gate.pass_head(asked, now)
        gate.pass_body(asked, body, now)
    except Rejected:
        return False
    return True


@pytest.mark.parametrize(
    ("username", "password", "header"),
    [
        pytest.param("Aladdin", "open sesame", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", id="RFC 7617, section 2"),
        pytest.param("test", "123\u00a3", "Basic dGVzdDoxMjPCow==", id="RFC 7617, section 2.1"),
        pytest.param("Aladdin", "open sesame", "basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", id="the scheme in another case"),
    ],
)
def test_basic(username: str, password: str, header: str) -> None:
    check = Basic(username=username, secret=Secret(password))
    assert passes(check, {"authorization": header})
    assert not passes(check, {"authorization": header.replace("Q", "R").replace("d", "e")})


def test_bearer_of_rfc_6750() -> None:
    assert passes(Bearer(secret=Secret("mF_9.B5f-4.1JqM")), {"authorization": "Bearer mF_9.B5f-4.1JqM"})


@pytest.mark.parametrize(
    ("algorithm", "signature"),
    [
        pytest.param(
            "sha256", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843", id="RFC 4231, SHA-256"
        ),
        pytest.param(
            "sha512",
            "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
            "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
            id="RFC 4231, SHA-512",
        ),
        pytest.param("sha1", "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79", id="RFC 2202, SHA-1"),
    ],
)
def test_hmac(algorithm: Any, signature: str) -> None:
    check = Hmac(header="X-Signature", algorithm=algorithm, secret=Secret("Jefe"))
    for spelt in (signature, signature.upper()):
        assert passes(check, {"x-signature": spelt}, b"what do ya want for nothing?")
    assert not passes(check, {"x-signature": signature}, b"what do ya want for nothing!")


def test_the_token_of_atom() -> None:
    """The example of "Atom Authentication" (2003), which everybody's X-WSSE comes from."""
    token = (
        'UsernameToken Username="bob", PasswordDigest="quR/EWLAV4xLf9Zqyw4pDmfV9OY=", '
        'Nonce="d36e316282959a9ed4c89851497a717f", Created="2003-12-15T14:43:07Z"'
    )
    check = Wsse(header="X-WSSE", username="bob", secret=Secret("taadtaadpstcsm"), digest="sha1")
    assert passes(check, {"x-wsse": token}, at="2003-12-15T14:45:00")
    assert not passes(check, {"x-wsse": token}, at="2003-12-15T15:45:00")
    assert not passes(check, {"x-wsse": token.replace("bob", "eve")}, at="2003-12-15T14:45:00")


@pytest.mark.parametrize(
    "caller",
    [
        pytest.param(("+14158675309", "RSOYDt4T1cUTdK1PDd93/VVr8B8="), id="the libraries' tests"),
        pytest.param(("+12349013030", "0/KCTR6DLpKmkAf8muzZqo1nDgQ="), id="the page on security"),
    ],
)
def test_twilio(caller: tuple[str, str]) -> None:
    number, signature = caller
    check = Twilio(secret=Secret("12345"), public_url="https://mycompany.com")
    body = {"Digits": "1234", "To": "+18005551212", "From": number, "Caller": number, "CallSid": "CA1234567890ABCDE"}
    head = {"sent_path": "/myapp.php", "query": "foo=1&bar=2", "content_type": f"{FORM}; charset=UTF-8"}
    assert passes(check, {"x-twilio-signature": signature}, urlencode(body).encode(), **head)
    assert not passes(check, {"x-twilio-signature": signature}, urlencode(body | {"To": "1"}).encode(), **head)
    assert not passes(check, {"x-twilio-signature": signature}, urlencode(body).encode(), **(head | {"query": "foo=1"}))


def test_svix() -> None:
    """The example of Svix's page on verification, also under the names of Standard Webhooks."""
    at, signature = "1614265330", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    for prefix in ("svix", "webhook"):
        check = Svix(secret=Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), headers=prefix)
        headers = {f"{prefix}-id": "msg_p5jXN8AQM9LWM0D4loKWxJek", f"{prefix}-timestamp": at}
        for listed in (signature, f"v1,{'A' * 43}= v2,x {signature}"):
            signed = headers | {f"{prefix}-signature": listed}
            assert passes(check, signed, b'{"test": 2432232314}', at="2021-02-25T15:02:10")
            assert not passes(check, signed, b'{"test": 2432232315}', at="2021-02-25T15:02:10")
            assert not passes(check, signed, b'{"test": 2432232314}', at="2021-02-25T16:02:10")
