import gzip
import zlib
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingress.access.request_head import RequestHead
from ingress.http.accept import Accepted
from ingress.http.routes import Router, pushed_paths
from schemas.config.secret import Secret
from schemas.config.settings import Account, IngressSettings, Settings
from schemas.errors import Rejected
from schemas.vendor_kit.contract import Callback, Elements, Filtered, Poll, PollRequest, Reply, Vendor
from schemas.vendors import VENDORS
from tests.support.http.accepting import accept_request

NOW = datetime(2024, 5, 6, 7, 8, 9, 123000, tzinfo=UTC)
SECRET = "abcdefghijklmnop0123"
OTHER_SECRET = "zyxwvutsrqponmlk9876"


def text_id(body: bytes) -> str:
    """The key function of the tests: the text behind `id=`."""
    return body.partition(b"id=")[2].decode("utf-8", "replace")


def unlucky(body: bytes) -> str:
    raise ValueError(f"cannot read {body!r}")


def callback(name: str, path: str, **more: object) -> Callback:
    given: dict[str, object] = {"key": text_id} | more
    return Callback(
        name=name,
        path=path,
        elements=lambda _: Elements(items=()),
        normalise=lambda _element, _context: Filtered(reason="test"),
        **given,  # type: ignore[arg-type]  # a table of the tests
    )


def vendor(name: str, *callbacks: Callback, poll: Poll | None = None) -> Vendor:
    return Vendor(
        name=name,
        title=name,
        adapter_version=1,
        callbacks=callbacks,
        accepted=Reply(status=200, body=b"OK"),
        retry=Reply(status=503),
        sends_at_most=0,
        poll=poll,
    )


POLL = Poll(
    callback="pull",
    request=lambda *_: PollRequest(url="", headers=(), body=b""),
    read_page=lambda *_: pytest.fail("the ingress reads no page"),
    advice={},
)
TEST_VENDORS = MappingProxyType(
    {
        "acme": vendor(
            "acme",
            callback("cdr", "/cdr"),
            callback("broken", "/broken", key=unlucky),
            callback("apps", "/apps", key_account=lambda body, _: "app" + str(len(body))),
        ),
        "bell": vendor("bell", callback("all", ""), callback("pull", "/pull"), poll=POLL),
    }
)
ACCOUNTS = (
    Account(vendor="acme", name="open"),
    Account(vendor="acme", name="office", allow=("192.0.2.0/24", "2001:db8::/32")),
    Account(vendor="acme", name="hidden", secret=Secret(value=SECRET)),
    Account(vendor="bell", name="other", secret=Secret(value=OTHER_SECRET)),
)


def take(body: bytes = b"id=1", *, proxies: int = 0, require: bool = False, **head: object) -> Accepted:
    """Accepts a request under the tests' settings; `head` holds what differs from a plain push."""
    settings = Settings(
        accounts=ACCOUNTS, ingress=IngressSettings(trust_forwarded_for=proxies, require_account=require)
    )
    return accept_request(
        Router(settings, TEST_VENDORS),
        msgspec.convert({"method": "POST", "path": "/v1/acme/cdr", **head}, RequestHead),
        body,
        now=NOW,
        request_id="r1",
    )


@pytest.mark.parametrize(
    ("path", "head", "key"),
    [
        pytest.param("/v1/acme/cdr", {}, b"acme||1", id="a callback without an account"),
        pytest.param("/v1/acme/cdr/", {}, b"acme||1", id="a slash too many at the end"),
        pytest.param("//v1//acme//cdr//", {}, b"acme||1", id="slashes doubled"),
        pytest.param("/v1/%61cme/cd%72", {}, b"acme||1", id="letters encoded"),
        pytest.param("/v1/bell", {}, b"bell||1", id="a vendor with one address for all"),
        pytest.param("/v1/acme/cdr", {"accounts": ("open",)}, b"acme|open|1", id="an account by name"),
        pytest.param("/v1/acme/cdr", {"accounts": ("open", "open")}, b"acme|open|1", id="the same account twice"),
        pytest.param(f"/v1/a/{SECRET}/acme/cdr", {}, b"acme|hidden|1", id="an account by secret"),
        pytest.param(f"/v1/a/{OTHER_SECRET}/bell", {}, b"bell|other|1", id="a secret before a vendor's root"),
        pytest.param(f"/v1/a/{SECRET}/acme/cdr", {"accounts": ("hidden",)}, b"acme|hidden|1", id="secret and name agree"),
        pytest.param("/v1/acme/apps", {"accounts": ("open",)}, b"acme|app4|1", id="the body's own account is in the key"),
        pytest.param("/v1/acme/cdr", {"accounts": ("office",), "peer": "192.0.2.9"}, b"acme|office|1", id="inside the network"),
        pytest.param("/v1/acme/cdr", {"accounts": ("office",), "peer": "::ffff:192.0.2.9"}, b"acme|office|1", id="IPv4 written as IPv6"),
        pytest.param("/v1/acme/cdr", {"accounts": ("office",), "peer": "2001:db8::1"}, b"acme|office|1", id="inside the IPv6 network"),
    ],
)  # fmt: skip
def test_an_address_leads_to_its_callback(path: str, head: dict[str, Any], key: bytes) -> None:
    assert take(path=path, **head).key == key


