"""The restricted columns of the embedded ClickHouse stay behind the views; what people and tools need stays open."""

from typing import Final

import pytest

from tests.security.closed_engine import (
    DATABASE,
    DENIED,
    FIXED,
    NO_DIRECTORY,
    NUMBER,
    RAW,
    READ_ONLY,
    EngineUnderTest,
    code,
)

# Restricted columns, for accounts that may read the views.

ONE_LETTER: Final = "{'calls.cdr_by_slot': 'throwIf(from_raw LIKE \\'as%\\') = 0'}"
WITH_PARAMETERS: Final = 55
"""The code of STORAGE_REQUIRES_PARAMETER: a view with parameters is among what is merged."""
NOTHING_ELSE: Final = (
    *(None, DENIED, READ_ONLY, FIXED, 36, 43, 47, WITH_PARAMETERS, 60, 62, 344, 582, 636, 727, NO_DIRECTORY),
)
BEHIND_THE_VIEWS: Final = {
    "the table": "SELECT from_raw FROM calls.cdr_by_slot",
    "the view with everything": "SELECT from_raw FROM calls.cdr",
    "a column that the view has not": "SELECT from_raw FROM calls.v_cdr",
    "merge": "SELECT * FROM merge('calls', '.*') FORMAT JSONEachRow",
    "merge of what has no parameters": "SELECT * FROM merge('calls', '^(cdr|time|call|bind|dead|masked|v_[^ck]).*') FORMAT JSONEachRow",
    "merge of one table": "SELECT from_raw FROM merge('calls', '^cdr_by_slot$')",
    "view": "SELECT * FROM view(SELECT * FROM calls.cdr_by_slot)",
    "viewIfPermitted": "SELECT * FROM viewIfPermitted(SELECT from_raw FROM calls.cdr_by_slot ELSE null('from_raw String'))",
    "viewExplain": "SELECT * FROM viewExplain('EXPLAIN', '', (SELECT from_raw FROM calls.cdr_by_slot))",
    "loop": "SELECT * FROM loop('calls', 'cdr_by_slot') LIMIT 1",
    "eval": "SELECT * FROM eval('SELECT from_raw FROM calls.cdr_by_slot') SETTINGS allow_experimental_eval_table_function = 1",
    "index of a table": "SELECT * FROM mergeTreeIndex('calls', 'cdr_by_slot', with_minmax = true)",
    "analysis of indexes": "SELECT * FROM mergeTreeAnalyzeIndexes('calls', 'cdr_by_slot', from_raw = 'x')",
    "projection": "SELECT * FROM mergeTreeProjection('calls', 'cdr_by_slot', 'p')",
    "blocks of a table": "SELECT * FROM mergeTreeCodecBlockCounts('calls', 'cdr_by_slot')",
    "text index": "SELECT * FROM mergeTreeTextIndex('calls', 'cdr_by_slot', 'i')",
    "time series": "SELECT * FROM timeSeriesData('calls', 'cdr_by_slot')",
    "dictionary": "SELECT * FROM dictionary('calls.cdr_by_slot')",
    "joinGet": "SELECT joinGet('calls.cdr_by_slot', 'from_raw', 'k')",
    "in": "SELECT 'x' IN calls.cdr_by_slot",
    "a filter behind the view": f"SELECT count() FROM calls.v_cdr SETTINGS additional_table_filters = {ONE_LETTER}",
    "a filter after another profile": f"SELECT count() FROM calls.v_cdr SETTINGS profile = 'default', additional_table_filters = {ONE_LETTER}",
    "a filter after the owner's profile": f"SELECT count() FROM calls.v_cdr SETTINGS profile = 'owner', additional_table_filters = {ONE_LETTER}",
    "explain": "EXPLAIN SELECT from_raw FROM calls.cdr_by_slot",
    "explain of a query tree": "EXPLAIN QUERY TREE SELECT from_raw FROM calls.cdr_by_slot",
    "explain of an estimate": "EXPLAIN ESTIMATE SELECT from_raw FROM calls.cdr_by_slot WHERE from_raw = 'x'",
    "explain of a view": "EXPLAIN actions = 1, indexes = 1 SELECT * FROM calls.v_cdr",
    "a schema by a query": "SELECT 1 AS a FORMAT Protobuf SETTINGS format_schema_source = 'query', format_schema = 'SELECT from_raw FROM calls.cdr_by_slot'",
    "a value in an error": "SELECT toUInt8(from_raw) FROM calls.cdr_by_slot",
    "queries of others": "SELECT * FROM system.query_log FORMAT JSONEachRow",
    "queries that run": "SHOW PROCESSLIST",
    "logins": "SELECT * FROM system.session_log FORMAT JSONEachRow",
    "parts": "SELECT * FROM system.parts FORMAT JSONEachRow",
    "users": "SELECT * FROM system.users",
    "a table's statement": "SHOW CREATE TABLE calls.cdr_by_slot",
    "a table's columns": "DESCRIBE TABLE calls.cdr_by_slot",
}


