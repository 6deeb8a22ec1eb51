"""Checks of accounts in the settings: what is taken, what is refused at start, and that an error names the place."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas.config.caller_checks import Hmac, Wsse
from schemas.config.caller_safety import doubtful_checks
from schemas.config.loader import load, shown, whole
from schemas.config.settings import Settings
from schemas.errors import SettingsError

VENDORS = frozenset({"acme"})
KEY, NEXT_KEY = "k3vq9xw2mz7rt5hb", "w8dn4cy6jp1gs0fe"
ENDPOINT = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SIGNED = {"kind": "hmac", "header": "X-Signature", "secret": KEY}
MD5 = {"kind": "md5", "field": "sign", "signed": "{field:a}{key}", "secret": KEY}


def read(*checks: dict[str, Any], xml: bool = False, others: tuple[Any, ...] = (), **account: Any) -> Settings:
    accounts = ({"vendor": "acme", "name": "main", "checks": checks, **account}, *others)
    return of_accounts(accounts, xml=VENDORS if xml else frozenset())


def of_accounts(accounts: Any, *, proxies: str = '["192.0.2.0/24"]', xml: frozenset[str] = frozenset()) -> Settings:
    environ = {
        "CALLWEAVE_ACCOUNTS": msgspec.json.encode(accounts).decode(),
        "CALLWEAVE_INGRESS__TRUSTED_PROXIES": proxies,
    }
    return load(None, environ, VENDORS, xml=xml)


@pytest.mark.parametrize(
    "check",
    [
        {"kind": "basic", "username": "ak", "secret": KEY},
        {"kind": "bearer", "secret": KEY, "second_secret": NEXT_KEY},
        {"kind": "api_key", "secret": KEY},
        SIGNED,
        MD5,
        {"kind": "wsse", "username": "ak", "secret": KEY},
        {"kind": "twilio", "secret": KEY, "public_url": "https://cdr.example.com/behind/"},
        {"kind": "svix", "secret": ENDPOINT},
        {"kind": "mtls", "header": "X-Client-Subject", "subjects": ["CN=a"]},
        {"kind": "mtls", "header": "X-Forwarded-Client-Cert", "format": "xfcc", "proxies": 2, "subjects": ["CN=a"]},
    ],
    ids=lambda check: str(check["kind"]),
)
def test_a_strong_check_needs_neither_a_secret_address_nor_a_network(check: dict[str, Any]) -> None:
    settings = read(check)
    (account,) = settings.accounts
    assert account.checks[0].__struct_config__.tag == check["kind"]
    assert of_accounts(msgspec.json.decode(whole(settings))["accounts"]) == settings


def test_a_check_shows_its_kind_and_no_secret() -> None:
    (account,) = shown(read(SIGNED | {"second_secret": NEXT_KEY}))["accounts"]
    (check,) = account["checks"]
    assert (check["kind"], check["header"], check["secret"], check["second_secret"]) == (
        "hmac",
        "X-Signature",
        "***",
        "***",
    )


def test_a_secret_of_a_check_may_be_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{KEY}\n", "utf-8")
    (account,) = read({"kind": "wsse", "username": "ak", "secret": {"file": str(tmp_path / "key")}}).accounts
    (check,) = account.checks
    assert isinstance(check, Wsse)
    assert check.secret.value == KEY


@pytest.mark.parametrize(
    ("check", "message"),
    [
        pytest.param({"kind": "hmac", "secret": KEY, "heading": "X"}, "unknown field `heading` - at `$.accounts[0].checks[0]`", id="a misspelt field"),
        pytest.param({"kind": "hmac2", "secret": KEY}, "Invalid value 'hmac2' - at `$.accounts[0].checks[0].kind`", id="an unknown kind"),
        pytest.param({"secret": KEY}, "missing required field `kind` - at `$.accounts[0].checks[0]`", id="no kind"),
        pytest.param(SIGNED | {"secret": ""}, "an empty secret would let nobody in, or anybody - at `$.accounts[0].checks[0].secret`", id="an empty key"),
        pytest.param(SIGNED | {"secret": "short"}, "at least 12 characters are wanted - at `$.accounts[0].checks[0].secret`", id="a short key"),
        pytest.param(SIGNED | {"secret": "password1234password"}, "can be guessed", id="a key of words"),
        pytest.param(SIGNED | {"second_secret": "aaaaaaaaaaaaaaaa"}, "checks[0].second_secret`", id="a weak second key"),
        pytest.param({"kind": "bearer", "secret": "k3vq9xw2mz7r"}, "at least 16 characters", id="a short token"),
        pytest.param({"kind": "bearer", "secret": f" {KEY}"}, "without spaces around", id="a space that HTTP takes away"),
        pytest.param({"kind": "bearer", "secret": f"{KEY}\u00e9"}, "printable ASCII", id="a letter that clients spell in two ways"),
        pytest.param(
            SIGNED | {"signed": "{timestamp}{body}", "timestamp_header": "X-Time", "tolerance_s": float("inf")}, "tolerance_s`", id="no end",
        ),
        pytest.param({"kind": "basic", "username": "a:b", "secret": KEY}, "checks[0].username`", id="a colon in a name"),
        pytest.param({"kind": "wsse", "username": "", "secret": KEY}, "checks[0].username`", id="no name"),
        pytest.param({"kind": "api_key", "header": "X Key", "secret": KEY}, "checks[0].header`", id="no name of a header"),
        pytest.param(SIGNED | {"header": ""}, "either a header or a field holds the signature", id="no place of a signature"),
        pytest.param(SIGNED | {"field": "sign", "signed": "{field:a}"}, "either a header or a field holds the signature", id="two places of a signature"),
        pytest.param(SIGNED | {"signed": "{bodi}"}, "{bodi} is none of", id="an unknown place"),
        pytest.param(SIGNED | {"signed": "{body"}, "a brace does not enclose a name - at `$.accounts[0].checks[0].signed`", id="an open brace"),
        pytest.param(SIGNED | {"signed": "{field:}"}, "{field:} is none of", id="a field without a name"),
        pytest.param(SIGNED | {"signed": "constant"}, "signs neither the body nor a time", id="a constant"),
        pytest.param(SIGNED | {"signed": "{path}{query}"}, "signs neither the body nor a time", id="the address alone"),
        pytest.param(SIGNED | {"signed": "{body}{key}"}, "{key} stands in the text of an md5", id="a key in an HMAC"),
        pytest.param(MD5 | {"signed": "{field:a}"}, "{key} stands in the text of an md5", id="an MD5 without its key"),
        pytest.param(MD5 | {"signed": "{body}{key}"}, "a signature cannot be in the body that it signs", id="a signature of itself"),
        pytest.param(MD5 | {"signed": "{key}{field:a}"}, "is no check alone", id="an MD5 that can be continued"),
        pytest.param(SIGNED | {"timestamp_header": "X-Time"}, "the timestamp is not in the signed text", id="a time that is not signed"),
        pytest.param(SIGNED | {"signed": "{timestamp}{body}"}, "{timestamp} needs timestamp_header", id="no place of a time"),
        pytest.param(SIGNED | {"signed": "{nonce}{body}", "nonce_header": "X-Nonce"}, "a nonce needs a timestamp", id="a nonce without a time"),
        pytest.param(
            SIGNED | {"signed": "{timestamp}{body}", "timestamp_header": "X-Time", "nonce_header": "X-Nonce"},
            "the nonce is not in the signed text", id="a nonce that is not signed",
        ),
        pytest.param(
            SIGNED | {"signed": "{timestamp}{body}", "timestamp_header": "X-Time", "tolerance_s": 0}, "checks[0].tolerance_s`", id="no tolerance"
        ),
        pytest.param(
            SIGNED | {"signed": "{timestamp}{body}", "timestamp_header": "X-Time", "tolerance_s": 86_401}, "what was signed long ago would pass",
            id="a huge tolerance",
        ),
        pytest.param({"kind": "svix", "secret": KEY}, "whsec_ and Base64", id="no secret of an endpoint"),
        pytest.param({"kind": "svix", "secret": "whsec_k3vq9xw2mz7=="}, "whsec_ and Base64", id="a short secret of an endpoint"),
        pytest.param({"kind": "twilio", "secret": KEY, "public_url": "cdr.example.com"}, "checks[0].public_url`", id="no address"),
        pytest.param({"kind": "twilio", "secret": KEY, "public_url": "https://cdr.example.com?a=1"}, "checks[0].public_url`", id="a query in the address"),
        pytest.param({"kind": "mtls", "header": "X-Subject", "subjects": []}, "checks[0].subjects`", id="no subject"),
        pytest.param({"kind": "mtls", "header": "X-Subject", "subjects": ["CN=a", ""]}, "checks[0].subjects`", id="an empty subject"),
        pytest.param({"kind": "mtls", "format": "xfcc", "subjects": ["CN=a"]}, "checks[0].format`", id="a form of no header"),
        pytest.param({"kind": "mtls", "header": "X-Subject", "format": "pem", "subjects": ["CN=a"]}, "checks[0].format`", id="an unknown form"),
        pytest.param({"kind": "mtls", "header": "X-Subject", "proxies": 2, "subjects": ["CN=a"]}, "checks[0].proxies`", id="proxies without elements"),
        pytest.param(
            {"kind": "mtls", "header": "X-Xfcc", "format": "xfcc", "proxies": 0, "subjects": ["CN=a"]}, "checks[0].proxies`", id="an xfcc of nobody"
        ),
    ],
)  # fmt: skip
def test_an_unsafe_check_is_refused_and_its_place_named(check: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(check)
    assert message in str(caught.value)
    assert KEY not in str(caught.value)


def test_fields_of_xml_cannot_be_checked() -> None:
    with pytest.raises(
        SettingsError, match=r"the bodies of acme are XML.* at `\$\.accounts\[0\]\.checks\[0\]\.signed`"
    ):
        read(SIGNED | {"signed": "{field:a}"}, xml=True)
    read(SIGNED, xml=True)


def test_a_subject_needs_proxies_that_are_trusted() -> None:
    check = {"kind": "mtls", "header": "X-Subject", "subjects": ["CN=a"]}
    for proxies in ("[]", '["0.0.0.0/0"]', '["::/0"]', '["::ffff:0:0/96"]'):
        with pytest.raises(SettingsError, match="anybody can send this header"):
            of_accounts([{"vendor": "acme", "name": "main", "checks": [check]}], proxies=proxies)


def test_two_accounts_do_not_share_a_secret() -> None:
    """Else a push of the one, which its signature does not name, would pass as one of the other."""
    other = {"vendor": "acme", "name": "other", "checks": [SIGNED]}
    with pytest.raises(
        SettingsError, match=r"another account has the same secret.* at `\$\.accounts\[1\]\.checks\[0\]\.secret`"
    ):
        read(SIGNED, others=(other,))
    read(SIGNED, MD5)  # two checks of one account may


def test_an_md5_that_can_be_continued_stands_beside_another_proof() -> None:
    continued = MD5 | {"signed": "{key}{field:a}"}
    read(continued, allow=["192.0.2.0/24"])
    read(continued, SIGNED)
    with pytest.raises(SettingsError, match="is no check alone"):
        read(continued)


def test_md5_is_doubtful() -> None:
    assert [sentence.partition(":")[0] for sentence in doubtful_checks(read(SIGNED, MD5))] == [
        "MD5 is a weak signature"
    ]
    assert list(doubtful_checks(read(SIGNED))) == []


@pytest.mark.parametrize(
    ("secrets", "message"),
    [
        pytest.param({"second_secret": NEXT_KEY}, "a second secret stands beside a first one", id="a second one alone"),
        pytest.param(
            {"secret": KEY, "second_secret": KEY}, "same secret - at `$.accounts[0].second_secret`", id="one twice"
        ),
        pytest.param({"secret": KEY, "second_secret": "short"}, "$.accounts[0].second_secret", id="a weak second one"),
    ],
)
def test_a_second_path_secret_is_checked_as_the_first_one(secrets: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(allow=["192.0.2.0/24"], **secrets)
    assert message in str(caught.value)


def test_the_defaults_of_an_hmac_are_those_of_most_vendors() -> None:
    (account,) = read(SIGNED).accounts
    (check,) = account.checks
    assert isinstance(check, Hmac)
    assert (check.algorithm, check.encoding, check.signed) == ("sha256", "hex", "{body}")