@pytest.mark.parametrize(
    ("path", "head", "status", "code"),
    [
        pytest.param("/", {}, 404, "unknown_route", id="the root"),
        pytest.param("/v2/acme/cdr", {}, 404, "unknown_route", id="another version"),
        pytest.param("/v1", {}, 404, "unknown_route", id="the version alone"),
        pytest.param("/v1/", {}, 404, "unknown_route", id="the version and a slash"),
        pytest.param("/v1acme/cdr", {}, 404, "unknown_route", id="no slash behind the version"),
        pytest.param("/v1/nobody/cdr", {}, 404, "unknown_route", id="an unknown vendor"),
        pytest.param("/v1/acme", {}, 404, "unknown_route", id="a vendor without a root address"),
        pytest.param("/v1/acme/other", {}, 404, "unknown_route", id="an unknown callback"),
        pytest.param("/v1/acme/../bell", {}, 404, "unknown_route", id="dots are no way out"),
        pytest.param("/v1/bell/pull", {}, 404, "unknown_route", id="what we pull cannot be pushed"),
        pytest.param("/healthz", {}, 405, "method", id="a status path"),
        pytest.param("/v1/acme/cdr", {"method": "GET"}, 405, "method", id="GET, which pushes nothing"),
        pytest.param("/v1/Acme/cdr", {}, 404, "unknown_route", id="another case"),
        pytest.param("/v1/acme%2Fcdr", {}, 404, "unknown_route", id="an encoded slash"),
        pytest.param("/v1/%2561cme/cdr", {}, 404, "unknown_route", id="encoded twice"),
        pytest.param("/v1/a", {}, 403, "forbidden", id="no secret at all"),
        pytest.param(f"/v1/a/{SECRET}", {}, 404, "unknown_route", id="a secret and no vendor"),
        pytest.param("/v1/a/%ff%fe/acme/cdr", {}, 403, "forbidden", id="a secret of bytes that are no text"),
        pytest.param("/v1/acme/cdr", {"method": "PUT", "accounts": ("nobody",)}, 405, "method", id="the method comes before the account"),
        pytest.param("/v1/acme/cdr", {"accounts": ("nobody",)}, 403, "unknown_account", id="an unknown account"),
        pytest.param("/v1/acme/cdr", {"accounts": ("",)}, 403, "unknown_account", id="an empty account"),
        pytest.param("/v1/bell", {"accounts": ("open",)}, 403, "unknown_account", id="another vendor's account"),
        pytest.param("/v1/acme/cdr", {"accounts": ("open", "office")}, 400, "bad_request", id="two accounts"),
        pytest.param("/v1/acme/cdr", {"accounts": ("hidden",)}, 403, "forbidden", id="the name of an account that has a secret"),
        pytest.param(f"/v1/a/{SECRET[:-1]}/acme/cdr", {}, 403, "forbidden", id="a secret that is almost right"),
        pytest.param("/v1/a//acme/cdr", {}, 403, "forbidden", id="an empty secret"),
        pytest.param("/v1/a/%E5%AF%86/acme/cdr", {}, 403, "forbidden", id="a secret in another script"),
        pytest.param(f"/v1/a/{OTHER_SECRET}/acme/cdr", {}, 403, "forbidden", id="another vendor's secret"),
        pytest.param(f"/v1/a/{SECRET}/nobody", {}, 404, "unknown_route", id="a right secret and an unknown vendor"),
        pytest.param(f"/v1/a/{SECRET}/acme/cdr", {"accounts": ("open",)}, 403, "unknown_account", id="secret and name disagree"),
        pytest.param("/v1/acme/cdr", {"accounts": ("office",), "peer": "198.51.100.1"}, 403, "forbidden", id="outside the network"),
        pytest.param("/v1/acme/cdr", {"accounts": ("office",)}, 403, "forbidden", id="no peer address at all"),
        pytest.param("/v1/acme/cdr", {"accounts": ("office",), "peer": "198.51.100.1", "forwarded_for": "192.0.2.9"}, 403, "forbidden", id="an untrusted proxy is not believed"),
    ],
)  # fmt: skip
def test_what_is_not_for_us_is_refused(path: str, head: dict[str, Any], status: int, code: str) -> None:
    with pytest.raises(Rejected) as rejected:
        take(path=path, **head)
    assert (rejected.value.http_status, rejected.value.code) == (status, code)
    assert SECRET not in str(rejected.value)