@pytest.mark.parametrize(
    ("account", "sql"),
    [
        pytest.param(account, sql, id=f"{account}: {name}")
        for name, sql in BEHIND_THE_VIEWS.items()
        # `default` has the password of the writer, who may read the column.
        for account in (("reader",) if ONE_LETTER in sql else ("reader", "default"))
    ],
)
async def test_restricted_columns_stay_behind_the_views(engine: EngineUnderTest, account: str, sql: str) -> None:
    answer = await engine.answer(account, sql)
    assert code(answer) in NOTHING_ELSE, answer
    assert RAW not in answer
    assert "Value passed to 'throwIf'" not in answer
    assert (
        await engine.answer("writer", f"SELECT count() FROM {DATABASE}.cdr_by_slot WHERE from_raw = '{RAW}'")
    ) == "1"


async def test_the_reader_sees_the_views_and_what_is_not_restricted(engine: EngineUnderTest) -> None:
    assert NUMBER in await engine.answer("reader", "SELECT from_number FROM calls.v_cdr")
    tables = (await engine.answer("reader", "SELECT name FROM system.tables WHERE database = 'calls'")).split()
    assert tables
    assert all(name.startswith("v_") for name in tables)
    columns = await engine.answer(
        "reader", "SELECT name, comment FROM system.columns WHERE table NOT LIKE 'v\\_%' AND database = 'calls'"
    )
    assert columns == ""
    for table in (
        "system.parts",
        "system.data_skipping_indices",
        "information_schema.columns",
        "information_schema.tables",
    ):
        assert "_versions" not in await engine.answer("reader", f"SELECT * FROM {table} FORMAT JSONEachRow")


async def test_no_settings_of_a_session_outlive_another_profile(engine: EngineUnderTest) -> None:
    session = "closed"
    await engine.answer("reader", "SET profile = 'default'", session=session)
    for one in ("readonly = 0", "workload = 'pipeline'", f"additional_table_filters = {ONE_LETTER}"):
        assert code(await engine.answer("reader", f"SET {one}", session=session)) in {READ_ONLY, FIXED}, one


async def test_another_accounts_session_and_cached_answer_are_not_shared(engine: EngineUnderTest) -> None:
    session = "the-writers-own"
    await engine.answer("writer", "CREATE TEMPORARY TABLE mine AS SELECT 'as-the-vendor-sent-it' AS a", session=session)
    assert RAW in await engine.answer("writer", "SELECT a FROM mine", session=session)
    assert code(await engine.answer("reader", "SELECT a FROM mine", session=session)) == 60
    cached = "SELECT from_raw FROM calls.cdr_by_slot SETTINGS use_query_cache = 1, query_cache_share_between_users = 1"
    assert RAW in await engine.answer("writer", cached)
    assert RAW in await engine.answer("writer", cached)
    assert code(await engine.answer("reader", cached)) == DENIED


async def test_nobody_stops_merges_without_the_right(engine: EngineUnderTest) -> None:
    """Without a table the engine answers with success, and skips every table that the account has no right for."""
    for account in ("writer", "reader", "default"):
        await engine.answer(account, "SYSTEM STOP MERGES")
    for vendor in ("one", "two"):
        await engine.answer("writer", f"INSERT INTO calls.cdr_by_slot (vendor, call_key) VALUES ('merged', '{vendor}')")
    assert (
        code(
            await engine.answer(
                "migrator", "OPTIMIZE TABLE calls.cdr_by_slot FINAL SETTINGS optimize_throw_if_noop = 1"
            )
        )
        is None
    )


# Statements that people and parts need.

METADATA: Final = (
    *("databases", "tables", "columns", "functions", "data_type_families", "settings", "formats", "table_functions"),
    *(
        "table_engines",
        "contributors",
        "one",
        "collations",
        "time_zones",
        "privileges",
        "aggregate_function_combinators",
    ),
)


@pytest.mark.parametrize("name", METADATA)
async def test_tools_read_the_metadata_as_the_reader(engine: EngineUnderTest, name: str) -> None:
    answer = await engine.answer("reader", f"SELECT count() > 0 FROM system.{name}")
    assert answer in {"1", "true"}, answer


@pytest.mark.parametrize("name", ["schemata", "tables", "columns", "views"])
async def test_the_reader_reads_the_information_schema(engine: EngineUnderTest, name: str) -> None:
    where = "" if name == "schemata" else "WHERE table_schema = 'calls'"
    answer = await engine.answer("reader", f"SELECT count() > 0 FROM information_schema.{name} {where}")
    assert answer in {"1", "true"}, answer
