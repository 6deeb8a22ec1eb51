"""The analyst of the embedded ClickHouse sees masked views and figures, and finds a clear number by no way tried."""

from typing import Final

import pytest

from tests.oracle.views import named
from tests.security.closed_engine import DENIED, FIXED, NUMBER, RAW, READ_ONLY, EngineUnderTest, code
from tests.security.test_closed_columns import BEHIND_THE_VIEWS, NOTHING_ELSE, ONE_LETTER

SEEN: Final = (
    *("masked_binding_rows", "masked_bindings", "masked_call_events", "masked_cdr", "masked_other_parties"),
    *("masked_timelines", "v_causes", "v_charges_day", "v_concurrency", "v_conferences"),
    *("v_kpi_5m", "v_kpi_5m_cost", "v_kpi_5m_cost_local", "v_kpi_5m_in", "v_kpi_5m_local"),
    *("v_kpi_day", "v_kpi_day_cost", "v_kpi_day_cost_local", "v_kpi_day_detail"),
    *("v_kpi_day_detail_in", "v_kpi_day_in", "v_kpi_day_local"),
    *("v_kpi_hour", "v_kpi_hour_cost", "v_kpi_hour_cost_local", "v_kpi_hour_detail"),
    *("v_kpi_hour_detail_in", "v_kpi_hour_in", "v_kpi_hour_local", "v_kpi_hour_of_day", "v_kpi_redials"),
    *("v_ledger", "v_ledger_open", "v_prefixes", "v_push_pull"),
    *("v_reconciled_records", "v_reconciliations", "v_silent_vendors", "v_vendor_flags", "v_vendor_quality"),
)
FIRST_DIGITS: Final = "{'calls.cdr_by_slot': 'throwIf(from_number LIKE \\'+86138%\\') = 0'}"
UNKNOWN_NAME: Final = 47
TRIES: Final = {
    **{name: sql.replace("from_raw", "from_number") for name, sql in BEHIND_THE_VIEWS.items() if ONE_LETTER not in sql},
    "the view with clear numbers": "SELECT from_number FROM calls.v_cdr",
    "the calls with clear numbers": "SELECT from_number FROM calls.v_timelines",
    "everything of the view": "SELECT * FROM calls.v_cdr FORMAT JSONEachRow",
    "the events": "SELECT leg, leg_number FROM calls.v_call_events",
    "the bindings": "SELECT from_number FROM calls.v_bindings",
    "the conflicts": "SELECT from_number FROM calls.v_conflicts",
    "the other parties": "SELECT other_number FROM calls.v_other_parties",
    "the values behind flags": "SELECT value FROM calls.v_unknown_values",
    "a column that the masked other parties have not": "SELECT other_number FROM calls.masked_other_parties",
    "the table of prefixes": "SELECT * FROM calls.prefixes",
    "the dead letters": "SELECT * FROM calls.v_dead_letters",
    "a column that the masked view has not": "SELECT from_number FROM calls.masked_cdr",
    "a condition on it": "SELECT count() FROM calls.masked_cdr WHERE from_number = '+8613800001111'",
    "everything of the masked view": "SELECT * FROM calls.masked_cdr FORMAT JSONEachRow",
    "everything that is open": "SELECT * FROM merge('calls', '^(masked|v)_.*') FORMAT JSONEachRow",
    "everything that is open and has no parameters": (
        "SELECT * FROM merge('calls', '^(masked_.*|v_(ca|ch|conf|p|s|vendor).*|v_kpi_(5m|hour|day))$') FORMAT JSONEachRow"
    ),
    "a filter behind the masked view": f"SELECT count() FROM calls.masked_cdr SETTINGS additional_table_filters = {FIRST_DIGITS}",
    "a filter behind the figures": f"SELECT count() FROM calls.v_charges_day SETTINGS additional_table_filters = {FIRST_DIGITS}",
    "a filter after another profile": (
        f"SELECT count() FROM calls.masked_cdr SETTINGS profile = 'owner', additional_table_filters = {FIRST_DIGITS}"
    ),
    "a join with the table": "SELECT c.from_number FROM calls.masked_cdr m JOIN calls.cdr_by_slot c USING (vendor)",
    "a join with the view": "SELECT c.from_number FROM calls.masked_cdr m JOIN calls.v_cdr c USING (vendor)",
    "a query below": "SELECT (SELECT any(from_number) FROM calls.cdr) FROM calls.masked_cdr",
    "a dictionary of the table": (
        "CREATE DICTIONARY calls.d (vendor String, from_number String) PRIMARY KEY vendor "
        "SOURCE(CLICKHOUSE(TABLE 'cdr_by_slot' DB 'calls')) LAYOUT(COMPLEX_KEY_DIRECT())"
    ),
    "a value of a dictionary": "SELECT dictGet('calls.cdr_by_slot', 'from_number', 'acme')",
    "a view of one's own": "CREATE VIEW calls.masked_mine SQL SECURITY DEFINER AS SELECT from_number FROM calls.cdr",
    "another query of the view": "ALTER TABLE calls.masked_cdr MODIFY QUERY SELECT from_number FROM calls.cdr",
    "explain of the masked view": "EXPLAIN actions = 1, indexes = 1 SELECT * FROM calls.masked_cdr",
    "explain of its plan": "EXPLAIN QUERY TREE dump_ast = 1 SELECT * FROM calls.masked_cdr",
    "explain of a pipeline": "EXPLAIN PIPELINE header = 1 SELECT * FROM calls.masked_cdr",
    "definition of the masked view": "SHOW CREATE TABLE calls.masked_cdr",
    "all definitions": "SELECT create_table_query, as_select FROM system.tables FORMAT JSONEachRow",
    "all columns": "SELECT * FROM system.columns WHERE database = 'calls' FORMAT JSONEachRow",
    "columns of parts": "SELECT * FROM system.parts_columns FORMAT JSONEachRow",
    "rows of another by the writer's rights": "SELECT * FROM calls.cdr SETTINGS profile = 'owner'",
    "a table of another server": "SELECT * FROM remote('127.0.0.1', 'calls', 'cdr_by_slot')",
    "a cluster": "SELECT from_number FROM cluster('default', 'calls', 'cdr_by_slot')",
}
CODES: Final = (*NOTHING_ELSE, DENIED, READ_ONLY, FIXED, UNKNOWN_NAME)