@pytest.mark.parametrize(
    ("proxies", "forwarded_for", "allowed"),
    [
        pytest.param(1, "192.0.2.9", True, id="one proxy and its entry"),
        pytest.param(1, "192.0.2.9:4711", True, id="an entry with a port"),
        pytest.param(1, "[2001:db8::1]:4711", True, id="an IPv6 entry with a port"),
        pytest.param(
            1, "192.0.2.9, 198.51.100.1", False, id="entries before the trusted one are the caller's own words"
        ),
        pytest.param(2, "192.0.2.9, 198.51.100.1", True, id="two proxies"),
        pytest.param(2, "192.0.2.9", False, id="fewer entries than proxies: only the peer counts"),
        pytest.param(1, "unknown", False, id="an entry that is no address"),
        pytest.param(1, "\udcff\x00[", False, id="an entry of any bytes"),
        pytest.param(1, "\udcff\x00[, 192.0.2.9", True, id="any bytes of the caller before the trusted entry"),
        pytest.param(1, "[" * 8000 + ",192.0.2.9", True, id="very many of them"),
    ],
)
def test_trusted_proxies_tell_the_sender(proxies: int, forwarded_for: str, *, allowed: bool) -> None:
    head: dict[str, Any] = {"accounts": ("office",), "peer": "198.51.100.7", "forwarded_for": forwarded_for}
    if allowed:
        assert take(proxies=proxies, **head).raw.account == "office"
    else:
        with pytest.raises(Rejected):
            take(proxies=proxies, **head)


def test_with_accounts_required_a_push_without_one_is_refused() -> None:
    with pytest.raises(Rejected) as rejected:
        take(require=True)
    assert (rejected.value.http_status, rejected.value.code) == (403, "unknown_account")
    assert take(require=True, path=f"/v1/a/{SECRET}/acme/cdr").raw.account == "hidden"


def test_the_record_says_who_what_and_when() -> None:
    accepted = take(b"id=7", path=f"/v1/a/{SECRET}/acme/cdr", content_type="text/plain", content_encoding="identity")
    assert dict(accepted.raw.headers()) == {
        "vendor": b"acme",
        "callback": b"cdr",
        "account": b"hidden",
        "request_id": b"r1",
        "content_type": b"text/plain",
        "source": b"push",
        "received_at": b"1714979289123",
    }


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        pytest.param("\udcff\udcfe", b"\xff\xfe", id="bytes that are no UTF-8"),
        pytest.param("text/plain;x=\udcba\udcc5", b"text/plain;x=\xba\xc5", id="GBK"),
        pytest.param("a\x00\x1b[2j", b"a\x00\x1b[2j", id="control characters"),
        pytest.param("类型", "类型".encode(), id="UTF-8"),
        pytest.param("\ud800", b"?", id="half a pair, which stands for no byte"),
        pytest.param("y" * 8000, b"y" * 256, id="far too long"),
        pytest.param("\udcff" * 8000, b"\xff" * 256, id="far too long and no UTF-8"),
    ],
)
@pytest.mark.parametrize("header", ["content_type", "content_encoding"])
def test_any_header_is_stored_as_it_came_as_far_as_it_is_kept(header: str, sent: str, stored: bytes) -> None:
    more: dict[str, Any] = {header: sent}
    assert dict(take(**more).raw.headers())[header] == stored


def test_nothing_that_is_pushed_goes_where_we_write_ourselves() -> None:
    """Our own decisions stand on `calls.raw` beside the vendors' pushes: no address leads there."""
    ours = {callback.name for _, callback in pushed_paths(VENDORS).values()}
    assert ours == {"cdr", "push", "ax"}


RAW_DEFLATE = zlib.compressobj(wbits=-15)


