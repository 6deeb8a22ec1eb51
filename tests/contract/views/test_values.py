"""Values in columns: they come back as they went in, up to their extremes, and unfit ones are refused by column."""

import re
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from schemas.facts import (
    Disposition,
    Flag,
    Kind,
    Leg,
    NumberKind,
    RecordingState,
    Role,
)
from sinks.clickhouse import ClickHouse
from sinks.columns import Table
from sinks.error_classes import RowsRefused
from sinks.rows import BINDINGS, CALL_EVENTS, CDR, DEAD_LETTERS, TIMELINES
from tests.contract.views.samples import START, all_views, ask, call, dead_letter, record, record_content
from tests.oracle.figures import rolled

OTHERS_ROWS = {
    *("v_silent_vendors", "v_kpi_redials"),  # the last 30 days; calls with two numbers
    *("v_ledger", "v_ledger_entries", "v_ledger_open", "v_ledger_ways"),  # rows of the ledger
    *("v_reconciliations", "v_reconciled_records"),  # rows of a comparison
}
"""Views that the rows of the extremes are not in."""


async def test_values_come_back_as_they_went_in(db: ClickHouse) -> None:
    """Microseconds, exact money, NULL apart from zero, text beyond ASCII, legs and maps."""
    leg = Leg(
        role=Role.B, number="+8613912345678", number_kind=NumberKind.E164, answer_at=START + timedelta(microseconds=1),
        disposition=Disposition.ANSWERED, q850=16,
    )  # fmt: skip
    sent = record(
        legs=(leg, Leg(role=Role.A)), setup_at=START + timedelta(microseconds=999_999), answer_at=None, talk_ms=0,
        ring_ms=None, cost=Decimal("0.060001"), currency="CNY", extras={"stateDesc": "应答|正常"},
        quality_flags=(Flag.TZ_ASSUMED,), recording_url="https://example.invalid/r", is_final=True,
        recording_state=RecordingState.AVAILABLE,
    )  # fmt: skip
    await db.insert(CDR, [sent, record(2, cost=Decimal(0))])
    rows = await ask(
        db,
        "SELECT record_id, setup_at, answer_at, talk_ms, ring_ms, cost, extras, quality_flags, `legs.role`, `legs.number`, "
        "`legs.answer_at`, has_recording, is_final FROM v_cdr ORDER BY record_id",
    )
    assert rows[0] == (
        uuid.UUID(int=1), START + timedelta(microseconds=999_999), None, 0, None, Decimal("0.060001"),
        {"stateDesc": "应答|正常"}, ["tz_assumed"], ["B", "A"], ["+8613912345678", None],
        [START + timedelta(microseconds=1), None], True, True,
    )  # fmt: skip
    assert (rows[1][5], rows[1][11]) == (Decimal(0), False)


TEXT: Any = "now"


@pytest.mark.parametrize(
    ("table", "bad", "column"),
    [
        pytest.param(CDR, record(q850=70_000), "q850", id="a cause that no 16 bits hold"),
        pytest.param(CDR, record(fact_id=""), "record_id", id="no identity"),
        pytest.param(CDR, record(fact_id="not-a-uuid"), "record_id", id="a broken identity"),
        pytest.param(TIMELINES, call(talk_ms=-1), "talk_ms", id="a negative duration"),
        pytest.param(TIMELINES, call(cost=Decimal("1e30")), "cost", id="money out of range"),
        pytest.param(CDR, record(custom_ref="\ud800"), "custom_ref", id="text that is no text"),
        pytest.param(CDR, record(legs=(Leg(role=Role.A, sip_code=-3),)), "legs.sip_code", id="a leg's code below zero"),
        pytest.param(CDR, record(setup_at="yesterday"), "setup_at", id="a time that is a text"),
        pytest.param(CDR, record(received_at=None), "received_at", id="a receipt that is missing"),
        pytest.param(CDR, record(legs=None), "legs.role", id="legs that are none"),
        pytest.param(CDR, record(legs=("A",)), "legs.role", id="a leg of another type"),
        pytest.param(
            CDR,
            record(legs=(Leg(role=Role.A, end_at=TEXT),)),
            "legs.end_us",
            id="a leg's time that is a text",
        ),
        pytest.param(CDR, record(extras={1: object()}), "extras", id="extras of another type"),
        pytest.param(CDR, record(cost="a lot"), "cost", id="money that is a text"),
        pytest.param(CDR, record(cost=Decimal("NaN")), "cost", id="money that is no number"),
        pytest.param(CDR, record(cost=Decimal("Infinity")), "cost", id="money without end"),
        pytest.param(CDR, record(talk_ms=1 << 32), "talk_ms", id="one above what 32 bits hold"),
        pytest.param(CDR, record(talk_ms=1 << 63), "talk_ms", id="what 64 bits do not hold"),
        pytest.param(CDR, record(talk_ms=1e300), "talk_ms", id="a fraction without end"),
        pytest.param(TIMELINES, call(vendor="\ud800"), "vendor", id="a word that is no text"),
        pytest.param(TIMELINES, call(quality_flags=None), "quality_flags", id="flags that are none"),
        pytest.param(TIMELINES, call(version=-1), "version", id="a version below zero"),
    ],
)
async def test_a_row_that_does_not_fit_is_refused_by_column_and_nothing_of_its_batch_is_inserted(
    db: ClickHouse, table: Table[Any], bad: Any, column: str
) -> None:
    good = call(9) if table is TIMELINES else record(9)
    with pytest.raises(RowsRefused, match=f"column {re.escape(column)}:"):
        await db.insert(table, [good, bad])
    assert await ask(db, f"SELECT count() FROM {table.name}") == [(0,)]


