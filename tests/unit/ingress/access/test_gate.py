"""Several proofs of one account together, and what one kind alone does not show over HTTP."""

import hashlib
import hmac
from base64 import b64decode, b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ingress.access.gate import Gate
from ingress.access.proofs.body_fields import MOST_BYTES
from ingress.access.proofs.instants import instant
from ingress.access.request_head import RequestHead
from schemas.config.caller_checks import Bearer, Check, Hmac, Md5, Mtls, Svix, Twilio, Wsse
from schemas.config.secret import Secret
from schemas.errors import Rejected

KEY = Secret("k3vq9xw2mz7rt5hb")
NOW = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)
STAMP = str(int(NOW.timestamp()))
XFCC: dict[str, Any] = {"header": "X-Xfcc", "format": "xfcc"}
FORM = "application/x-www-form-urlencoded"


def code(check: Check, headers: dict[str, str], body: bytes = b"", *, now: datetime = NOW, **head: Any) -> str:
    """Returns the code of the refusal, "" when the check holds."""
    asked = RequestHead(method="POST", path="", headers=tuple(headers.items()), **head)
    gate = Gate((check,), ("192.0.2.0/24",))
    try:
        gate.pass_head(asked, now)
        gate.pass_body(asked, body, now)
    except Rejected as rejected:
        return rejected.code
    return ""


def mac(text: bytes) -> str:
    return hmac.new(KEY.value.encode(), text, hashlib.sha256).hexdigest()


def test_all_checks_must_hold() -> None:
    gate = Gate((Bearer(secret=KEY), Hmac(secret=KEY, header="X-Signature")), ())
    signed, token = ("x-signature", mac(b"{}")), ("authorization", f"Bearer {KEY.value}")
    both = RequestHead(method="POST", path="", headers=(token, signed))
    assert (gate.pass_head(both, NOW), gate.pass_body(both, b"{}", NOW)) == ((), ())
    with pytest.raises(Rejected, match="a token"):
        gate.pass_head(RequestHead(method="POST", path="", headers=(signed,)), NOW)
    with pytest.raises(Rejected, match="no key"):
        gate.pass_body(RequestHead(method="POST", path="", headers=(token,)), b"{}", NOW)


@pytest.mark.parametrize(
    ("body", "content_type", "text"),
    [
        pytest.param(b'{"a":"1","b":2.50,"c":null,"d":true}', "", "1|2.50||true", id="JSON, numbers as they are spelt"),
        pytest.param('{"a":"\\u5e94|","b":"应","c":"","d":-0}'.encode(), "", "应||应||-0", id="JSON in UTF-8, with escapes"),
        pytest.param(b"a=1&b=%E5%BA%94+x&c=&d=%26", FORM, "1|应 x||&", id="a form"),
        pytest.param(b' \n {"a":1,"b":1,"c":1,"d":1}', FORM, "1|1|1|1", id="JSON that says it is a form"),
    ],
)  # fmt: skip
def test_fields_are_signed_as_the_body_spells_them(body: bytes, content_type: str, text: str) -> None:
    check = Hmac(secret=KEY, header="X-Signature", signed="{field:a}|{field:b}|{field:c}|{field:d}")
    assert code(check, {"x-signature": mac(text.encode())}, body, content_type=content_type) == ""


@pytest.mark.parametrize(
    ("body", "more"),
    [
        pytest.param(b'{"a":"1","a":"2"}', {}, id="a field twice"),
        pytest.param(b'{"x":{"y":1,"y":2},"a":"1"}', {}, id="another field twice, further in"),
        pytest.param(b"a=1&a=2", {}, id="a parameter twice"),
        pytest.param(b'{"x":{"a":"1"}}', {}, id="a field further in"),
        pytest.param(b'[{"a":"1"}]', {}, id="a list"),
        pytest.param(b'{"a":["1"]}', {}, id="a list for a text"),
        pytest.param(b'{"a":"1"', {}, id="JSON that breaks off"),
        pytest.param(b'{"a":"1"}', {"content_encoding": "gzip"}, id="a body that says it is compressed"),
        pytest.param('{"a":"1"}'.encode("utf-16"), {}, id="another charset"),
        pytest.param(b"\xef\xbb\xbf" + b'{"a":"1"}', {}, id="a byte order mark"),
        pytest.param(b'{"a":"1","b":"' + b"x" * MOST_BYTES + b'"}', {}, id="more than is read of an unknown sender"),
        pytest.param(b"a=1&" + b"&".join(b"p%d=" % number for number in range(3000)), {}, id="thousands of parameters"),
        pytest.param(b'{"a":"1","b":' + b"[" * 100_000 + b"}", {}, id="levels without end"),
    ],
)  # fmt: skip
def test_a_field_that_two_readers_could_read_differently_is_not_there(body: bytes, more: dict[str, Any]) -> None:
    check = Hmac(secret=KEY, header="X-Signature", signed="{field:a}")
    assert code(check, {"x-signature": mac(b"1")}, b'{"a":"1"}') == ""
    assert code(check, {"x-signature": mac(b"1")}, body, **more) == "bad_signature"


