"""The kinds of proof that an account may demand of a push: one typed table of `[[accounts.checks]]` for each.

All checks of an account must hold, together with its path secret, its networks and the vendor's own signature. Every
kind has room for two secrets, which are both valid while the vendor is moved from one to the other. Unsafe ones are
found by `schemas.config.caller_safety`. Pure.
"""

import re
from base64 import b64decode
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from schemas.config.secret import Secret

HeaderName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$", max_length=100)]
MaybeHeader = Annotated[str, Meta(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]*$", max_length=100)]
Tolerance = Annotated[float, Meta(gt=0)]
FIELD: Final = "field:"
_ENDPOINT: Final = "whsec_"
_PLACE: Final = re.compile(r"\{([^{}]*)\}")
PLACES: Final = frozenset({"body", "timestamp", "nonce", "method", "path", "query", "key"})
"""The names that a template may hold in braces, beside `field:NAME`."""


class _Check(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """Base of the kinds: an unknown name is an error, not a silent default."""


class _WithSecret(_Check, frozen=True, kw_only=True):
    """Base of the kinds that have a secret."""

    secret: Secret
    """Password, token or key."""
    second_secret: Secret = Secret()
    """Another valid one, while the vendor is moved from one to the other; empty: none."""


class _WithName(_WithSecret, frozen=True, kw_only=True):
    """Base of the kinds that have a name and a password."""

    username: str
    """Name that the vendor sends (AppKey, AK). One that no other account of the vendor has also says whose push it
    is."""
    second_username: str = ""
    """Name that comes with `second_secret`; empty: `username`."""


class Basic(_WithName, frozen=True, kw_only=True, tag="basic"):
    """Name and password in `Authorization: Basic` (RFC 7617)."""

    secret: Secret
    """Password, at least 16 letters and digits."""


class Bearer(_WithSecret, frozen=True, kw_only=True, tag="bearer"):
    """A token in `Authorization: Bearer` (RFC 6750), which also says whose push it is."""

    secret: Secret
    """Token, at least 16 letters and digits."""


class ApiKey(_WithSecret, frozen=True, kw_only=True, tag="api_key"):
    """A key in a header of its own, which also says whose push it is."""

    header: HeaderName = "X-API-Key"
    """Header that holds the key."""
    secret: Secret
    """Key, at least 16 letters and digits."""


class _Signed(_WithSecret, frozen=True, kw_only=True):
    """Base of the kinds that sign a text made by a template."""

    secret: Secret
    """Key of the signature."""
    header: MaybeHeader = ""
    """Header that holds the signature; or else `field` says where it is."""
    field: str = ""
    """Field of the body that holds the signature."""
    prefix: str = ""
    """Text before the signature, as `sha256=`."""
    encoding: Literal["hex", "base64"] = "hex"
    """Spelling of the signature: hexadecimal in either case, or Base64 of RFC 4648 (section 4) with its padding."""
    signed: str
    """Template of the signed text. `{body}` is the body as it came on the wire (of a GET its query string),
    `{field:NAME}` a field at the top of a JSON body or a form of at most 64 KiB, `{method}`, `{path}` and `{query}`
    are those of the request as it came, `{timestamp}` and `{nonce}` the ones that are named below."""
    timestamp_header: MaybeHeader = ""
    """Header that holds the time of the signature: seconds or milliseconds since 1970, or ISO 8601 (UTC if it names no
    zone)."""
    timestamp_field: str = ""
    """Field of the body that holds it, in the place of a header."""
    tolerance_s: Tolerance = 300.0
    """Longest time between the signature and its arrival, either way. Longer where the vendor sends a push again with
    its first signature."""
    nonce_header: MaybeHeader = ""
    """Header that holds a text which the vendor uses once within the tolerance."""
    nonce_field: str = ""
    """Field of the body that holds it, in the place of a header."""


class Hmac(_Signed, frozen=True, kw_only=True, tag="hmac"):
    """An HMAC (RFC 2104) of a text that a template makes from the request."""

    algorithm: Literal["sha256", "sha1", "sha512"] = "sha256"
    """Hash of the HMAC."""
    signed: str = "{body}"


class Md5(_Signed, frozen=True, kw_only=True, tag="md5"):
    """An MD5 of fields of the body and a key, for vendors that sign in no better way; best beside another check."""

    signed: str
    """Template of the hashed text, as of `hmac`, with `{key}` where the key stands: `{field:appId}{field:time}{key}`.
    With the key at its beginning others can append to a hash that they know, so another check is needed too."""


class Wsse(_WithName, frozen=True, kw_only=True, tag="wsse"):
    """A UsernameToken in a header, as `X-WSSE` and Huawei's `X-AKSK` hold it: a digest of nonce, time and password.

    It says nothing about the body.
    """

    header: HeaderName = "X-AKSK"
    """Header that holds `UsernameToken Username="...",PasswordDigest="...",Nonce="...",Created="..."`."""
    secret: Secret
    """Password (AppSecret, SK)."""
    digest: Literal["sha256", "sha1", "hmac-sha256"] = "sha256"
    """Digest of nonce, time and password; `hmac-sha256` is that of nonce and time, with the password as its key."""
    nonce: Literal["text", "base64"] = "text"
    """Form of the nonce in the digest: as it is sent, or decoded, as in SOAP messages."""
    tolerance_s: Tolerance = 300.0
    """Longest time between `Created` and the arrival, either way."""


class Twilio(_WithSecret, frozen=True, kw_only=True, tag="twilio"):
    """A signature in Twilio's way: an HMAC of the address and a form's sorted parameters, or `bodySHA256` in it."""

    header: HeaderName = "X-Twilio-Signature"
    """Header that holds the signature."""
    secret: Secret
    """Auth token of the account."""
    public_url: str
    """Beginning of the address as the vendor knows it, `https://cdr.example.com`: behind a proxy we see another one."""
    algorithm: Literal["sha1", "sha256"] = "sha1"
    """Hash of the HMAC."""


class Svix(_WithSecret, frozen=True, kw_only=True, tag="svix"):
    """A signature in Svix's way (Standard Webhooks): an HMAC of id, time and body, several of which may be sent."""

    headers: Literal["svix", "webhook"] = "svix"
    """Beginning of the names of the headers `-id`, `-timestamp` and `-signature`."""
    secret: Secret
    """Secret of the endpoint: `whsec_` and Base64."""
    tolerance_s: Tolerance = 300.0
    """Longest time between the signature and its arrival, either way."""


class Mtls(_Check, frozen=True, kw_only=True, tag="mtls"):
    """The subject of a client certificate, verified by a proxy of `ingress.trusted_proxies`, or by our own listener."""

    header: MaybeHeader = ""
    """Header in which the proxy puts the subject; it must replace what a caller sends under that name. Empty: the
    certificate that our own listener has checked."""
    subjects: tuple[str, ...]
    """Subjects that may push, spelt as the proxy spells them (ours: as in RFC 4514); two while a certificate is
    changed."""
    verified_header: MaybeHeader = ""
    """Header in which the proxy says whether it could verify the certificate, as nginx's `$ssl_client_verify`; needed
    where it lets others in, too. Empty: it lets nobody else in."""
    verified: str = "SUCCESS"
    """Text of `verified_header` for a verified certificate."""
    format: Literal["subject", "xfcc"] = "subject"
    """Form of the header: `subject` is the subject alone, `xfcc` is X-Forwarded-Client-Cert, as Envoy writes it."""
    proxies: Annotated[int, Meta(ge=1)] = 1
    """Number of elements of an `xfcc`: one for each proxy that adds its own, of which the first must begin anew
    (`SANITIZE_SET`). The caller of that one counts; with another number nobody does."""


Check = Basic | Bearer | ApiKey | Hmac | Md5 | Wsse | Twilio | Svix | Mtls
Signed = Hmac | Md5


def places(template: str) -> tuple[str, ...]:
    """Returns what a template holds in braces, in order; raises ValueError for what no template may hold."""
    found = tuple(_PLACE.findall(template))
    for place in found:
        if place not in PLACES and not (place.startswith(FIELD) and place != FIELD):
            raise ValueError(f"{{{place}}} is none of {', '.join(sorted(PLACES))} and {FIELD}NAME")
    if set("{}") & set(_PLACE.sub("", template)):
        raise ValueError("a brace does not enclose a name")
    return found


def pieces(template: str) -> tuple[tuple[str, str], ...]:
    """Returns a template as pairs of a text and the place after it, which is "" at the end."""
    parts = _PLACE.split(template)
    return tuple(zip(parts[::2], [*parts[1::2], ""], strict=True))


def secrets_of(check: Check) -> tuple[Secret, ...]:
    """Returns the secrets of a check, the empty second one included."""
    return () if isinstance(check, Mtls) else (check.secret, check.second_secret)


def endpoint_key(secret: str) -> bytes:
    """Returns the key in a secret of Svix, `whsec_` and Base64; b"" for any other text."""
    if not secret.startswith(_ENDPOINT):
        return b""
    try:
        return b64decode(secret.removeprefix(_ENDPOINT), validate=True)
    except ValueError:
        return b""
