"""A call that is pushed and stands in the carrier's file, too, is one call, whichever comes first."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from processors.normalise import directory, normalise
from schemas.config.limits import DEFAULT
from schemas.facts import Fact
from schemas.raw import Position, RawCallback, raw_from_kafka
from schemas.vendors import VENDORS
from tests.unit.processors.joining import after, state_of

AT = datetime(2026, 3, 5, tzinfo=UTC)
# The push has numbers where a file has text, and milliseconds where a file has whole seconds.
PUSHED: dict[str, dict[str, Any]] = {
    "ytx": {
            "requestid": "20260302000000000000000000001", "appid": "0000aaaa", "fid": 4, "caller": "13800000000",
            "called": "13900000000", "callerstime": "2026-03-02 10:00:00.000", "calleretime": "2026-03-02 10:01:00.000",
            "calledstime": "2026-03-02 10:00:04.000", "calledetime": "2026-03-02 10:01:00.000", "tapesurl": "NoTapes",
            "duration": 60, "oriamount": 2.94, "stateDesc": "应答|正常", "customParm": "1",
    },
    "nxcloud": {
            "sessionid": "00000000-cb9f-048f-cc97-000000000001", "username": "6298880000", "mobile_name": "first", "sipid": "1049002",
            "orderid": "1001233", "code": "86", "phone": "4444", "show_phone": "6298880000", "duration": 3, "direction": 0,
            "record": 0, "record_url": "", "start_time": "1772416800", "answer_time": "1772416811", "end_time": "1772416814",
            "hangup_cause": "NORMAL_CLEARING",
    },
}  # fmt: skip


def fact(vendor: str, body: Any, source: str, offset: int, at: datetime) -> Fact:
    sent = RawCallback(
        vendor=vendor,
        callback=VENDORS[vendor].callbacks[0].name,
        received_at=at,
        request_id=str(offset),
        content_type="application/json",
        source=source,  # type: ignore[arg-type]  # as it stands in a header
        body=json.dumps(body).encode(),
    )
    raw = raw_from_kafka(sent.body, sent.headers(), 0)
    found = normalise(raw, Position("calls.raw", 0, offset), directory(()), DEFAULT)
    assert not found.dead
    return found.facts[0]


@pytest.mark.parametrize("vendor", PUSHED)
@pytest.mark.parametrize("first", ["push", "file_cdr"])
def test_a_pushed_and_imported_call_is_one_in_either_order(vendor: str, first: str) -> None:
    element = PUSHED[vendor]
    row = {name: str(value).removesuffix(".000") for name, value in element.items()}
    pushed = fact(vendor, element, "push", 1, AT)
    imported = fact(vendor, [row], "file_cdr", 2, AT + timedelta(hours=1 if first == "push" else -1))
    both = [pushed, imported] if first == "push" else [imported, pushed]

    assert imported.source == "file_cdr"
    assert (imported.fact_id, imported.content_digest) == (pushed.fact_id, pushed.content_digest)
    done = after(both)
    assert (done.outcome, len(done.timelines)) == ("duplicate", 0)
    (record,) = state_of(done).items.values()
    assert len(record.contents) == 1