def test_an_md5_has_its_key_where_the_template_says() -> None:
    check = Md5(secret=KEY, field="sign", signed="{field:b}&{key}&{field:a}", prefix="md5:")
    made = hashlib.md5(f"2&{KEY.value}&1".encode()).hexdigest().upper()
    assert code(check, {}, f'{{"a":1,"b":2,"sign":"md5:{made}"}}'.encode()) == ""
    assert code(check, {}, f'{{"a":1,"b":2,"sign":"{made}"}}'.encode()) == "bad_signature"
    assert code(check, {}, f'{{"a":2,"b":2,"sign":"md5:{made}"}}'.encode()) == "bad_signature"


@pytest.mark.parametrize("seconds", [-301, -300, 300, 301])
@pytest.mark.parametrize("form", ["seconds", "milliseconds", "ISO 8601"])
def test_a_time_is_near_within_the_tolerance_and_no_more(form: str, seconds: int) -> None:
    at = NOW + timedelta(seconds=seconds)
    stamp = {
        "seconds": str(int(at.timestamp())), "milliseconds": str(int(at.timestamp() * 1000)), "ISO 8601": f"{at:%Y-%m-%dT%H:%M:%SZ}",
    }[form]  # fmt: skip
    check = Hmac(secret=KEY, header="X-Signature", signed="{timestamp}\n{body}", timestamp_header="X-Time")
    headers = {"x-signature": mac(f"{stamp}\n{{}}".encode()), "x-time": stamp}
    assert code(check, headers, b"{}") == ("stale" if abs(seconds) > 300 else "")


@pytest.mark.parametrize(
    "text",
    ["", "0", "-1", "1e9", "nan", "inf", "٠١٢٣٤٥٦٧٨٩", "2026-13-01T00:00:00Z", "2026-05-06", "1" * 20, "2026-05-06T07:08:09Z\n", " 1778051289"],
)  # fmt: skip
def test_other_texts_are_no_times(text: str) -> None:
    assert instant(text) is None


def test_a_nonce_of_a_soap_message_is_decoded() -> None:
    nonce, created = b"\x00\xffnonce", "2026-05-06T07:08:09Z"
    digest = b64encode(hashlib.sha1(nonce + created.encode() + KEY.value.encode()).digest()).decode()
    token = f"UsernameToken Username=ak,PasswordDigest={digest},Nonce={b64encode(nonce).decode()},Created={created}"
    check = Wsse(header="X-WSSE", username="ak", secret=KEY, digest="sha1", nonce="base64")
    assert code(check, {"x-wsse": token}) == ""
    for broken in (
        token.replace("ak,", "ak,Username=ak,"),
        token + ",",
        token.replace("Created", "Made"),
        token[14:],
        token + " x",
    ):
        assert code(check, {"x-wsse": broken}) == "bad_credentials", broken


def test_a_second_name_comes_with_the_second_secret() -> None:
    check = Wsse(username="ak-1", secret=KEY, second_username="ak-2", second_secret=Secret("w8dn4cy6jp1gs0fe"))
    created = "2026-05-06T07:08:09Z"

    def token(name: str, password: str) -> dict[str, str]:
        digest = b64encode(hashlib.sha256(f"n{created}{password}".encode()).digest()).decode()
        return {"x-aksk": f'UsernameToken Username="{name}",PasswordDigest="{digest}",Nonce="n",Created="{created}"'}

    got = {
        (name, key): code(check, token(name, key))
        for name in ("ak-1", "ak-2")
        for key in (KEY.value, "w8dn4cy6jp1gs0fe")
    }
    assert [pair for pair, refused in got.items() if not refused] == [("ak-1", KEY.value), ("ak-2", "w8dn4cy6jp1gs0fe")]


def twilio(text: bytes) -> dict[str, str]:
    return {"x-twilio-signature": b64encode(hmac.new(KEY.value.encode(), text, "sha1").digest()).decode()}


@pytest.mark.parametrize(
    ("body", "more", "wanted"),
    [
        pytest.param(b"b=2&a=1", {"content_type": FORM}, "", id="a form"),
        pytest.param(b"a=%31&&b=2", {"content_type": f"{FORM}; charset=utf-8"}, "", id="a form that is spelt otherwise"),
        pytest.param(b"a1=&b=2", {"content_type": FORM}, "", id="another end of a name, which Twilio does not sign"),
        pytest.param(b"a1&b=2", {"content_type": FORM}, "bad_signature", id="a name without a value"),
        pytest.param(b"a=1&b=2&b=2", {"content_type": FORM}, "bad_signature", id="a parameter twice"),
        pytest.param(b"a=1&b=2", {"content_type": "application/json"}, "bad_signature", id="no form, and no hash of the body"),
        pytest.param(b"a=1&b=2", {"content_type": FORM, "content_encoding": "gzip"}, "bad_signature", id="a form that says it is compressed"),
        pytest.param(b"a=1&b=2", {"content_type": FORM, "query": "x=1"}, "bad_signature", id="another address"),
    ],
)  # fmt: skip
def test_twilio_signs_the_address_and_the_parameters(body: bytes, more: dict[str, Any], wanted: str) -> None:
    check = Twilio(secret=KEY, public_url="https://cdr.example.com/")
    headers = twilio(b"https://cdr.example.com/v1/acmea1b2")
    assert code(check, headers, body, sent_path="/v1/acme", **more) == wanted


