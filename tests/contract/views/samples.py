"""Records, calls and dead letters for the tests of the views, and queries of what the views show."""

import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from schemas.dead_letter import DeadLetter
from schemas.facts import (
    Direction,
    Disposition,
    Fact,
    FactType,
    Kind,
    Leg,
    RecordContent,
    Role,
)
from schemas.timeline import Timeline
from sinks.clickhouse import ClickHouse
from tests.oracle.views import NOT_REPEATABLE, named

START = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)


def record(number: int = 1, **fields: Any) -> Fact:
    default: dict[str, Any] = {
        "fact_id": str(uuid.UUID(int=number)),
        "fact_type": FactType.RECORD,
        "vendor": "ytx",
        "kind": Kind.CALLBACK_CDR,
        "account_id": "acc",
        "vendor_call_id": f"call-{number}",
        "received_at": START,
        "slot_at": START,
        "version": 1,
    }
    return Fact(**{**default, **fields})


def call(number: int = 1, **fields: Any) -> Timeline:
    default: dict[str, Any] = {
        "timeline_id": f"ytx|acc|{number}",
        "call_key": f"ytx|acc|{number}",
        "vendor": "ytx",
        "account_id": "acc",
        "vendor_call_id": str(number),
        "first_received_at": START,
        "last_received_at": START,
        "slot_at": START,
        "version": 1,
    }
    return Timeline(**{**default, **fields})


def dead_letter(offset: int = 1, **fields: Any) -> DeadLetter:
    default: dict[str, Any] = {
        "stage": "normalise",
        "code": "json",
        "detail": "not JSON",
        "vendor": "ytx",
        "topic": "calls.raw",
        "partition": 3,
        "offset": offset,
        "original": b"\x00\xff{",
        "occurred_at": START,
    }
    return DeadLetter(**{**default, **fields})


async def ask(db: ClickHouse, sql: str) -> list[tuple[Any, ...]]:
    return await db.query(sql.replace("FROM ", f"FROM {db.database}."))


def cny(amount: str) -> dict[str, Any]:
    return {"cost": Decimal(amount), "currency": "CNY"}


def record_content(digest: str, **fields: Any) -> RecordContent:
    default: dict[str, Any] = {
        "is_shown": False, "is_final": True, "received_at": START, "source": "push", "raw_topic": "calls.raw",
        "raw_partition": 3, "raw_offset": 7, "raw_element": 0, "disposition": Disposition.NO_ANSWER,
    }  # fmt: skip
    return RecordContent(digest=digest, **{**default, **fields})


def participant(number: int, confid: str, phone: str, joined_min: float, minutes: float | None, **fields: Any) -> Fact:
    joined = START + timedelta(minutes=joined_min)
    answered = {} if minutes is None else {"answer_at": joined, "end_at": joined + timedelta(minutes=minutes)}
    return record(
        number, kind=Kind.CONFERENCE_LEG, direction=Direction.CONFERENCE, conference_id=confid, setup_at=joined,
        legs=(Leg(role=Role.P, number=phone),), **answered, **fields,
    )  # fmt: skip


def _state(number: int, state: str, minutes: int | None, **fields: Any) -> dict[str, Any]:
    """Returns the fields of binding b1 in a row of that minute of the vendor's clock."""
    at = None if minutes is None else START + timedelta(minutes=minutes)
    return {
        "number": number,
        "vendor": "huawei",
        "binding_id": "b1",
        "binding_state": state,
        "revised_at": at,
        **fields,
    }


def snapshot(*args: Any, **fields: Any) -> Fact:
    return record(fact_type=FactType.BINDING, kind=Kind.BINDING, **_state(*args, **fields))


def call_row(*args: Any, **fields: Any) -> Fact:
    leg = Leg(role=Role.A, number="+8613900000001")
    return record(**{"kind": Kind.PRIVACY_AX, "legs": (leg,), **_state(*args, **fields)})


async def all_views(db: ClickHouse) -> dict[str, list[str]]:
    """Returns the rows of each view as sorted text, without the time of their insertion."""
    views = await db.query(
        f"SELECT name, create_table_query FROM system.tables WHERE database = '{db.database}' AND engine = 'View'"
    )
    shown = {}
    for view, definition in views:
        asked = f"{db.database}.{named(view, definition)}"
        columns = {row[0] for row in await db.query(f"DESCRIBE TABLE {asked}")}
        left_out = ", ".join(name for name in NOT_REPEATABLE if name in columns)
        dropped = f"EXCEPT ({left_out})" if left_out else ""
        rows = await db.query(f"SELECT toString(tuple(* {dropped})) AS row FROM {asked} ORDER BY row")
        shown[view] = [row[0] for row in rows]
    return shown


TWO_PM = datetime(2026, 3, 1, 14, 0, tzinfo=UTC)
