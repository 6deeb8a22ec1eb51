"""Resolutions of contradicting contents: written, read, refused, and never sent from outside."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from ingress.http.routes import Router
from processors.normalise import Directory, Normalised, normalise
from schemas.codec import FACT
from schemas.config.limits import DEFAULT
from schemas.config.settings import Settings
from schemas.errors import Rejected
from schemas.facts import FactType, Kind
from schemas.raw import Position, RawCallback, raw_from_kafka
from schemas.resolution import CALLBACK, Resolution, resolution_raw
from schemas.vendors import VENDORS

AT = datetime(2026, 3, 5, 9, 30, tzinfo=UTC)
RECORD = "6f1d7a52-6f0b-5c1e-9f43-0c5d7f1f9a11"
RESOLUTION = Resolution(
    record_id=RECORD, call_key="ytx|main|4711", kind=Kind.CALLBACK_CDR, keep="ab" * 16, resolved_at=AT, note="by the invoice"
)  # fmt: skip


def read(body: bytes, *, vendor: str = "ytx", callback: str = CALLBACK, account: str = "main") -> Normalised:
    raw = RawCallback(vendor=vendor, callback=callback, account=account, received_at=AT, request_id="r", body=body)
    return normalise(raw, Position("calls.raw", 3, 9), Directory(), DEFAULT)


def test_a_decision_is_one_fact_of_its_record_s_call() -> None:
    outcome = read(msgspec.json.encode(RESOLUTION))
    (fact,) = outcome.facts

    assert (outcome.dead, outcome.filtered) == ((), ())
    assert (fact.fact_type, fact.fact_id, fact.call_key, fact.keeps) == (
        FactType.RESOLUTION,
        RECORD,
        "ytx|main|4711",
        "ab" * 16,
    )
    assert (fact.vendor, fact.kind, fact.account) == ("ytx", Kind.CALLBACK_CDR, "main")
    assert (fact.event_at, fact.received_at, fact.extras) == (AT, AT, {"note": "by the invoice"})
    assert (fact.raw_topic, fact.raw_partition, fact.raw_offset) == ("calls.raw", 3, 9)
    assert FACT.decode(FACT.encode(fact)) == fact


def test_it_lies_on_the_raw_topic_like_everything_else() -> None:
    raw = resolution_raw(RESOLUTION, vendor="ytx", account="main", request_id="cli-1")
    again = raw_from_kafka(raw.body, raw.headers(), 0)

    assert again == raw
    assert read(again.body).facts[0].keeps == RESOLUTION.keep


def test_the_same_decision_is_the_same_content_and_another_is_not() -> None:
    body = msgspec.json.encode(RESOLUTION)
    other = msgspec.json.encode(msgspec.structs.replace(RESOLUTION, keep="cd" * 16))
    digests = [read(each).facts[0].content_digest for each in (body, body, other)]

    assert digests[0] == digests[1] != digests[2]


def body_with(**changes: Any) -> bytes:
    plain = json.loads(msgspec.json.encode(RESOLUTION))
    return json.dumps({name: value for name, value in {**plain, **changes}.items() if value is not ...}).encode()


MALFORMED: dict[str, tuple[bytes, str]] = {
    "no JSON": (b"{", "json"),
    "nothing": (b"", "json"),
    "no UTF-8": (b'{"record_id":"\xff"}', "json"),
    "a list": (b"[]", "shape"),
    "no record": (body_with(record_id=...), "shape"),
    "a record's id that is none": (body_with(record_id="13810603954"), "field"),
    "a record's id in capitals": (body_with(record_id=RECORD.upper()), "field"),
    "a key without its parts": (body_with(call_key="4711"), "field"),
    "a key with too many parts": (body_with(call_key="ytx|main|4711|"), "field"),
    "another vendor's call": (body_with(call_key="huawei|main|4711"), "field"),
    "no digest": (body_with(keep="the first"), "field"),
    "an empty digest": (body_with(keep=""), "field"),
    "no kind": (body_with(kind="A call"), "field"),
    "no instant": (body_with(resolved_at="yesterday"), "shape"),
    "an instant without a zone": (body_with(resolved_at="2026-03-05T09:30:00"), "field"),
    "a number for a text": (body_with(note=5), "shape"),
    "a hundred thousand levels": (b'{"more":' * 100_000, "json"),
    "a hundred thousand levels of a note": (b'{"note":' * 100_000, "shape"),
}


@pytest.mark.parametrize(("body", "code"), MALFORMED.values(), ids=MALFORMED.keys())
def test_a_body_that_is_no_resolution_is_a_dead_letter(body: bytes, code: str) -> None:
    outcome = read(body)

    assert outcome.facts == ()
    assert [(letter.code, letter.element, letter.original) for letter in outcome.dead] == [(code, -1, body)]
    assert "13810603954" not in outcome.dead[0].detail


def test_a_vendor_that_nobody_knows_decides_nothing() -> None:
    assert [letter.code for letter in read(body_with(call_key="nobody|main|1"), vendor="nobody").dead] == [
        "unknown_vendor"
    ]


def test_no_vendor_has_a_callback_of_this_name() -> None:
    assert [
        vendor.name for vendor in VENDORS.values() for callback in vendor.callbacks if callback.name == CALLBACK
    ] == []


@pytest.mark.parametrize("vendor", VENDORS)
def test_no_address_leads_to_it(vendor: str) -> None:
    """Ingress takes the callback from its own routes: a push is always one of the vendor's callbacks."""
    with pytest.raises(Rejected):
        Router(Settings(), VENDORS).match(f"/v1/{vendor}/{CALLBACK}")


@pytest.mark.parametrize(
    "name", [(vendor.name, callback.name) for vendor in VENDORS.values() for callback in vendor.callbacks]
)
def test_a_push_that_holds_a_decision_decides_nothing(name: tuple[str, str]) -> None:
    vendor, callback = name
    outcome = read(body_with(call_key=f"{vendor}|main|4711"), vendor=vendor, callback=callback)

    assert [fact for fact in outcome.facts if fact.fact_type is FactType.RESOLUTION or fact.keeps] == []
