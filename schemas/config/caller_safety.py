"""Finds checks of accounts that cannot work, or that let others in than the vendor. Pure."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from schemas.config.caller_checks import (
    FIELD,
    ApiKey,
    Basic,
    Bearer,
    Check,
    Hmac,
    Md5,
    Mtls,
    Svix,
    Twilio,
    Wsse,
    endpoint_key,
    places,
    secrets_of,
)
from schemas.config.checks import network
from schemas.config.guessing import why_guessable
from schemas.config.settings import Account, Settings

OWN_CHARS: Final = 16
"""The least length of a secret that we draw."""
VENDORS_CHARS: Final = 12
"""The least length of a key that a vendor issues."""
LONGEST_TOLERANCE_S: Final = 86_400.0
_KEY_BYTES: Final = 16
_OWN: Final = (Basic, Bearer, ApiKey)
"""Kinds whose secret we choose."""


def unsafe_checks(settings: Settings, xml: frozenset[str]) -> Iterator[str]:
    """Yields a sentence for each unsafe check; the bodies of the vendors of `xml` are XML."""
    owners: dict[str, str] = {}
    for index, account in enumerate(settings.accounts):
        for place, check in enumerate(account.checks):
            path = f"$.accounts[{index}].checks[{place}]"
            yield from (
                f"{sentence} - at `{path}.{field}`" for field, sentence in _faults(account, check, settings, xml)
            )
            for field, secret in zip(("secret", "second_secret"), secrets_of(check), strict=False):
                if secret.value and owners.setdefault(secret.value, path.rpartition(".")[0]) != path.rpartition(".")[0]:
                    yield f"another account has the same secret, so its pushes would pass as this one's - at `{path}.{field}`"


def doubtful_checks(settings: Settings) -> Iterator[str]:
    """Yields a sentence for each check that works and is weak, for the log at start."""
    for index, account in enumerate(settings.accounts):
        for place, check in enumerate(account.checks):
            if isinstance(check, Md5):
                yield f"MD5 is a weak signature: ask the vendor for an HMAC - at `$.accounts[{index}].checks[{place}]`"


def keeps_others_out(check: Check) -> bool:
    """True for a check that is enough alone: an MD5 with its key in front can be continued by whoever knows one."""
    return not isinstance(check, Md5) or not check.signed.startswith("{key}")


def _faults(account: Account, check: Check, settings: Settings, xml: frozenset[str]) -> Iterator[tuple[str, str]]:
    yield from _weak(account, check)
    if not isinstance(check, Basic | Bearer | ApiKey | Twilio | Mtls) and check.tolerance_s > LONGEST_TOLERANCE_S:
        yield "tolerance_s", f"what was signed long ago would pass: at most {LONGEST_TOLERANCE_S:g} s"
    if isinstance(check, Hmac | Md5):
        yield from _of_template(check)
        if account.vendor in xml and _reads_fields(check):
            yield (
                "signed",
                f"the bodies of {account.vendor} are XML, whose fields are not read before it is known who sends them",
            )
    finder = _OF_KIND.get(type(check))
    if finder is not None:
        yield from finder(check, settings)


def _weak(account: Account, check: Check) -> Iterator[tuple[str, str]]:
    """Yields the faults of secrets; a second one may be empty."""
    least = OWN_CHARS if isinstance(check, _OWN) else VENDORS_CHARS
    known = (account.name, account.vendor, "callweave", *account.external_ids)
    for field, secret in zip(("secret", "second_secret"), secrets_of(check), strict=False):
        value = secret.value
        if not value:
            if field == "secret":
                yield field, "an empty secret would let nobody in, or anybody"
        elif len(value) < least:
            yield field, f"at least {least} characters are wanted"
        elif not value.isascii() or not value.isprintable() or value != value.strip():
            yield field, "a secret of printable ASCII characters is wanted, without spaces around"
        elif why := why_guessable(value, known):
            yield field, f"this secret can be guessed, {why}"


def _of_template(check: Hmac | Md5) -> Iterator[tuple[str, str]]:
    if bool(check.header) == bool(check.field):
        yield "header", "either a header or a field holds the signature"
    try:
        found = set(places(check.signed))
    except ValueError as exc:
        yield "signed", str(exc)
        return
    yield from _of_place("timestamp", check.timestamp_header, check.timestamp_field, found)
    yield from _of_place("nonce", check.nonce_header, check.nonce_field, found)
    timed = bool(check.timestamp_header or check.timestamp_field)
    if (check.nonce_header or check.nonce_field) and not timed:
        yield "signed", "a nonce needs a timestamp, as nonces are not remembered for ever"
    if check.field and "body" in found:
        yield "signed", "a signature cannot be in the body that it signs"
    if ("key" in found) == isinstance(check, Hmac):
        yield "signed", "{key} stands in the text of an md5, and only there: without it anybody could make the hash"
    if not timed and not any(place == "body" or place.startswith(FIELD) for place in found):
        yield "signed", "this signs neither the body nor a time, so whoever saw one push can send any other"


def _of_place(what: str, header: str, field: str, found: set[str]) -> Iterator[tuple[str, str]]:
    """Yields the faults of a timestamp or a nonce, given in a header or a field, in what a template holds."""
    if header and field:
        yield f"{what}_header", "either a header or a field, not both"
    if (header or field) and what not in found and not (field and {f"{FIELD}{field}", "body"} & found):
        yield "signed", f"the {what} is not in the signed text, so anybody can change it"
    if what in found and not header and not field:
        yield "signed", f"{{{what}}} needs {what}_header or {what}_field"


def _reads_fields(check: Hmac | Md5) -> bool:
    return bool(check.field or check.timestamp_field or check.nonce_field) or f"{{{FIELD}" in check.signed


def _of_names(check: Basic | Wsse, _settings: Settings) -> Iterator[tuple[str, str]]:
    for field in ("username", "second_username"):
        name = getattr(check, field)
        if (not name and field == "username") or (isinstance(check, Basic) and ":" in name) or '"' in name:
            yield field, "a name without colons and quotation marks is wanted"


def _of_twilio(check: Twilio, _settings: Settings) -> Iterator[tuple[str, str]]:
    try:
        parts = urlsplit(check.public_url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.query and not parts.fragment
    except ValueError:
        good = False
    if not good:
        yield "public_url", "the beginning of an http(s) address is wanted, as https://cdr.example.com"


def _of_svix(check: Svix, _settings: Settings) -> Iterator[tuple[str, str]]:
    for field, secret in (("secret", check.secret), ("second_secret", check.second_secret)):
        if secret.value and len(endpoint_key(secret.value)) < _KEY_BYTES:
            yield field, f"whsec_ and Base64 of at least {_KEY_BYTES} bytes is wanted"


def _of_mtls(check: Mtls, settings: Settings) -> Iterator[tuple[str, str]]:
    trusted = settings.ingress.trusted_proxies
    if not check.header and check.verified_header:
        yield "verified_header", "our own listener needs no header"
    if not check.header and check.format != "subject":
        yield "format", "our own listener needs no header: name the one that the proxy sends"
    if check.format == "subject" and check.proxies != 1:
        yield "proxies", "only an xfcc has an element of each proxy"
    if check.header and not trusted:
        yield "header", "anybody can send this header: name the proxies' networks in ingress.trusted_proxies"
    elif check.header and any(network(text).prefixlen == 0 for text in trusted):
        yield "header", "ingress.trusted_proxies is every address there is, so anybody can send this header"
    if not check.subjects or not all(check.subjects):
        yield "subjects", "without a subject no certificate is meant"
    if check.verified_header and not check.verified:
        yield "verified", "the text that the proxy sends for a verified certificate is wanted"


_OF_KIND: Final[Mapping[type[Check], Callable[[Any, Settings], Iterable[tuple[str, str]]]]] = {
    Basic: _of_names, Wsse: _of_names, Twilio: _of_twilio, Svix: _of_svix, Mtls: _of_mtls,
}  # fmt: skip
