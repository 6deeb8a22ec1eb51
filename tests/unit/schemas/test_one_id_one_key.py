"""Items with one id have one Kafka key, whatever a vendor writes: one joiner must see both to find a conflict."""

from typing import Any, Final

import pytest

from schemas.facts import Fact
from schemas.raw import RawCallback
from tests.golden.cases import run
from tests.property.real_rows.kinds import KINDS, RECEIVED, Element

OTHERS: Final[tuple[Any, ...]] = ("other", "", None, 7, 0, 1772351400001)


def facts(kind: str, element: Element) -> tuple[Fact, ...]:
    it = KINDS[kind]
    raw = RawCallback(
        vendor=it.vendor,
        callback=it.callback,
        source=it.source,
        received_at=RECEIVED,
        request_id="r",
        body=it.body(element),
    )
    return run(raw).facts


@pytest.mark.parametrize("kind", KINDS)
def test_what_changes_the_key_changes_the_id(kind: str) -> None:
    """Two bindings with the same row number and clock must not share an id, or the last one would replace the other."""
    element = KINDS[kind].of("one")
    (first,) = facts(kind, element)
    keys = 0
    for name in element:
        for value in OTHERS:
            for other in facts(kind, element | {name: value}):
                keys += other.call_key != first.call_key
                assert (other.fact_id != first.fact_id) or (other.call_key == first.call_key), f"{name}={value!r}"
    assert keys
