"""Conflicts: contradicting contents of a record can be read, each with its origin."""

import uuid
from datetime import timedelta

import msgspec

from schemas.facts import (
    Disposition,
    Flag,
    RecordContent,
)
from sinks.clickhouse import ClickHouse
from sinks.rows import CDR
from tests.contract.views.samples import START, ask, cny, record, record_content


async def test_contradicting_contents_can_be_read_each_with_where_it_came_from(db: ClickHouse) -> None:
    shown = record_content(
        "aa" * 16, is_shown=True, billable_s=0, talk_ms=0, hangup_cause="NO_ANSWER", q850=19, sip_code=480
    )
    other = record_content(
        "bb" * 16, received_at=START + timedelta(minutes=3), source="poll", raw_offset=9, raw_element=2,
        disposition=Disposition.ANSWERED, setup_at=START, answer_at=START + timedelta(seconds=5),
        end_at=START + timedelta(seconds=40), talk_ms=35_000, vendor_duration_s=35, billable_s=35, from_number="+8613900000001",
        to_number="+8613900000002", hangup_cause="NORMAL_CLEARING", q850=16, hangup_reason="normal", hangup_party="b", **cny("2.94"),
    )  # fmt: skip
    disputed = record(1, account="main", contents=(shown, other), quality_flags=(Flag.CONFLICT_FINAL,))
    await db.insert(CDR, [disputed, record(2)])

    names = ", ".join(field.name for field in msgspec.structs.fields(RecordContent))
    rows = await ask(db, f"SELECT {names} FROM v_conflicts ORDER BY received_at")
    assert rows == [tuple(msgspec.structs.asdict(one).values()) for one in (shown, other)]
    assert await ask(db, "SELECT DISTINCT record_id, vendor, account, account_id, vendor_call_id, is_resolved FROM v_conflicts") == [
        (uuid.UUID(int=1), "ytx", "main", "acc", "call-1", False)
    ]  # fmt: skip

    resolved = msgspec.structs.replace(disputed, version=2, quality_flags=(Flag.CONFLICT_FINAL, Flag.CONFLICT_RESOLVED))
    await db.insert(CDR, [resolved])
    assert await ask(db, "SELECT count(), min(is_resolved) FROM v_conflicts") == [(2, True)]
    await db.insert(CDR, [msgspec.structs.replace(disputed, version=3, contents=(), quality_flags=())])
    assert await ask(db, "SELECT count() FROM v_conflicts") == [(0,)]
