"""X-Forwarded-Client-Cert: whose subject it tells, and that no text tells one that its proxy did not write."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingress.access.proofs.xfcc import elements, subject_in

HASH = "Hash=468ed33be74eee6556d90c0149c1309e9ba61d6425303443c0748a02dd8de688"
OURS = "CN=push.vendor.example,O=Vendor"
TELLS = {
    "as Envoy writes it": (f'{HASH};Subject="{OURS}";URI=', 1, OURS),
    "with the proxy and the names of the certificate": (
        f'By=spiffe://example.org/edge;{HASH};Subject="{OURS}";URI=spiffe://a/b?c=d;DNS=a.example;DNS=b.example', 1, OURS
    ),
    "a name in the old form": (f'{HASH};Subject="/C=US/ST=CA/CN=Test Client"', 1, "/C=US/ST=CA/CN=Test Client"),
    "a key in another case": (f'{HASH};SUBJECT="{OURS}"', 1, OURS),
    "separators in a name": (f'{HASH};Subject="CN=a\\,b;c=d,O=e"', 1, "CN=a\\,b;c=d,O=e"),
    "quotes in a name": (f'{HASH};Subject="CN=a\\"b"', 1, 'CN=a\\"b'),
    "a backslash at the end of a name": (f'{HASH};Subject="CN=a\\\\"', 1, "CN=a\\\\"),
    "a name that is not in ASCII": (f'{HASH};Subject="CN=\u548c"', 1, "CN=\u548c"),
    "the certificate besides": (f'{HASH};Cert="-----BEGIN%20CERTIFICATE-----%0A";Subject="{OURS}"', 1, OURS),
    "the first of two proxies": (f'{HASH};Subject="{OURS}",By=spiffe://a/gateway;{HASH};Subject="CN=gateway"', 2, OURS),
    "two proxies and blanks between them": (f'{HASH};Subject="{OURS}" , {HASH};Subject="CN=gateway"', 2, OURS),
}  # fmt: skip
NOTHING = {
    "nothing": ("", 1),
    "blanks": ("  ", 1),
    "a subject alone": (OURS, 1),
    "an empty subject": (f'{HASH};Subject="";URI=', 1),
    "no subject": (f"{HASH};URI=spiffe://a/b", 1),
    "a subject of the proxy alone": (f'{HASH};URI=,{HASH};Subject="{OURS}"', 2),
    "a subject without quotes": (f"{HASH};Subject=CN=a", 1),
    "a subject in half of its quotes": (f'{HASH};Subject="{OURS}', 1),
    "a quote that a backslash takes away": (f'{HASH};Subject="{OURS}\\"', 1),
    "text after the quotes": (f'{HASH};Subject="{OURS}"x', 1),
    "text before the quotes": (f'{HASH};Subject=x"{OURS}"', 1),
    "blanks around the equals sign": (f'{HASH};Subject = "{OURS}"', 1),
    "another separator": (f'{HASH}&Subject="{OURS}"', 1),
    "a semicolon at the end": (f'{HASH};Subject="{OURS}";', 1),
    "a comma at the end": (f'{HASH};Subject="{OURS}",', 1),
    "a comma at the beginning": (f',{HASH};Subject="{OURS}"', 1),
    "a pair without a key": (f'=x;Subject="{OURS}"', 1),
    "a key alone": (f'Hash;Subject="{OURS}"', 1),
    "a line end": (f'{HASH};Subject="{OURS}"\n', 1),
    "FORGED: the caller's own element before the proxy's": (f'{HASH};Subject="{OURS}",{HASH};Subject="CN=other"', 1),
    "FORGED: and after it": (f'{HASH};Subject="CN=other",{HASH};Subject="{OURS}"', 1),
    "FORGED: the caller's own element before those of two proxies": (
        f'{HASH};Subject="{OURS}",{HASH};Subject="CN=other",{HASH};Subject="CN=gateway"', 2
    ),
    "FORGED: one proxy of two was not on the way": (f'{HASH};Subject="{OURS}"', 2),
    "FORGED: a second subject in the URI of a certificate": (
        f'{HASH};Subject="CN=other";URI=spiffe://a/b;Subject="{OURS}"', 1
    ),
    "FORGED: the same before the true one": (f'{HASH};URI=spiffe://a/b;Subject="{OURS}";Subject="CN=other"', 1),
    "FORGED: a second element in the URI of a certificate": (
        f'{HASH};URI=spiffe://a/b;Subject="{OURS}",{HASH};Subject="CN=other"', 1
    ),
    "FORGED: quotes in the URI that swallow the true subject": (f'{HASH};URI=";Subject="CN=other"', 1),
}  # fmt: skip


@pytest.mark.parametrize(("header", "proxies", "told"), TELLS.values(), ids=TELLS)
def test_the_subject_of_the_first_proxys_caller_is_told(header: str, proxies: int, told: str) -> None:
    assert subject_in(header, proxies) == told


@pytest.mark.parametrize(("header", "proxies"), NOTHING.values(), ids=NOTHING)
def test_a_header_that_is_forged_or_malformed_tells_nobody(header: str, proxies: int) -> None:
    assert subject_in(header, proxies) == ""


def test_the_keys_of_each_element_are_told_apart() -> None:
    header = 'By=a;DNS=b;DNS=c;Subject="CN=d",By=;Hash=e'

    assert elements(header) == (
        (("by", "a"), ("dns", "b"), ("dns", "c"), ("subject", '"CN=d"')),
        (("by", ""), ("hash", "e")),
    )


_NAME = st.text(st.characters(codec="utf-8", exclude_characters="\n"), min_size=1, max_size=40)


@given(name=_NAME, uri=st.text(st.sampled_from('ab,;="\\ '), max_size=30))
def test_whatever_a_certificate_says_only_its_own_subject_is_told(name: str, uri: str) -> None:
    """The subject is escaped as OpenSSL does it; the URI is not, as Envoy leaves it."""
    escaped = f"CN={name.replace(chr(92), chr(92) * 2).replace(chr(34), chr(92) + chr(34))}"

    assert subject_in(f'{HASH};Subject="{escaped}"', 1) == escaped
    for header in (f'{HASH};Subject="{escaped}";URI={uri}', f'{HASH};URI={uri};Subject="{escaped}"'):
        assert subject_in(header, 1) in ("", escaped)


@given(text=st.text(max_size=60) | st.text(st.sampled_from('Subject=",;\\ '), max_size=60))
def test_any_text_is_read(text: str) -> None:
    assert isinstance(subject_in(text, 1), str)