EARLIEST, LATEST = datetime(1900, 1, 1, tzinfo=UTC), datetime(2299, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)


EXTREMES: list[Any] = [
    pytest.param("talk_ms", [0, 1, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, None], id="milliseconds"),
    pytest.param("billable_s", [0, (1 << 32) - 1, None], id="billed seconds"),
    pytest.param("vendor_duration_s", [0, (1 << 32) - 1], id="the vendor's seconds"),
    pytest.param("q850", [0, (1 << 16) - 1, None], id="a cause"),
    pytest.param(
        "cost",
        [Decimal(0), Decimal("999999999999.999999"), Decimal("-999999999999.999999"), Decimal("0.000001"), None],
        id="money",
    ),
    pytest.param("setup_at", [EARLIEST, datetime(1970, 1, 1, tzinfo=UTC), datetime(2106, 2, 7, 6, 28, 16, tzinfo=UTC),
                              datetime(2262, 4, 11, 23, 47, 17, tzinfo=UTC), LATEST, None], id="an instant"),
    pytest.param("received_at", [EARLIEST, LATEST.replace(microsecond=999_000)], id="a receipt"),
    pytest.param("raw_offset", [0, (1 << 63) - 1, -1], id="an offset"),
    pytest.param("raw_element", [-1, (1 << 31) - 1], id="an element"),
    pytest.param("version", [0, (1 << 64) - 1], id="a version"),
    pytest.param("custom_ref", ["", "\x00", "\uffff", "\U0010ffff", "x" * 65_536], id="a text"),
    pytest.param("extras", [{}, {"": ""}, {"k" * 256: "\x00"}], id="extras"),
]  # fmt: skip


@pytest.mark.parametrize(("column", "values"), EXTREMES)
async def test_a_column_holds_the_extremes_that_the_stages_before_let_through(
    db: ClickHouse, column: str, values: list[Any]
) -> None:
    await db.insert(CDR, [record(n, **{column: value}) for n, value in enumerate(values, 1)])
    assert await ask(db, f"SELECT {column} FROM cdr ORDER BY record_id") == [(value,) for value in values]


async def test_extremes_in_all_columns_at_once_are_rows_of_every_table_and_view(db: ClickHouse) -> None:
    """Also in sums: nothing overflows, and every view can be read."""
    most: dict[str, Any] = {
        "setup_at": EARLIEST, "alerting_at": EARLIEST, "answer_at": EARLIEST, "end_at": LATEST, "pdd_ms": (1 << 32) - 1,
        "ring_ms": (1 << 32) - 1, "talk_ms": (1 << 32) - 1, "vendor_duration_s": (1 << 32) - 1, "billable_s": (1 << 32) - 1,
        "cost": Decimal("999999999999.999999"), "currency": "CNY", "is_final": True, "disposition": Disposition.ANSWERED,
    }  # fmt: skip
    legs = (Leg(role=Role.A, setup_at=EARLIEST, end_at=LATEST, q850=65535, sip_code=65535),)
    content = record_content(
        "aa", is_shown=True, **{k: v for k, v in most.items() if k in ("cost", "talk_ms", "billable_s", "end_at")}
    )
    kinds = (Kind.CONFERENCE_LEG, Kind.PRIVACY_AX, Kind.VOICE_OTP, Kind.SOFTPHONE_CDR)
    await db.insert(
        CDR,
        [
            record(
                10 * i + n,
                kind=kind,
                conference_id="1",
                binding_id="b",
                legs=legs,
                contents=(content,),
                quality_flags=(Flag.UNKNOWN_ENUM,),
                extras={"code": "x"},
                **most,
            )
            for i, kind in enumerate(kinds, 1)
            for n in range(3)
        ],
    )
    await db.insert(CALL_EVENTS, [record(1, event_at=LATEST)])
    await db.insert(BINDINGS, [record(1, binding_id="b", revised_at=LATEST)])
    await db.insert(TIMELINES, [call(n, legs=legs, started_at=EARLIEST, **most) for n in range(3)])
    await db.insert(TIMELINES, [call(3, legs=legs, started_at=START, **{**most, "cost": None})])
    await db.insert(DEAD_LETTERS, [dead_letter(occurred_at=LATEST)])
    await rolled(db)
    shown = await all_views(db)
    assert {view for view, rows in shown.items() if not rows} == OTHERS_ROWS
    assert await ask(db, "SELECT sum(cost) FROM v_kpi_day") == [(3 * most["cost"],)]
