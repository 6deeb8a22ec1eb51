"""The columns, types and comments of tables and views: those of the code, those promised, and nothing restricted."""

import re
from typing import Any

import msgspec
import pytest

from schemas.call_fields import CallFields
from sinks.clickhouse import ClickHouse
from sinks.columns import Table
from sinks.rows import TABLES, TIMELINES
from tests.contract.views.samples import ask, call
from tests.oracle.figures import rolled

PROMISED = {
    "v_timelines": """vendor account_id vendor_call_id direction from_number to_number setup_at alerting_at answer_at end_at
        pdd_ms ring_ms talk_ms billable_s disposition hangup_cause q850 sip_code cost currency is_final has_record has_states
        legs.role legs.number legs.setup_at legs.alerting_at legs.answer_at legs.end_at legs.disposition quality_flags
        version""",
    "v_cdr": """record_id vendor kind adapter_version schema_version account_id vendor_call_id session_id conference_id
        binding_id direction from_number to_number display_number privacy_number from_kind to_kind display_kind
        privacy_kind setup_at alerting_at answer_at end_at time_precision legs.role legs.number legs.setup_at
        legs.alerting_at legs.answer_at legs.end_at legs.disposition legs.hangup_reason legs.q850 legs.sip_code pdd_ms
        ring_ms talk_ms vendor_duration_s billable_s billable_source disposition hangup_cause q850 sip_code hangup_reason
        cause_confidence hangup_party cost currency cost_source recording_state has_recording recording_expires_at
        custom_ref agent_id agent_name extras is_final version quality_flags received_at ingested_at source raw_topic
        raw_partition raw_offset raw_sha256""",
    "call_events": "vendor account_id vendor_call_id leg leg_number state event_at record_id version",
    "dead_letters": "stage code detail vendor topic partition offset element original occurred_at resolved",
    "v_bindings": "vendor account_id binding_id binding_state bound_at unbound_at revised_at version",
    "v_conferences": "vendor account_id conference_id started_at ended_at participants cost currency peak_concurrency",
    "v_kpi_hour": """slot_at vendor account_id direction attempts answered asr ner acd_s pdd_p50_ms pdd_p95_ms ring_p50_ms
        ring_p95_ms short_call_ratio cost currency""",
    "v_kpi_5m_local": """local_slot_at local_date local_hour time_zone utc_offset_s slot_at slot_s vendor account account_id
        direction attempts seizures answered asr abr ner acd_s talk_min billed_min erlangs pdd_p99_ms ring_p99_ms
        recording_coverage cps_peak""",
    "v_kpi_day_local": "local_slot_at local_date time_zone utc_offset_s slot_at slot_s account attempts seizures erlangs",
    "v_kpi_day_cost": "slot_at vendor account account_id direction currency cost cost_in_conflict cost_provisional",
    "v_kpi_day_detail": "slot_at vendor account account_id call_type direction country_code agent_id attempts asr acd_s cost",
    "v_kpi_day_detail_in(time_zone = 'UTC', local_from = '2026-03-01', local_to = '2026-03-02')": """slot_at utc_offset_s
        local_slot_at local_date local_hour time_zone call_type country_code agent_id attempts asr acd_s cost""",
    "v_kpi_hour_of_day(local_from = '2026-03-01', local_to = '2026-03-02')": """local_hour time_zone vendor account account_id
        direction attempts seizures answered asr abr ner acd_s talk_min pdd_p95_ms short_call_ratio cost""",
    "v_account_zones": "vendor account time_zone",
}


COMPUTED = {"ALIAS", "MATERIALIZED"}


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
async def test_the_code_and_the_migration_name_the_same_columns_and_types(db: ClickHouse, table: Table[Any]) -> None:
    described = await db.query(f"DESCRIBE TABLE {db.database}.{table.name}")
    theirs = {name: kind for name, kind, default, *_ in described if name != "ingested_at" and default not in COMPUTED}
    assert {column.name: column.type for column in table.columns} == theirs


@pytest.mark.parametrize("view", PROMISED)
async def test_a_view_has_the_promised_columns(db: ClickHouse, view: str) -> None:
    described = {row[0] for row in await db.query(f"DESCRIBE TABLE {db.database}.{view}")}
    assert set(PROMISED[view].split()) <= described


async def test_views_for_people_show_nothing_restricted(db: ClickHouse) -> None:
    columns = await db.query(
        f"SELECT table, name FROM system.columns WHERE database = '{db.database}' AND startsWith(table, 'v_')"
    )
    assert [
        (table, name) for table, name in columns if re.search(r"_raw$|recording_url|^original$|^headers$", name)
    ] == []


async def test_views_for_people_need_no_rights_on_the_tables_behind_them(db: ClickHouse) -> None:
    """Otherwise a reader of the view would need rights on its table, which has restricted columns."""
    views = await db.query(
        f"SELECT name, create_table_query FROM system.tables WHERE database = '{db.database}' AND startsWith(name, 'v_')"
    )
    assert len(views) > 10
    assert [name for name, query in views if "SQL SECURITY DEFINER" not in query] == []


async def test_every_view_says_what_it_is_and_every_key_figure_how_it_is_computed(db: ClickHouse) -> None:
    views = await db.query(f"SELECT name, comment FROM system.tables WHERE database = '{db.database}'")
    columns = await db.query(
        f"SELECT table, name, comment FROM system.columns WHERE database = '{db.database}' AND startsWith(table, 'v_kpi')"
    )
    assert [name for name, comment in views if not comment] == []
    dimensions = {"vendor", "account_id", "direction"}
    assert [row for row in columns if not row[2] and row[1] not in dimensions] == []


async def test_what_is_billed_is_said_in_one_rule_wherever_it_stands(db: ClickHouse) -> None:
    comments = await db.query(
        f"SELECT table, comment FROM system.columns WHERE database = '{db.database}' AND name = 'billable_s' ORDER BY table"
    )
    rule = dict(comments)["cdr_by_slot"]
    assert rule.startswith("the vendor's billed seconds where its document says they are billed; else the talk; 0 when")
    assert {table for table, comment in comments if comment == rule} == {
        "cdr", "cdr_by_slot", "timelines", "timelines_by_slot", "v_cdr", "v_timelines", "masked_cdr", "masked_timelines",
        "v_conflicts", "v_other_parties", "masked_other_parties",
    }  # fmt: skip


async def test_every_percentile_says_by_which_definition_it_is_taken(db: ClickHouse) -> None:
    """ClickHouse's quantileExact neither takes the nearest rank nor interpolates: of four values it takes the third."""
    await db.insert(TIMELINES, [call(n, is_final=True, pdd_ms=pdd) for n, pdd in enumerate((40, 10, 30, 20))])
    await rolled(db)
    assert await ask(db, "SELECT pdd_p50_ms, pdd_p95_ms FROM v_kpi_day") == [(30, 40)]
    comments = await db.query(
        f"SELECT comment FROM system.columns WHERE database = '{db.database}' AND table = 'v_kpi_day' AND name LIKE '%_p%_ms'"
    )
    assert len(comments) == 6
    assert all(re.search(r"floor\(0\.\d+ n\)", comment) for (comment,) in comments)


@pytest.mark.parametrize("view", ["v_cdr", "v_timelines"])
async def test_a_view_for_people_shows_every_field_of_a_call(db: ClickHouse, view: str) -> None:
    described = {row[0].split(".")[0] for row in await db.query(f"DESCRIBE TABLE {db.database}.{view}")}
    fields = {field.name for field in msgspec.structs.fields(CallFields)}

    assert fields - {"recording_url"} <= described
