"""The shortest way from a body to what is read of it, for the tests of bodies."""

import json
from datetime import UTC, datetime
from typing import Any

from processors.normalise import Normalised
from schemas.facts import Fact, Flag
from schemas.raw import RawCallback
from tests.golden.cases import HERE, load, run

NX: dict[str, Any] = json.loads(load(HERE / "nxcloud" / "cdr-N01-document-example.json").raw.body)
TC: dict[str, Any] = json.loads(load(HERE / "tencent" / "getCdr-T01-document-success.json").raw.body)
FORM = "application/x-www-form-urlencoded"
FORM_FLAGS = frozenset(
    {Flag.REPAIRED_JSON, Flag.CHARSET_REPAIRED, Flag.KEY_NORMALISED, Flag.DUP_KEY, Flag.RANGE_ERROR, Flag.SCHEMA_DRIFT}
)


CALLBACKS = {"nxcloud": "cdr", "ytx": "push", "huawei": "ax", "tencent": "getCdr"}


def sent(vendor: str, body: bytes, content_type: str = "", content_encoding: str = "") -> Normalised:
    return run(
        RawCallback(
            vendor=vendor,
            callback=CALLBACKS[vendor],
            received_at=datetime(2026, 1, 1, tzinfo=UTC),
            request_id="r",
            content_type=content_type,
            content_encoding=content_encoding,
            body=body,
        )
    )


def text(document: Any) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def written(document: Any) -> bytes:
    return text(document).encode()


def of_form(fact: Fact) -> set[Flag]:
    """Returns the flags about the way it came."""
    return {flag for flag in map(Flag, fact.quality_flags) if flag in FORM_FLAGS}


def renamed(element: dict[str, Any], **names: str) -> dict[str, Any]:
    return {names.get(name, name): value for name, value in element.items()}


def with_pair(element: dict[str, Any], *pairs: str) -> str:
    """Returns the element with these members (as JSON text) at its end, in the place of its own of these names."""
    names = {json.loads(f"{{{pair}}}").popitem()[0].strip() for pair in pairs}
    rest = {name: value for name, value in element.items() if name not in names}
    return text(rest)[:-1] + "".join("," + pair for pair in pairs) + "}"


def cdr(*elements: str) -> bytes:
    return ('{"cdr":[' + ",".join(elements) + "]}").encode()


BODY = written({**NX, "mobile_name": "医生"})
K, D = Flag.KEY_NORMALISED, Flag.DUP_KEY
R = Flag.REPAIRED_JSON
