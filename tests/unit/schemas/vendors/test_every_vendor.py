"""Every vendor's every payload has an identity and a content that do not depend on the way the bytes came."""

import gzip
import json
import re
import zlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from processors.call.precedence import normalized
from processors.call.state import new_item
from processors.normalise import Normalised
from schemas.errors import DEAD_CODES
from schemas.facts import Flag
from schemas.raw import RawCallback
from schemas.vendors import VENDORS
from tests.golden.cases import Case, all_cases, body_format, body_of, document_of, run

CALLBACKS = [(vendor, callback) for vendor in VENDORS.values() for callback in vendor.callbacks]
CALLBACK_IDS = [f"{vendor.name}-{callback.name}" for vendor, callback in CALLBACKS]


def is_plain(case: Case) -> bool:
    """True when the case's body is plain in its vendor's format, each key once, and makes facts."""
    try:
        document = document_of(case)
    except ValueError:
        return False
    return (
        bool(case.expected.get("facts"))
        and "charset" not in case.raw.content_type
        and isinstance(document, dict | list)
    )


PLAIN = [case for case in all_cases() if is_plain(case)]
each_plain_case = pytest.mark.parametrize("case", PLAIN, ids=[case.name for case in PLAIN])
JSON = [case for case in PLAIN if body_format(case) == "json"]
each_json_case = pytest.mark.parametrize("case", JSON, ids=[case.name for case in JSON])


def identities(outcome: Normalised) -> list[tuple[str, str, str]]:
    """Returns the identities and contents of the facts, without their carriers."""
    return [(fact.call_key, fact.fact_id, fact.content_digest) for fact in outcome.facts]


def again(case: Case, **changes: Any) -> Normalised:
    return run(msgspec.structs.replace(case.raw, **changes), case.accounts)


def mapped(value: Any, by: Callable[[Any], Any]) -> Any:
    """Returns the document with `by` applied to each scalar."""
    if isinstance(value, Mapping):
        return {name: mapped(item, by) for name, item in value.items()}
    return [mapped(item, by) for item in value] if isinstance(value, list) else by(value)


def reordered(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: reordered(item) for name, item in reversed(list(value.items()))}
    return [reordered(item) for item in value] if isinstance(value, list) else value


@each_plain_case
def test_a_fact_that_came_once_has_the_version_it_is_shown_at(case: Case) -> None:
    """This lets the joiner pass its bytes on without encoding them anew."""
    facts = again(case).facts

    assert all(normalized(new_item(fact)) is fact for fact in facts)


def in_gb18030(body: bytes) -> bytes:
    """Returns the body in the other charset, unless that is valid UTF-8 by chance, as of a word or two (未知, 元)."""
    encoded = body.decode().encode("gb18030")
    try:
        encoded.decode()
    except UnicodeDecodeError:
        return encoded
    return body


@each_plain_case
def test_the_same_bytes_are_the_same_facts(case: Case) -> None:
    assert again(case) == again(case)


@each_plain_case
def test_the_order_of_keys_and_white_space_say_nothing(case: Case) -> None:
    turned = again(case, body=body_of(case, reordered(document_of(case))))
    assert identities(turned) == identities(again(case))


@each_plain_case
@pytest.mark.parametrize(
    "wrapped",
    [
        pytest.param(lambda body: {"body": gzip.compress(body), "content_encoding": "gzip"}, id="gzip"),
        pytest.param(lambda body: {"body": zlib.compress(body), "content_encoding": "deflate"}, id="deflate"),
        pytest.param(lambda body: {"body": b"\xef\xbb\xbf" + body}, id="byte order mark"),
        pytest.param(lambda body: {"body": body, "content_type": "text/plain"}, id="plain text"),
        pytest.param(lambda body: {"body": in_gb18030(body)}, id="GB 18030"),
    ],
)
def test_what_is_wrapped_around_a_body_says_nothing(case: Case, wrapped: Callable[[bytes], dict[str, Any]]) -> None:
    assert identities(again(case, **wrapped(case.raw.body))) == identities(again(case))


@each_json_case
@pytest.mark.parametrize(
    "wrapped",
    [
        pytest.param(lambda body: b"cdr=" + quote(body).encode(), id="form parameter cdr"),
        pytest.param(lambda body: b"data=" + quote(body).encode(), id="form parameter data"),
        pytest.param(lambda body: re.sub(rb"([}\]])(\s*)\Z", rb",\1\2", body), id="trailing comma"),
    ],
)
def test_what_is_wrapped_around_json_says_nothing(case: Case, wrapped: Callable[[bytes], bytes]) -> None:
    assert identities(again(case, body=wrapped(case.raw.body))) == identities(again(case))


@each_json_case
def test_numbers_as_text_say_the_same(case: Case) -> None:
    as_text = mapped(document_of(case), lambda value: str(value) if type(value) is int else value)
    assert identities(again(case, body=body_of(case, as_text))) == identities(again(case))


@each_json_case
def test_text_as_whole_numbers_says_the_same(case: Case) -> None:
    """Leading zeros are left out: they cannot be sent as a number."""

    def as_number(value: Any) -> Any:
        return int(value) if isinstance(value, str) and re.fullmatch(r"[1-9][0-9]*|0", value) else value

    as_numbers = mapped(document_of(case), as_number)
    assert identities(again(case, body=body_of(case, as_numbers))) == identities(again(case))


@each_plain_case
def test_an_unknown_field_is_kept_and_flagged(case: Case) -> None:
    before = again(case).facts
    after = again(case, body=body_of(case, _with_news(document_of(case)))).facts
    assert [fact.fact_id for fact in after] == [fact.fact_id for fact in before]
    for fact in after:
        kept = [name for name, text in fact.extras.items() if name.endswith("field_of_tomorrow") and text == "x"]
        assert kept, "the new field is lost"
        # No document describes the fields inside an object of objects (`bind.field_of_tomorrow`).
        assert (Flag.SCHEMA_DRIFT in fact.quality_flags) is ("field_of_tomorrow" in kept)