@pytest.mark.parametrize(
    ("encoding", "body", "stored_as"),
    [
        pytest.param("gzip", gzip.compress(b"id=9"), "gzip", id="gzip"),
        pytest.param("X-GZIP", gzip.compress(b"id=9"), "x-gzip", id="the old name of gzip"),
        pytest.param("gzip", gzip.compress(b"i") + gzip.compress(b"d=9"), "gzip", id="gzip in two members"),
        pytest.param("deflate", zlib.compress(b"id=9"), "deflate", id="deflate as the standard means it"),
        pytest.param("deflate", RAW_DEFLATE.compress(b"id=9") + RAW_DEFLATE.flush(), "deflate", id="deflate without its wrapper"),
        pytest.param("gzip, deflate", zlib.compress(gzip.compress(b"id=9")), "gzip,deflate", id="two encodings"),
        pytest.param("", gzip.compress(b"id=9"), "", id="gzip that nobody declares"),
        pytest.param("", zlib.compress(b"id=9"), "", id="deflate that nobody declares"),
        pytest.param("gzip", gzip.compress(b"x" * 100_000), "gzip", id="gzip of a hundred times the size"),
    ],
)  # fmt: skip
def test_a_compressed_body_is_stored_as_it_came_under_a_key_of_its_own(
    encoding: str, body: bytes, stored_as: str
) -> None:
    accepted, again = take(body, content_encoding=encoding), take(body, content_encoding=encoding)
    assert (accepted.raw.body, accepted.raw.content_encoding) == (body, stored_as)
    assert (accepted.key[:7], len(accepted.key), accepted.key) == (b"acme||~", 7 + 16, again.key)


@pytest.mark.parametrize("encoding", ["identity", "utf-8", "br", "gzip"])
def test_a_plain_body_under_a_wrong_header_is_keyed_by_its_call_id(encoding: str) -> None:
    accepted = take(b"id=9", content_encoding=encoding)
    assert (accepted.key, accepted.raw.body) == (b"acme||9", b"id=9")
    assert accepted.raw.content_encoding == ("" if encoding == "identity" else encoding)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        pytest.param("gzip", b"<html>", id="not compressed at all"),
        pytest.param("gzip", gzip.compress(b"id=9")[:-9], id="cut off"),
        pytest.param("gzip", b"", id="empty"),
        pytest.param("br", b"\x8b\x00", id="an encoding that we do not know"),
        pytest.param(
            "deflate,deflate,deflate",
            zlib.compress(zlib.compress(zlib.compress(b"id=9"))),
            id="more layers than are taken",
        ),
        pytest.param("deflate", zlib.compress(b"") * 100, id="more members than are taken"),
        pytest.param(
            "deflate, deflate", zlib.compress(zlib.compress(b"") * 100), id="very many members in another layer"
        ),
    ],
)
def test_a_body_that_does_not_inflate_is_taken_all_the_same(encoding: str, body: bytes) -> None:
    accepted = take(body, content_encoding=encoding)
    assert accepted.raw.body == body
    assert accepted.raw.content_encoding == encoding.replace(" ", "")
    assert accepted.key.startswith(b"acme||~")


def test_bodies_without_a_call_id_spread_over_keys_and_repeat_on_theirs() -> None:
    keys = [take(bytes([number])).key for number in range(50)]
    assert len(set(keys)) == 50
    assert keys == [take(bytes([number])).key for number in range(50)]


def test_a_key_function_that_raises_costs_no_body_and_leaks_none(caplog: pytest.LogCaptureFixture) -> None:
    accepted = take(b"id=+447700900123", path="/v1/acme/broken")
    assert accepted.key.startswith(b"acme||~")
    assert "ValueError" in caplog.text
    assert "447700900123" not in caplog.text


@given(body=st.binary(max_size=400), encoding=st.sampled_from(["", "gzip", "deflate", "br", "\x00"]))
def test_any_bytes_are_taken_as_they_are(body: bytes, encoding: str) -> None:
    accepted = take(body, content_encoding=encoding)
    assert accepted.raw.body == body
    assert accepted.key.startswith(b"acme||")


@pytest.mark.parametrize(
    ("vendor_name", "callback_name"),
    [
        pytest.param(name, item.name, id=f"{name} {item.name}")
        for name, page in VENDORS.items()
        for item in page.callbacks
        if page.poll is None or page.poll.callback != item.name
    ],
)
def test_every_pushed_callback_of_every_vendor_has_its_address(vendor_name: str, callback_name: str) -> None:
    page = VENDORS[vendor_name]
    path = next(item.path for item in page.callbacks if item.name == callback_name)
    route = Router(Settings(), VENDORS).match(f"/v1/{vendor_name}{path}")
    assert (route.vendor.name, route.callback.name) == (vendor_name, callback_name)
