"""YTX's documented elements, and the outcome of one with some fields changed."""

import json
from datetime import UTC, datetime
from typing import Any

from processors.normalise import Directory, Normalised
from schemas.facts import Fact
from schemas.raw import RawCallback
from tests.golden.cases import HERE, load, run

GOLDEN = HERE / "ytx"


def example(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(load(GOLDEN / f"push-{name}.json").raw.body)
    element: dict[str, Any] = document["cdr"][0] if "cdr" in document else document
    return element


VOICE = example("V01-document-example")
TWO_WAY = example("W02-the-same-in-valid-JSON")
STATE = example("S01-document-example")
CONFERENCE = example("C01-document-example")
GONE = object()
"""The value of a field that is left out."""


def outcome(
    document: Any, *, account: str = "", accounts: Directory | None = None, at: datetime | None = None
) -> Normalised:
    body = document if isinstance(document, bytes) else json.dumps(document, ensure_ascii=False).encode()
    raw = RawCallback(
        vendor="ytx",
        callback="push",
        account=account,
        received_at=at or datetime(2018, 6, 5, tzinfo=UTC),
        request_id="r",
        body=body,
    )
    return run(raw, accounts)


def sent(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**base, **changes}.items() if value is not GONE}


def fact(base: dict[str, Any], **changes: Any) -> Fact:
    element = sent(base, changes)
    (found,) = outcome(element if base is STATE else {"cdr": [element]}).facts
    return found


def code(base: dict[str, Any], **changes: Any) -> str:
    element = sent(base, changes)
    (dead_letter,) = outcome(element if base is STATE else {"cdr": [element]}).dead
    return dead_letter.code


def fields_of(found: Fact, names: Any) -> dict[str, Any]:
    return {name: getattr(found, name) for name in names}


def same(one: Fact, other: Fact) -> bool:
    """True when the second fact is the first one, sent again."""
    return (one.fact_id, one.content_digest) == (other.fact_id, other.content_digest)
