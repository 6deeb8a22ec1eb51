"""Calls made by the engine itself, as many as wanted: distributions of the simulator, and versions as in life.

Each call has two legs. 15 % are written in more than one version: 7 % again three hours later, 6 % a day later, 2 %
after eight days, so that a later version is a late row of an old day. Everything follows from the call's number, so
that any part of the calls can be made alone, and again.
"""

from collections.abc import Iterator
from typing import Final

from sinks.clickhouse import ClickHouse

CALLS_AN_HOUR: Final = 7_000
ACCOUNTS: Final = 80
START: Final = "2026-06-01 00:00:00"
"""The instant of the first call (UTC)."""
_LATER_S: Final = ((7, 3 * 3600), (6, 86_400), (2, 8 * 86_400))
"""Calls of a hundred that have a second version, and the seconds after which it comes."""
_GIVEN: Final = {
    "rnd": "(salt) -> sipHash64(number, salt)",
    "began": "toDateTime64('{start}', 6, 'UTC') + toIntervalMillisecond(intDiv(number * 3600000, {an_hour}))",
    "share": "rnd(1) % 100",
    "acc": "rnd(2) % {accounts}",
    "outcome": "rnd(3) % 100",
    "answered": "outcome < 62",
    "pdd": "1500 + rnd(4) % 9000",
    "ringing": "2000 + rnd(5) % 28000",
    "talk": "1000 * toUInt32(1 + pow(rnd(6) % 1000, 2) / 1400)",
    "ended": "began + toIntervalMillisecond(pdd + ringing + if(answered, talk, 0))",
    "caller": "concat('+86139', leftPad(toString((acc * 10 + rnd(7) % 10) * 12347 % 100000000), 8, '0'))",
    "callee": "concat('+861', toString(30 + rnd(8) % 60), leftPad(toString(rnd(9) % 5000000 * 19), 8, '0'))",
    "cause": "multiIf(answered, 16, outcome < 82, 19, outcome < 91, 17, 21)::Nullable(UInt16)",
}
_COLUMNS: Final = {
    "slot_at": "toStartOfHour(toDateTime(began, 'UTC'))",
    "vendor": "multiIf(share < 45, 'ytx', share < 70, 'nxcloud', share < 85, 'huawei', 'tencent')",
    "kind": "'callback_cdr'",
    "account": "concat('team-', toString(acc % 8))",
    "account_id": "concat('acc-', toString(acc))",
    "key_account": "account_id",
    "vendor_call_id": "lower(hex(MD5(toString(number))))",
    "direction": "if(rnd(10) % 2, 'outbound', 'inbound')",
    "from_number": "caller",
    "from_kind": "'e164'",
    "from_masked": "concat(substring(caller, 1, 6), '****', substring(caller, 11))",
    "to_number": "callee",
    "to_kind": "'e164'",
    "to_masked": "concat(substring(callee, 1, 6), '****', substring(callee, 11))",
    "setup_at": "began",
    "alerting_at": "began + toIntervalMillisecond(pdd)",
    "answer_at": "if(answered, began + toIntervalMillisecond(pdd + ringing), NULL)",
    "end_at": "ended",
    "started_at": "began",
    "legs.role": "['a', 'b']",
    "legs.party": "['from', 'to']",
    "legs.own_number": "[NULL, NULL]::Array(Nullable(String))",
    "legs.own_token": "['', '']",
    "legs.own_masked": "['', '']",
    "legs.number_raw": "[caller, callee]",
    "legs.number_kind": "['e164', 'e164']",
    "legs.setup_us": "[0, 800000]",
    "legs.alerting_us": "[0, 0]",
    "legs.answer_us": "if(answered, [0, 0], [NULL, NULL])::Array(Nullable(Int64))",
    "legs.end_us": "[0, 0]",
    "legs.disposition": "[disposition, disposition]",
    "legs.hangup_reason": "['', '']",
    "legs.q850": "[cause, cause]",
    "legs.sip_code": "[NULL, NULL]::Array(Nullable(UInt16))",
    "pdd_ms": "pdd",
    "ring_ms": "ringing",
    "talk_ms": "if(answered, talk, NULL)",
    "vendor_duration_s": "if(answered, toUInt32(ceil(talk / 1000)), 0)",
    "billable_s": "vendor_duration_s",
    "billable_source": "'vendor'",
    "disposition": "multiIf(answered, 'answered', outcome < 82, 'no_answer', outcome < 91, 'busy', 'rejected')",
    "hangup_cause": "if(answered, 'NORMAL_CLEARING', upper(disposition))",
    "q850": "cause",
    "cause_confidence": "'certain'",
    "hangup_party": "if(rnd(11) % 2, 'a', 'b')",
    "cost": "if(answered, toDecimal64(ceil(talk / 60000) * 0.045, 6), 0)::Nullable(Decimal(18, 6))",
    "currency": "'CNY'",
    "recording_state": "if(answered, 'available', 'none')",
    "custom_ref": "if(rnd(12) % 4, '', concat('order-', toString(number)))",
    "agent_id": "concat('agent-', toString(rnd(7) % 10))",
    "call_type": "'call'",
    "is_final": "{version} > 1 OR rnd(13) % 200 > 0",
    "has_record": "true",
    "has_states": "vendor = 'ytx'",
    "phase": "2",
    "fact_count": "if(vendor = 'ytx', 9, 1)",
    "quality_flags": "if(vendor = 'ytx', ['tz_assumed'], [])",
    "first_received_at": "ended + toIntervalSecond(2)",
    "last_received_at": "ended + toIntervalSecond(2 + {later_s})",
    "version": "{version} * 1000",
    "schema_version": "3",
}


async def make_calls(db: ClickHouse, count: int, *, first: int = 0, block: int = 100_000) -> None:
    """Inserts the calls `first` to `first + count`, block by block, and the later versions that come meanwhile."""
    for begin in range(first, first + count, block):
        for statement in statements(db.database, begin, min(block, first + count - begin)):
            await db.command(statement)


def statements(database: str, first: int, count: int) -> Iterator[str]:
    """Yields the statements that insert some calls, and the later versions that come while they are made."""
    yield _insert(database, first, count, version=1, later_s=0, chosen="1")
    below = 0
    for share, later_s in _LATER_S:
        chosen = f"sipHash64(number, 14) % 100 BETWEEN {below} AND {below + share - 1}"
        below += share
        begin, end = (max(0, at - later_s * CALLS_AN_HOUR // 3600) for at in (first, first + count))
        if end > begin:
            yield _insert(database, begin, end - begin, version=2, later_s=later_s, chosen=chosen)


def _insert(database: str, first: int, count: int, *, version: int, later_s: int, chosen: str) -> str:
    given = ",\n".join(f"{value} AS {name}" for name, value in _GIVEN.items())
    listed = ",\n".join(f"{value} AS `{name}`" for name, value in _COLUMNS.items())
    names = ", ".join(f"`{name}`" for name in _COLUMNS)
    # Our own text alone.
    select = f"WITH {given}\nSELECT {listed}\nFROM numbers({first}, {count}) WHERE {chosen}".format(
        start=START, an_hour=CALLS_AN_HOUR, accounts=ACCOUNTS, version=version, later_s=later_s
    )
    return f"INSERT INTO {database}.timelines_by_slot ({names}) {select}"