@pytest.mark.parametrize("body", [b"", b"{}", b"&", b"forged=1"])
@pytest.mark.parametrize("content_type", [FORM, "application/json"])
def test_a_hash_of_the_body_in_the_address_counts_whatever_the_body_says_it_is(content_type: str, body: bytes) -> None:
    query = f"bodySHA256={hashlib.sha256(b'{}').hexdigest()}"
    headers = twilio(f"https://cdr.example.com/v1/acme?{query}".encode())
    check = Twilio(secret=KEY, public_url="https://cdr.example.com")
    got = code(check, headers, body, sent_path="/v1/acme", query=query, content_type=content_type)
    assert got == ("" if body == b"{}" else "bad_signature")


def test_the_end_of_a_body_does_not_pass_as_a_body_of_svix() -> None:
    """A caller's own text in a record may hold a time between dots; an id with dots would cut the body in two there."""
    check = Svix(secret=Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))
    key = b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"custom":".%s.{}"}' % STAMP.encode()
    made = b64encode(hmac.new(key, b"msg_1.%s.%s" % (STAMP.encode(), body), "sha256").digest()).decode()
    headers = {"svix-id": "msg_1", "svix-timestamp": STAMP, "svix-signature": f"v1,{made}"}
    cut = f'msg_1.{STAMP}.{{"custom":"'
    assert (code(check, headers, body), code(check, headers | {"svix-id": cut}, b'{}"}')) == ("", "bad_signature")


@pytest.mark.parametrize(
    ("check", "head", "wanted"),
    [
        pytest.param({"header": "X-Subject"}, {"peer": "192.0.2.7", "headers": {"x-subject": "CN=a"}}, "", id="a trusted proxy"),
        pytest.param({"header": "X-Subject"}, {"peer": "::ffff:192.0.2.7", "headers": {"x-subject": "CN=a"}}, "", id="a mapped address"),
        pytest.param({"header": "X-Subject"}, {"peer": "198.51.100.7", "headers": {"x-subject": "CN=a"}}, "forbidden", id="anybody else"),
        pytest.param({"header": "X-Subject"}, {"peer": "", "headers": {"x-subject": "CN=a"}}, "forbidden", id="no peer"),
        pytest.param({"header": "X-Subject"}, {"peer": "192.0.2.7", "headers": {"x-subject": "CN=a,O=b"}}, "forbidden", id="another subject"),
        pytest.param({"header": "X-Subject"}, {"peer": "192.0.2.7", "client_subject": "CN=a"}, "forbidden", id="our listener, where a proxy is wanted"),
        pytest.param(XFCC, {"peer": "192.0.2.7", "headers": {"x-xfcc": 'Hash=1;Subject="CN=a"'}}, "", id="a trusted proxy by xfcc"),
        pytest.param(XFCC, {"peer": "198.51.100.7", "headers": {"x-xfcc": 'Hash=1;Subject="CN=a"'}}, "forbidden", id="anybody else by xfcc"),
        pytest.param(XFCC, {"peer": "192.0.2.7", "headers": {"x-xfcc": 'Hash=1;Subject="CN=b"'}}, "forbidden", id="another subject by xfcc"),
        pytest.param(XFCC, {"peer": "192.0.2.7", "headers": {"x-xfcc": "CN=a"}}, "forbidden", id="a subject alone, where xfcc is wanted"),
        pytest.param(
            XFCC, {"peer": "192.0.2.7", "headers": {"x-xfcc": 'Subject="CN=a",Subject="CN=a"'}}, "forbidden", id="more elements than proxies"
        ),
        pytest.param(XFCC | {"proxies": 2}, {"peer": "192.0.2.7", "headers": {"x-xfcc": 'Subject="CN=a",Subject="CN=b"'}}, "", id="as many elements"),
        pytest.param({"header": "X-Subject"}, {"peer": "192.0.2.7", "headers": {"x-subject": 'Subject="CN=a"'}}, "forbidden", id="an xfcc, where a subject is wanted"),
        pytest.param({}, {"client_subject": "CN=a"}, "", id="our own listener"),
        pytest.param({}, {"peer": "192.0.2.7", "headers": {"x-subject": "CN=a", "": "CN=a"}}, "forbidden", id="a header, where our listener is wanted"),
    ],
)  # fmt: skip
def test_a_subject_is_believed_of_whoever_verifies_it(check: dict[str, Any], head: dict[str, Any], wanted: str) -> None:
    given = {"headers": {}, **head}
    assert code(Mtls(subjects=("CN=a",), **check), **given) == wanted
