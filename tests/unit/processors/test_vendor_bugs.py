"""Whatever a vendor's file does wrong, each element is a fact, a dead letter or filtered."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from processors.normalise import Directory, Normalised, normalise
from schemas.config.limits import DEFAULT
from schemas.facts import Fact, FactType
from schemas.raw import Position, RawCallback
from schemas.vendor_kit.contract import Context, Element, Filtered, Mapped
from schemas.vendors import VENDORS

BODY = b'[{"n":1},{"n":2}]'


def read(mapping: Callable[[Element, Context], Any]) -> Normalised:
    vendor = VENDORS["nxcloud"]
    callback = replace(vendor.callbacks[0], normalise=mapping)
    raw = RawCallback(
        vendor="nxcloud", callback="cdr", received_at=datetime(2026, 1, 1, tzinfo=UTC), request_id="r", body=BODY
    )
    vendors = {"nxcloud": replace(vendor, callbacks=(callback,))}
    return normalise(raw, Position("calls.raw", 0, 0), Directory(), DEFAULT, vendors)


def raises(_element: Element, _ctx: Context) -> Any:
    raise KeyError("n")


def strange(_element: Element, _ctx: Context) -> Mapped:
    return Mapped(fact=Fact(fact_type=FactType.RECORD, vendor="nxcloud", kind="nobody's"), dedupe=())


@pytest.mark.parametrize(
    "mapping",
    [
        pytest.param(lambda _element, _ctx: None, id="nothing"),
        pytest.param(lambda _element, _ctx: {"fact": 1}, id="something else"),
        pytest.param(
            lambda _element, _ctx: Fact(fact_type=FactType.RECORD, vendor="nxcloud", kind="voice_otp"), id="a fact"
        ),
        pytest.param(strange, id="a kind that nobody declares"),
        pytest.param(raises, id="an exception"),
    ],
)
def test_a_bug_makes_dead_letters(mapping: Callable[[Element, Context], Any]) -> None:
    done = read(mapping)
    assert [(letter.element, letter.code) for letter in done.dead] == [(0, "adapter_bug"), (1, "adapter_bug")]
    assert (done.elements, done.facts, done.filtered) == (2, (), ())


def test_what_is_filtered_is_counted() -> None:
    done = read(lambda _element, _ctx: Filtered(reason="unwanted"))
    assert (done.elements, done.facts, done.dead, done.filtered) == (2, (), (), ("unwanted", "unwanted"))