@pytest.mark.parametrize("sql", TRIES.values(), ids=TRIES)
async def test_the_analyst_finds_no_clear_number(engine: EngineUnderTest, sql: str) -> None:
    answer = await engine.answer("analyst", sql)

    assert code(answer) in CODES, answer
    # A refusal may quote the statement, and with it the number that the statement guesses.
    assert NUMBER not in answer.replace(sql, "").replace(f"= '{NUMBER}'", "")
    assert RAW not in answer
    assert "Value passed to 'throwIf'" not in answer
    assert await engine.answer("writer", f"SELECT count() FROM calls.cdr_by_slot WHERE from_number = '{NUMBER}'") == "1"


async def test_the_analyst_sees_masked_views_and_figures_and_nothing_else(engine: EngineUnderTest) -> None:
    names = (
        await engine.answer("analyst", "SELECT name FROM system.tables WHERE database = 'calls' ORDER BY name")
    ).split()
    assert tuple(names) == SEEN
    for name in names:
        definition = await engine.answer("analyst", f"SELECT as_select FROM system.tables WHERE name = '{name}'")
        asked = named(name, definition)
        assert code(await engine.answer("analyst", f"SELECT * FROM calls.{asked}")) is None, name
        assert code(await engine.answer("analyst", f"DESCRIBE TABLE calls.{asked}")) is None, name
    assert await engine.answer("analyst", "SELECT count() FROM calls.masked_cdr") == "1"


async def test_the_reader_does_not_lose_the_clear_numbers(engine: EngineUnderTest) -> None:
    assert NUMBER in await engine.answer("reader", "SELECT from_number FROM calls.v_cdr")
    assert code(await engine.answer("reader", "SELECT * FROM calls.masked_cdr")) == DENIED
