"""Every kind of proof: its settings, and a sender that makes it, written from the documents and not from our checks."""

import hashlib
import hmac
import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

import msgspec

from schemas.config.loader import load
from schemas.config.settings import Settings
from schemas.vendors import VENDORS
from tests.support.payloads import huawei_elements as huawei
from tests.support.payloads import ytx_elements as ytx

NOW: Final = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)
TOLERANCE_S: Final = 300.0
BASE: Final = "https://cdr.example.com"
PAGES: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "nxcloud": ("/nxcloud/cdr", json.loads(VENDORS["nxcloud"].callbacks[0].example)),
    "ytx": ("/ytx", {"cdr": [ytx.TWO_WAY]}),
    "huawei": ("/huawei/ax", huawei.CALL),
}
"""Every address that is pushed to, and a payload of the vendor's."""


class Push(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it goes over the wire."""

    path: str
    query: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    method: str = "POST"

    def having(self, **changes: Any) -> "Push":
        return msgspec.structs.replace(self, **changes)

    def adding(self, *headers: tuple[str, str]) -> "Push":
        return self.having(headers=(*self.headers, *headers))


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """All that a sender knows: its name, its secret, and the time and the nonce that it signs."""

    name: str
    secret: str
    at_s: float = NOW.timestamp()
    nonce: str = "n-0001"


Sign = Callable[[Push, Key], Push]


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of proof."""

    name: str
    check: dict[str, Any]
    """Its table of settings, without the secrets."""
    sign: Sign
    proof: str
    """The header that holds the proof, "" for one in the body or in the address."""
    named: bool = False
    """True where the credentials alone say whose push it is."""
    timed: bool = False
    once: bool = False
    """True where a proof is good for one request."""
    covers_body: bool = False
    username: bool = False
    secrets: tuple[str, str, str] = ("k3vq9xw2mz7rt5hb-a", "w8dn4cy6jp1gs0fe-b", "t7mz2rk9vb4xh6qa-c")
    """The two secrets of the account, and the one of another account."""


def _hmac(secret: str, text: bytes, algorithm: str = "sha256") -> bytes:
    return hmac.new(secret.encode(), text, algorithm).digest()


def _stamp(key: Key) -> str:
    return str(int(key.at_s))


def _iso(key: Key) -> str:
    return datetime.fromtimestamp(key.at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _login(push: Push, key: Key) -> Push:
    text = b64encode(f"{key.name}:{key.secret}".encode()).decode()
    return push.adding(("Authorization", f"Basic {text}"))


def _token(push: Push, key: Key) -> Push:
    return push.adding(("Authorization", f"Bearer {key.secret}"))


def _own_key(push: Push, key: Key) -> Push:
    return push.adding(("X-API-Key", key.secret))


def _body_hmac(algorithm: str) -> Sign:
    def sign(push: Push, key: Key) -> Push:
        return push.adding(("X-Signature", f"sig={_hmac(key.secret, push.body, algorithm).hex()}"))

    return sign


def _base64_hmac(push: Push, key: Key) -> Push:
    return push.adding(("X-Signature", b64encode(_hmac(key.secret, push.body)).decode()))


def _timed_hmac(push: Push, key: Key) -> Push:
    text = b"%s.%s" % (_stamp(key).encode(), push.body)
    return push.adding(("X-Signature", _hmac(key.secret, text).hex()), ("X-Timestamp", _stamp(key)))


def _head_hmac(push: Push, key: Key) -> Push:
    """A signature of the request line, a time and a nonce, and not of the body."""
    text = "\n".join(("POST", push.path, push.query, _stamp(key), key.nonce))
    return push.adding(
        ("X-Signature", _hmac(key.secret, text.encode()).hex()), ("X-Timestamp", _stamp(key)), ("X-Nonce", key.nonce)
    )


def _with_fields(push: Push, **fields: str) -> Push:
    return push.having(body=json.dumps({**json.loads(push.body), **fields}, ensure_ascii=False).encode())


def _fields_hmac(push: Push, key: Key) -> Push:
    push = _with_fields(push, appId="app-1", time=_stamp(key))
    return push.adding(("X-Signature", _hmac(key.secret, f"app-1|{_stamp(key)}".encode()).hex()))


def _fields_md5(push: Push, key: Key) -> Push:
    made = hashlib.md5(f"app-1{_stamp(key)}{key.secret}".encode()).hexdigest()
    return _with_fields(push, appId="app-1", time=_stamp(key), sign=made)


def _username_token(header: str, digest: Callable[[str, str, str], bytes]) -> Sign:
    def sign(push: Push, key: Key) -> Push:
        made = b64encode(digest(key.nonce, _iso(key), key.secret)).decode()
        token = f'UsernameToken Username="{key.name}",PasswordDigest="{made}",Nonce="{key.nonce}",Created="{_iso(key)}"'
        realm = 'WSSE realm="SDP",profile="UsernameToken",type="Appkey"'
        return push.adding(("Authorization", realm), (header, token))

    return sign


def _sha256(nonce: str, created: str, password: str) -> bytes:
    return hashlib.sha256(f"{nonce}{created}{password}".encode()).digest()


def _sha1(nonce: str, created: str, password: str) -> bytes:
    return hashlib.sha1(f"{nonce}{created}{password}".encode()).digest()


def _of_key(nonce: str, created: str, password: str) -> bytes:
    return _hmac(password, f"{nonce}{created}".encode())


def _twilio_json(push: Push, key: Key) -> Push:
    query = "&".join(filter(None, (push.query, f"bodySHA256={hashlib.sha256(push.body).hexdigest()}")))
    text = f"{BASE}{push.path}?{query}".encode()
    return push.having(query=query).adding(("X-Twilio-Signature", b64encode(_hmac(key.secret, text, "sha1")).decode()))


def _twilio_form(push: Push, key: Key) -> Push:
    fields = {"cdr": push.body.decode(), "To": "+18005551212", "Caller": "+12349013030"}
    text = f"{BASE}{push.path}" + (f"?{push.query}" if push.query else "")
    text += "".join(name + fields[name] for name in sorted(fields))
    headers = tuple(each for each in push.headers if each[0] != "Content-Type")
    return push.having(body=_form(fields), headers=headers).adding(
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("X-Twilio-Signature", b64encode(_hmac(key.secret, text.encode(), "sha1")).decode()),
    )


def _form(fields: dict[str, str]) -> bytes:
    def quoted(text: str) -> str:
        return "".join(chr(byte) if chr(byte).isalnum() and byte < 128 else f"%{byte:02X}" for byte in text.encode())

    return "&".join(f"{quoted(name)}={quoted(value)}" for name, value in fields.items()).encode()


def _svix(push: Push, key: Key) -> Push:
    text = b"msg_%s.%s.%s" % (key.nonce.encode(), _stamp(key).encode(), push.body)
    made = hmac.new(b64decode(key.secret.removeprefix("whsec_")), text, "sha256").digest()
    return push.adding(
        ("svix-id", f"msg_{key.nonce}"),
        ("svix-timestamp", _stamp(key)),
        ("svix-signature", f"v1,{b64encode(made).decode()}"),
    )


def _certificate(push: Push, key: Key) -> Push:
    return push.adding(("X-Client-Verify", "SUCCESS"), ("X-Client-Subject", f"CN={key.secret},O=Example"))


def _envoys_certificate(push: Push, key: Key) -> Push:
    # Only what is compared: the other pairs of an element prove nothing, and may be anything.
    return push.adding(("X-Forwarded-Client-Cert", f'Subject="CN={key.secret},O=Example"'))


def _address(push: Push, key: Key) -> Push:
    return push.having(path=push.path.replace("/v1", f"/v1/a/{key.secret}", 1), query="")


_ENDPOINTS: Final = (
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "whsec_plJ3nmyCDGBKInavdOK15jsl",
)  # fmt: skip
_SIGNATURE: Final = {"kind": "hmac", "header": "X-Signature"}
_TIMED: Final = {"timestamp_header": "X-Timestamp", "tolerance_s": TOLERANCE_S}

KINDS: Final = (
    Kind(name="path", check={}, sign=_address, proof="", secrets=("k3vq9xw2mz7rt5hb", "w8dn4cy6jp1gs0fe", "t7mz2rk9vb4xh6qa")),
    Kind(name="basic", check={"kind": "basic"}, sign=_login, proof="Authorization", named=True, username=True),
    Kind(name="bearer", check={"kind": "bearer"}, sign=_token, proof="Authorization", named=True),
    Kind(name="api_key", check={"kind": "api_key"}, sign=_own_key, proof="X-API-Key", named=True),
    *(
        Kind(
            name=f"hmac-{algorithm}",
            check={**_SIGNATURE, "algorithm": algorithm, "prefix": "sig="},
            sign=_body_hmac(algorithm), proof="X-Signature", covers_body=True,
        )
        for algorithm in ("sha256", "sha1", "sha512")
    ),
    Kind(name="hmac-base64", check={**_SIGNATURE, "encoding": "base64"}, sign=_base64_hmac, proof="X-Signature", covers_body=True),
    Kind(
        name="hmac-timed", check={**_SIGNATURE, **_TIMED, "signed": "{timestamp}.{body}"},
        sign=_timed_hmac, proof="X-Signature", covers_body=True, timed=True, once=True,
    ),
    Kind(
        name="hmac-nonce",
        check={**_SIGNATURE, **_TIMED, "nonce_header": "X-Nonce", "signed": "{method}\n{path}\n{query}\n{timestamp}\n{nonce}"},
        sign=_head_hmac, proof="X-Signature", timed=True, once=True,
    ),
    Kind(
        name="hmac-fields",
        check={**_SIGNATURE, "timestamp_field": "time", "tolerance_s": TOLERANCE_S, "signed": "{field:appId}|{field:time}"},
        sign=_fields_hmac, proof="X-Signature", timed=True,
    ),
    Kind(
        name="md5-fields",
        check={"kind": "md5", "field": "sign", "timestamp_field": "time", "tolerance_s": TOLERANCE_S, "signed": "{field:appId}{field:time}{key}"},
        sign=_fields_md5, proof="", timed=True,
    ),
    Kind(
        name="wsse-aksk", check={"kind": "wsse", "tolerance_s": TOLERANCE_S}, sign=_username_token("X-AKSK", _sha256),
        proof="X-AKSK", named=True, username=True, timed=True, once=True,
    ),
    Kind(
        name="wsse-hmac", check={"kind": "wsse", "digest": "hmac-sha256", "header": "X-AKSK", "tolerance_s": TOLERANCE_S},
        sign=_username_token("X-AKSK", _of_key), proof="X-AKSK", named=True, username=True, timed=True, once=True,
    ),
    Kind(
        name="wsse-sha1", check={"kind": "wsse", "digest": "sha1", "header": "X-WSSE", "tolerance_s": TOLERANCE_S},
        sign=_username_token("X-WSSE", _sha1), proof="X-WSSE", named=True, username=True, timed=True, once=True,
    ),
    Kind(name="twilio", check={"kind": "twilio", "public_url": BASE}, sign=_twilio_json, proof="X-Twilio-Signature", covers_body=True),
    Kind(name="twilio-form", check={"kind": "twilio", "public_url": f"{BASE}/"}, sign=_twilio_form, proof="X-Twilio-Signature", covers_body=True),
    Kind(
        name="svix", check={"kind": "svix", "tolerance_s": TOLERANCE_S}, sign=_svix, proof="svix-signature",
        covers_body=True, timed=True, once=True, secrets=_ENDPOINTS,
    ),
    Kind(
        name="mtls", check={"kind": "mtls", "header": "X-Client-Subject", "verified_header": "X-Client-Verify"},
        sign=_certificate, proof="X-Client-Subject", secrets=("pushes.example.com", "next.example.com", "other.example.com"),
    ),
    Kind(
        name="mtls-xfcc", check={"kind": "mtls", "header": "X-Forwarded-Client-Cert", "format": "xfcc"},
        sign=_envoys_certificate, proof="X-Forwarded-Client-Cert", secrets=("pushes.example.com", "next.example.com", "other.example.com"),
    ),
)  # fmt: skip


def accounts(kind: Kind, vendor: str) -> list[dict[str, Any]]:
    """Returns the settings of two accounts, of which the first has two secrets."""
    first, second, other = kind.secrets
    found: list[dict[str, Any]] = []
    for name, secrets in (("main", {"secret": first, "second_secret": second}), ("other", {"secret": other})):
        if not kind.check:
            found.append({"vendor": vendor, "name": name, **secrets})
            continue
        more: dict[str, Any] = {"username": f"ak-{name}", **secrets} if kind.username else dict(secrets)
        if kind.name.startswith("mtls"):
            more = {"subjects": [f"CN={secret},O=Example" for secret in secrets.values()]}
        found.append({"vendor": vendor, "name": name, "checks": [{**kind.check, **more}]})
    return found


@cache
def loaded(given: str, proxies: str, demanded: bool) -> Settings:  # noqa: FBT001 - `cache` keeps it by its value
    """Returns settings that passed the checks at start."""
    environ = {
        "CALLWEAVE_ACCOUNTS": given,
        "CALLWEAVE_INGRESS__TRUSTED_PROXIES": json.dumps(proxies.split()),
        "CALLWEAVE_INGRESS__REQUIRE_ACCOUNT": str(demanded).lower(),
    }
    return load(None, environ, frozenset(VENDORS))