def _with_news(value: Any) -> Any:
    """Returns the document with one more field in each of its innermost objects."""
    if isinstance(value, list):
        return [_with_news(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    if any(isinstance(item, Mapping | list) for item in value.values()):
        return {name: _with_news(item) for name, item in value.items()}
    return {**value, "field_of_tomorrow": "x"}


@pytest.mark.parametrize(("vendor", "callback"), CALLBACKS, ids=CALLBACK_IDS)
@pytest.mark.parametrize(
    ("body", "code"),
    [
        pytest.param(b"", "empty", id="no bytes"),
        pytest.param(b" \n", "empty", id="white space"),
        pytest.param(b"<html><body>Bad Gateway</body></html>", "json", id="HTML"),
        pytest.param(b"hello", "json", id="words"),
        pytest.param(b"\xff\xfe\xff", "charset", id="no charset"),
        pytest.param(b"null", "shape", id="null"),
        pytest.param(b"42", "shape", id="a number"),
        pytest.param(b'"x"', "shape", id="a text"),
    ],
)
def test_a_body_that_is_no_payload_is_one_dead_letter(vendor: Any, callback: Any, body: bytes, code: str) -> None:
    raw = msgspec.structs.replace(PLAIN[0].raw, vendor=vendor.name, callback=callback.name, body=body)
    found = run(raw)
    if callback.body == "xml" and body.startswith(b"<"):  # HTML may be well-formed: then it is a record of nobody's
        assert {dead.code for dead in found.dead} <= {"xml", "shape", "wrong_kind"}
    else:
        assert [(dead.code, dead.element) for dead in found.dead] == [(code, -1)]
    assert (found.facts, found.filtered) == ((), ())


@pytest.mark.parametrize(("vendor", "callback"), CALLBACKS, ids=CALLBACK_IDS)
def test_an_empty_list_is_nothing(vendor: Any, callback: Any) -> None:
    raw = msgspec.structs.replace(PLAIN[0].raw, vendor=vendor.name, callback=callback.name, body=b"[]")
    assert run(raw) == Normalised(elements=0)


@pytest.mark.parametrize(("vendor", "callback"), CALLBACKS, ids=CALLBACK_IDS)
def test_another_vendors_payload_is_of_the_wrong_kind(vendor: Any, callback: Any) -> None:
    for case in PLAIN:
        if case.raw.vendor == vendor.name:
            continue
        found = again(case, vendor=vendor.name, callback=callback.name)
        codes = {dead.code for dead in found.dead}
        assert found.facts == (), case.name
        if body_format(case) == "json":
            assert codes <= {"wrong_kind", "shape"}, case.name
            assert "wrong_kind" in codes, case.name
        else:  # without a field that the other vendor knows, it is not even a document of that vendor's
            assert codes <= {"wrong_kind", "json", "xml"}, case.name
            assert codes, case.name


@pytest.mark.parametrize(("vendor", "callback"), CALLBACKS, ids=CALLBACK_IDS)
def test_no_bytes_break_a_vendor_file(vendor: Any, callback: Any) -> None:
    """Any change to a real body leaves elements that are facts, dead letters or filtered, and raises no bug."""
    cases = [case for case in PLAIN if (case.raw.vendor, case.raw.callback) == (vendor.name, callback.name)]
    if not cases:
        pytest.fail("no case to start from")

    scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6)
    values = st.recursive(
        scalars, lambda v: st.lists(v, max_size=2) | st.dictionaries(st.text(max_size=2), v, max_size=2)
    )

    @settings(suppress_health_check=[HealthCheck.too_slow])  # the first text drawn on a machine builds tables
    @given(st.sampled_from(cases), st.data())
    def bent(case: Case, data: Any) -> None:
        changed = mapped(document_of(case), lambda value: data.draw(values) if data.draw(st.booleans()) else value)
        has_half = "\\ud" in json.dumps(changed).lower()
        whole = json.dumps(changed).encode() if has_half else body_of(case, changed)
        cut = data.draw(st.integers(0, len(whole)))
        for sent in (whole, whole[:cut]):
            raw = msgspec.structs.replace(PLAIN[0].raw, vendor=vendor.name, callback=callback.name, body=sent)
            found = run(raw)
            assert {dead.code for dead in found.dead} <= DEAD_CODES - {"adapter_bug"}
            assert isinstance(callback.key(sent), str)
            assert isinstance(callback.key_account(sent, ""), str)

    bent()


@pytest.mark.parametrize("none", ["0", 0, "-1", "none", "Undefined", "n/a", "-", "NaN", " nil "])
@pytest.mark.parametrize(
    ("vendor", "callback", "id_field"),
    [("nxcloud", "cdr", b"sessionid"), ("ytx", "push", b"requestid"), ("tencent", "getCdr", b"callId")],
)
def test_an_id_that_says_that_there_is_none_is_none(vendor: str, callback: str, id_field: bytes, none: object) -> None:
    """Unrelated records with one such id would be one call, and contradict each other."""
    example = next(one for one in VENDORS[vendor].callbacks if one.name == callback).example
    body = re.sub(rb'"%s"\s*:\s*"[^"]*"' % id_field, b'"%s":%s' % (id_field, json.dumps(none).encode()), example)
    raw = RawCallback(
        vendor=vendor, callback=callback, received_at=datetime(2026, 3, 1, tzinfo=UTC), request_id="r", body=body
    )

    outcome = run(raw)

    assert ([dead.code for dead in outcome.dead], outcome.facts) == (["no_id"], ())
