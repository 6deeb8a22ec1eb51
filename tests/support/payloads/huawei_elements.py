"""Huawei's documented row and notification, and the outcome of one with some fields changed."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from processors.normalise import Normalised
from schemas.facts import Fact
from schemas.raw import RawCallback
from tests.golden.cases import HERE, load, run

ROW: dict[str, Any] = json.loads(load(HERE / "huawei" / "ax-H01-document-example.json").raw.body)
FEES: dict[str, Any] = json.loads(load(HERE / "huawei" / "ax-H44-native-notification.json").raw.body)
FEE, BUSY = FEES["feeLst"][:2]
T_MS = 1_646_290_000_000
CALL = {**ROW, "sessionId": "s-1", "callinTime": T_MS, "answerTime": T_MS + 5_000, "disconnectTime": T_MS + 65_000}
RECEIVED = datetime(2022, 3, 3, 8, tzinfo=UTC)
GONE = object()
"""The value of a field that is left out."""


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(T_MS / 1000, UTC) + timedelta(seconds=seconds)


def outcome(element: Any, received_at: datetime = RECEIVED, **raw: Any) -> Normalised:
    body = element if isinstance(element, bytes) else json.dumps(element, ensure_ascii=False).encode()
    return run(RawCallback(vendor="huawei", callback="ax", received_at=received_at, request_id="r", body=body, **raw))


def fact(base: dict[str, Any] = CALL, received_at: datetime = RECEIVED, **changes: Any) -> Fact:
    element = {name: value for name, value in {**base, **changes}.items() if value is not GONE}
    (found,) = outcome(element, received_at).facts
    return found


def fee(base: dict[str, Any] = FEE, **changes: Any) -> Fact:
    (found,) = outcome({"eventType": "fee", "feeLst": [{**base, **changes}]}).facts
    return found
