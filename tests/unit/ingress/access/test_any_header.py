"""Any text in any header, and any body, gives a verdict and never an exception."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

from hypothesis import example, given, settings
from hypothesis import strategies as st

from ingress.access.callers import Callers
from ingress.access.gate import Gate
from ingress.access.request_head import RequestHead
from schemas.config.caller_checks import ApiKey, Basic, Bearer, Check, Hmac, Md5, Mtls, Svix, Twilio, Wsse
from schemas.config.secret import Secret
from schemas.config.settings import Account
from schemas.errors import Rejected
from tests.support.scale import SCALE

KEY = Secret("k3vq9xw2mz7rt5hb")
NOW = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)
CHECKS: tuple[Check, ...] = (
    Basic(username="ak", secret=KEY),
    Bearer(secret=KEY),
    ApiKey(secret=KEY),
    Hmac(
        secret=KEY, header="X-Signature", prefix="sha256=", timestamp_header="X-Timestamp", signed="{timestamp}.{body}"
    ),
    Hmac(secret=KEY, header="X-Signature", encoding="base64", signed="{field:a}{method}{path}{query}"),
    Md5(secret=KEY, field="sign", timestamp_field="time", signed="{field:a}{timestamp}{key}"),
    Wsse(username="ak", secret=KEY),
    Wsse(username="ak", secret=KEY, header="X-WSSE", nonce="base64", digest="sha1"),
    Twilio(secret=KEY, public_url="https://cdr.example.com"),
    Svix(secret=Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")),
    Mtls(header="X-Client-Subject", subjects=("CN=a",), verified_header="X-Client-Verify"),
    Mtls(header="X-Forwarded-Client-Cert", format="xfcc", proxies=2, subjects=("CN=a",)),
)
GATES = [Gate((check,), ("127.0.0.0/8",)) for check in CHECKS]
CALLERS = Callers([Account(vendor="acme", name="a", checks=CHECKS)])
NAMES = (
    "authorization", "x-api-key", "x-signature", "x-timestamp", "x-aksk", "x-wsse", "x-twilio-signature", "svix-id",
    "svix-timestamp", "svix-signature", "x-client-subject", "x-client-verify", "x-forwarded-client-cert",
)  # fmt: skip
anything = st.text(max_size=80) | st.text(alphabet=st.characters(), max_size=20)
nearly = st.sampled_from(
    [
        "Basic ", "Basic =", "Basic \udcff", "Basic YWs6", "Bearer ", "Bearer \ud800", "UsernameToken ", "sha256=", "1" * 10, "9" * 14,
        "UsernameToken Username=ak,PasswordDigest=x,Nonce=y,Created=2026-05-06T07:08:09Z", "9999-12-31T23:59:59-23:59",
        'UsernameToken Username="ak",PasswordDigest="x",Nonce="\u00e9",Created="0001-01-01T00:00:00+23:59"',
        "sha256=" + "0" * 64, "A" * 43 + "=", "v1," + "A" * 43 + "=", "v1," * 20, 'Subject="CN=b",By=a', 'Subject="' + "\\" * 50, "SUCCESS", "CN=\udc80",
    ]
)  # fmt: skip
bodies = st.binary(max_size=60) | st.sampled_from(
    [
        b"[" * 5000, b'{"a":' * 5000, b'{"a":1,"a":2}', b'{"a":"\\ud800","sign":"' + b"0" * 32 + b'","time":"1778051289"}',
        b'{"a":NaN,"sign":{},"time":1e999}', b"a=%&sign=%zz&time=1&&=", b'{"a":' + b"9" * 5000 + b"}", b"a=1&a=2", b"\xef\xbb\xbf{}",
    ]
)  # fmt: skip


@settings(max_examples=150 * SCALE, deadline=None)
@given(
    headers=st.lists(st.tuples(st.sampled_from(NAMES), anything | nearly), max_size=8),
    body=bodies,
    query=anything,
    content_type=st.sampled_from(["", "application/json", "application/x-www-form-urlencoded", "\ud800"]),
    method=st.sampled_from(["POST", "GET"]),
    peer=anything | st.sampled_from(["127.0.0.1", "[::1]:1", "fe80::1%eth0"]),
)
@example([("x-aksk", "UsernameToken " + "a=," * 50)], b"", "", "", "POST", "")
def test_any_push_gets_a_verdict(
    headers: list[tuple[str, str]], body: bytes, query: str, content_type: str, method: str, peer: str
) -> None:
    head = RequestHead(
        method=method,
        path="",
        sent_path="/v1/acme",
        query=query,
        headers=tuple(headers),
        content_type=content_type,
        peer=peer,
    )
    steps: list[Callable[[], object]] = [lambda: CALLERS.find("acme", head)]
    for gate in GATES:
        steps += [partial(gate.pass_head, head, NOW), partial(gate.pass_body, head, body, NOW)]
    for each in filter(None, map(refusal, steps)):
        assert each.code in ("bad_credentials", "bad_signature", "stale", "forbidden")
        assert each.http_status in (401, 403)
        assert "k3vq" not in str(each)


def refusal(step: Callable[[], object]) -> Rejected | None:
    try:
        step()
    except Rejected as rejected:
        return rejected
    return None
