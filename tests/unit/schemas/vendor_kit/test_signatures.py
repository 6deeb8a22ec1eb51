"""Signatures of a push: the right key and body alone are taken, in each spelling, and no bytes make a check fail."""

import base64
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.vendor_kit.contract import PushHead
from schemas.vendor_kit.signatures import Algorithm, Encoding, header, hmac_of_body, signs

BODY = b"call_id=7&from_to=2125550101-2125550102"
KEY = "a signing secret"
DIGESTS = {name: hmac.new(KEY.encode(), BODY, getattr(hashlib, name)).digest() for name in ("sha1", "sha256")}


def head(**headers: str) -> PushHead:
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return PushHead(method="POST", path="/v1/acme", headers=named)


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
@pytest.mark.parametrize(
    ("encoding", "spelt"),
    [
        pytest.param("hex", lambda digest: digest.hex(), id="hexadecimal"),
        pytest.param("hex", lambda digest: digest.hex().upper(), id="capital letters"),
        pytest.param("base64", lambda digest: base64.b64encode(digest).decode(), id="Base64"),
        pytest.param("base64", lambda digest: base64.urlsafe_b64encode(digest).decode().rstrip("="), id="Base64 of URLs"),
    ],
)  # fmt: skip
def test_the_right_key_signs(algorithm: Algorithm, encoding: Encoding, spelt: object) -> None:
    verify = hmac_of_body("X-Signature", algorithm=algorithm, encoding=encoding, prefix="v1=")
    sent = "v1=" + spelt(DIGESTS[algorithm])  # type: ignore[operator]
    assert verify(head(x_signature=sent), BODY, (KEY,))
    assert verify(head(x_signature=f" {sent} "), BODY, ("an old one", KEY, "another"))
    assert not verify(head(x_signature=sent), BODY + b"&", (KEY,))
    assert not verify(head(x_signature=sent), BODY, ("another",))
    assert not verify(head(x_signature=sent), BODY, ())
    assert not verify(head(x_signature=sent.removeprefix("v1=")), BODY, (KEY,))
    assert not verify(head(x_other=sent), BODY, (KEY,))


def test_a_known_digest() -> None:
    """The test case 2 of RFC 4231."""
    sent = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert signs(b"what do ya want for nothing?", sent, ("Jefe",))


def test_an_empty_secret_signs_nothing() -> None:
    assert not signs(BODY, hmac.new(b"", BODY, hashlib.sha256).hexdigest(), ("", ""))


def test_the_first_header_of_a_name_counts() -> None:
    twice = PushHead(method="GET", path="/", headers=(("x-a", "1"), ("x-a", "2")))
    assert (header(twice, "x-a"), header(twice, "x-b")) == ("1", "")


@given(st.binary(), st.text() | st.sampled_from(["\udcff", "x" * 10_000, "é"]), st.lists(st.text(), max_size=3))
def test_any_bytes_are_judged(body: bytes, sent: str, secrets: list[str]) -> None:
    encodings: tuple[Encoding, ...] = ("hex", "base64")
    for encoding in encodings:
        assert not signs(body, sent, tuple(secrets), encoding=encoding)
