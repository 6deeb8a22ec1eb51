"""The everyday use of clickhouse-connect against the embedded engine; CALLWEAVE_TEST_CLICKHOUSE_URL names another."""

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from decimal import Decimal
from ipaddress import IPv4Address
from typing import Any

import clickhouse_connect
import cramjam
import pyarrow as pa  # type: ignore[import-untyped] # ships no types
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, StreamFailureError
from clickhouse_connect.driver.external import ExternalData

COMPRESSIONS = [
    pytest.param(False, id="not compressed"),
    pytest.param("lz4", id="lz4"),
    pytest.param("zstd", id="zstd"),
    pytest.param("gzip", id="gzip"),
    pytest.param(True, id="whatever the client likes best"),
]


@pytest.fixture(scope="session")
def database(clickhouse_url: str) -> Iterator[str]:
    name = f"t_{uuid.uuid4().hex}"
    client = clickhouse_connect.get_client(dsn=clickhouse_url)
    client.command(f"CREATE DATABASE {name}")
    yield name
    client.command(f"DROP DATABASE {name}")
    client.close()


@pytest.fixture
def client(clickhouse_url: str, database: str) -> Iterator[Client]:
    client = clickhouse_connect.get_client(dsn=clickhouse_url, database=database, tz_mode="aware")
    yield client
    client.close()


@pytest.fixture
def table(client: Client) -> str:
    name = f"t_{uuid.uuid4().hex}"
    client.command(f"CREATE TABLE {name} (id UInt64, name String) ENGINE = MergeTree ORDER BY id")
    return name


def rows_of(client: Client, table: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in client.query(f"SELECT * FROM {table} ORDER BY 1").result_rows]


def test_the_server_answers_a_ping(client: Client) -> None:
    assert client.ping()


def test_a_command_gives_its_one_value(client: Client) -> None:
    assert client.command("SELECT 40 + 2") == 42


def test_a_command_may_bring_its_data(client: Client, table: str) -> None:
    client.command(f"INSERT INTO {table} FORMAT CSV", data="1,one\n2,two\n")

    assert rows_of(client, table) == [(1, "one"), (2, "two")]


def test_commands_of_all_kinds_change_the_schema(client: Client, table: str) -> None:
    client.command(f"ALTER TABLE {table} ADD COLUMN more Nullable(Int32)")
    client.command(f"CREATE VIEW {table}_v AS SELECT id, more FROM {table}")
    names = [row[0] for row in client.query(f"DESCRIBE TABLE {table}_v").result_rows]
    client.command(f"DROP VIEW {table}_v")
    exists = client.command(f"EXISTS TABLE {table}_v")

    assert names == ["id", "more"]
    assert exists == 0


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_rows_go_in_and_come_out_alike(clickhouse_url: str, database: str, table: str, compression: Any) -> None:
    rows = [(number, f"name {number}") for number in range(20_000)]
    client = clickhouse_connect.get_client(dsn=clickhouse_url, database=database, compress=compression)
    inserted = client.insert(table, rows, column_names=["id", "name"])
    found = rows_of(client, table)
    client.close()

    assert inserted.written_rows == len(rows)
    assert found == rows


def test_columns_go_in_as_columns(client: Client, table: str) -> None:
    client.insert(table, [[1, 2], ["one", "two"]], column_names=["id", "name"], column_oriented=True)

    assert rows_of(client, table) == [(1, "one"), (2, "two")]


def test_an_insert_of_nothing_is_no_error(client: Client, table: str) -> None:
    client.insert(table, [], column_names=["id", "name"])

    assert rows_of(client, table) == []


TYPED = [
    ("u", "UInt64", 2**64 - 1),
    ("i", "Int8", -128),
    ("f", "Float64", 0.1),
    ("d", "Decimal(18, 6)", Decimal("-123.456789")),
    ("s", "String", "线路\t'\"\\\n"),
    ("lc", "LowCardinality(String)", "ytx"),
    ("n", "Nullable(Int32)", None),
    ("day", "Date", date(2026, 2, 28)),
    ("at", "DateTime64(6, 'UTC')", datetime(2026, 2, 28, 23, 59, 59, 123456, tzinfo=UTC)),
    ("tags", "Array(LowCardinality(String))", ["a", "b"]),
    ("map", "Map(String, String)", {"k": "v"}),
    ("id", "UUID", uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")),
    ("ip", "IPv4", IPv4Address("192.0.2.1")),
    ("en", "Enum8('x' = 1, 'y' = 2)", "y"),
    ("ok", "Bool", True),
]


@pytest.mark.parametrize(("name", "kind", "value"), TYPED, ids=[kind for _, kind, _ in TYPED])
def test_a_value_of_each_type_survives_the_way_in_and_out(client: Client, name: str, kind: str, value: object) -> None:
    table = f"t_{uuid.uuid4().hex}"
    client.command(f"CREATE TABLE {table} ({name} {kind}) ENGINE = MergeTree ORDER BY tuple()")
    client.insert(table, [[value]], column_names=[name])

    assert client.query(f"SELECT * FROM {table}").result_rows[0][0] == value


def test_nested_columns_go_in_as_arrays(client: Client) -> None:
    table = f"t_{uuid.uuid4().hex}"
    client.command(
        f"CREATE TABLE {table} (id UInt8, legs Nested(role String, at Nullable(UInt32))) ENGINE = MergeTree ORDER BY id"
    )
    client.insert(table, [[1, ["a", "b"], [5, None]]], column_names=["id", "legs.role", "legs.at"])

    assert client.query(f"SELECT legs.role, legs.at FROM {table}").result_rows == [(["a", "b"], [5, None])]


PARAMETERS = [
    pytest.param("{p:UInt8} + 1", 41, 42, id="a number"),
    pytest.param("{p:String}", "it's 100% \\ \t\n ✓ {p:String}", "it's 100% \\ \t\n ✓ {p:String}", id="an ugly string"),
    pytest.param("{p:String}", "", "", id="an empty string"),
    pytest.param("{p:Array(String)}", ["a'b", "c"], ["a'b", "c"], id="a list of strings"),
    pytest.param("{p:Nullable(String)}", None, None, id="nothing"),
    pytest.param(
        "{p:DateTime64(3, 'UTC')}",
        datetime(2026, 5, 1, 12, tzinfo=UTC),
        datetime(2026, 5, 1, 12, tzinfo=UTC),
        id="a time",
    ),
    pytest.param("length({p:String})", "x" * 100_000, 100_000, id="longer than an address"),
]


@pytest.mark.parametrize(("expression", "given", "expected"), PARAMETERS)
def test_typed_parameters_arrive_as_they_were_given(
    client: Client, expression: str, given: object, expected: object
) -> None:
    assert client.query(f"SELECT {expression}", parameters={"p": given}).result_rows[0][0] == expected


def test_a_parameter_can_name_a_table(client: Client, table: str) -> None:
    client.insert(table, [[1, "one"]], column_names=["id", "name"])

    assert client.query("SELECT name FROM {t:Identifier}", parameters={"t": table}).result_rows == [("one",)]


def test_a_setting_holds_for_its_query_alone(client: Client) -> None:
    with_setting = client.command("SELECT getSetting('max_block_size')", settings={"max_block_size": 4321})
    without = client.command("SELECT getSetting('max_block_size')")

    assert with_setting == 4321
    assert without != 4321


def test_arrow_goes_in_and_comes_out(client: Client, table: str) -> None:
    sent = pa.table({"id": pa.array([1, 2], pa.uint64()), "name": ["one", "two"]})
    client.insert_arrow(table, sent)
    found = client.query_arrow(f"SELECT * FROM {table} ORDER BY id", use_strings=True)

    assert found.to_pylist() == sent.to_pylist()


def test_arrow_streams(client: Client) -> None:
    with client.query_arrow_stream("SELECT number FROM numbers(500000)") as stream:
        total = sum(batch.num_rows for batch in stream)

    assert total == 500_000


FORMATS = [
    pytest.param("JSONEachRow", b'{"id":1,"name":"one"}\n{"id":2,"name":"two"}\n', id="JSON lines"),
    pytest.param("CSV", b'1,"one"\n2,"two"\n', id="CSV"),
    pytest.param("CSVWithNames", b'"id","name"\n1,"one"\n2,"two"\n', id="CSV with names"),
    pytest.param("TabSeparated", b"1\tone\n2\ttwo\n", id="tabs"),
    pytest.param("RowBinary", b"\x01" + bytes(7) + b"\x03one" + b"\x02" + bytes(7) + b"\x03two", id="binary rows"),
]


@pytest.mark.parametrize(("name", "raw"), FORMATS)
@pytest.mark.parametrize("compression", [None, "lz4", "zstd", "gzip"])
def test_raw_data_of_a_format_go_in_and_come_out_alike(
    client: Client, table: str, name: str, raw: bytes, compression: str | None
) -> None:
    data = raw
    if compression:
        data = bytes(getattr(cramjam, compression).compress(raw))
    summary = client.raw_insert(table, insert_block=data, fmt=name, compression=compression)
    plain = {"output_format_json_quote_64bit_integers": 0}
    found = client.raw_query(f"SELECT * FROM {table} ORDER BY id", fmt=name, settings=plain)

    assert found == raw
    assert summary.written_rows == 2


def test_raw_data_may_come_from_a_generator(client: Client, table: str) -> None:
    client.raw_insert(table, column_names=["id"], insert_block=(f"{n}\n".encode() for n in range(100_000)), fmt="CSV")

    assert client.command(f"SELECT count(), sum(id) FROM {table}") == ["100000", str(sum(range(100_000)))]


def test_a_large_answer_streams_block_by_block(client: Client) -> None:
    with client.query_row_block_stream("SELECT number FROM numbers(1000000)") as stream:
        blocks = [len(block) for block in stream]

    assert sum(blocks) == 1_000_000
    assert len(blocks) > 1


def test_a_raw_answer_streams(client: Client) -> None:
    stream: Any = client.raw_stream("SELECT number FROM numbers(300000)", fmt="TabSeparated")
    lines = stream.read().splitlines()

    assert lines == [b"%d" % number for number in range(300_000)]


def test_a_failure_in_mid_stream_reaches_the_reader(client: Client) -> None:
    sql = "SELECT throwIf(number = 3000000, 'it breaks here') FROM numbers(10000000)"
    with pytest.raises(StreamFailureError, match="it breaks here"), client.query_row_block_stream(sql) as stream:
        for _ in stream:
            pass


ERRORS = [
    pytest.param("SELECT nothing_like_this", 47, "UNKNOWN_IDENTIFIER", id="unknown column"),
    pytest.param("SELECT * FROM no_such_table", 60, "UNKNOWN_TABLE", id="unknown table"),
    pytest.param("SELECT 1 FORMAT Nope", 73, "UNKNOWN_FORMAT", id="unknown format"),
    pytest.param("SELECT FROM WHERE", 62, "SYNTAX_ERROR", id="no SQL"),
    pytest.param("SELECT throwIf(1, 'as asked')", 395, "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO", id="a failing function"),
    pytest.param("DROP TABLE no_such_table", 60, "UNKNOWN_TABLE", id="a failing command"),
]


@pytest.mark.parametrize(("sql", "code", "name"), ERRORS)
def test_an_error_has_its_number_and_its_name(client: Client, sql: str, code: int, name: str) -> None:
    with pytest.raises(DatabaseError, match=name) as caught:
        client.command(sql)

    assert caught.value.code == code


def test_data_that_do_not_fit_are_refused_and_nothing_is_stored(client: Client, table: str) -> None:
    with pytest.raises(DatabaseError) as caught:
        client.raw_insert(table, insert_block=b"1,one\nnot a number,two\n", fmt="CSV")

    assert caught.value.code == 27
    assert rows_of(client, table) == []


def test_an_unknown_database_is_an_error_with_its_number(clickhouse_url: str) -> None:
    with pytest.raises(DatabaseError) as caught:
        clickhouse_connect.get_client(dsn=clickhouse_url, database="no_such_database").command("SELECT 1")

    assert caught.value.code == 81


# The engine has an error of its own for `default`, the account of new installations.
@pytest.mark.parametrize(("name", "code"), [("nobody", 516), ("default", 194)])
def test_a_wrong_password_is_refused(clickhouse_url: str, name: str, code: int) -> None:
    with pytest.raises(DatabaseError) as caught:
        clickhouse_connect.get_client(dsn=clickhouse_url, username=name, password="wrong")

    assert caught.value.code == code


def test_a_reader_cannot_write(client: Client, table: str) -> None:
    with pytest.raises(DatabaseError) as caught:
        client.command(f"DROP TABLE {table}", settings={"readonly": 2})

    assert caught.value.code == 164
    assert rows_of(client, table) == []


def test_a_query_out_of_time_is_ended(client: Client) -> None:
    """A query that has sent no row yet: after the first one the failure comes in the middle of the stream."""
    with pytest.raises(DatabaseError) as caught:
        client.command(
            "SELECT sum(sleepEachRow(0.05)) FROM numbers(1000)", settings={"max_execution_time": 1, "max_block_size": 1}
        )

    assert caught.value.code == 159


def test_a_temporary_table_lives_in_its_session(clickhouse_url: str, database: str) -> None:
    session = str(uuid.uuid4())
    client = clickhouse_connect.get_client(dsn=clickhouse_url, database=database, session_id=session)
    other = clickhouse_connect.get_client(dsn=clickhouse_url, database=database, session_id=str(uuid.uuid4()))
    client.command("CREATE TEMPORARY TABLE mine (id UInt8)")
    client.insert("mine", [[7]], column_names=["id"], column_type_names=["UInt8"])
    found = client.command("SELECT id FROM mine", settings={"max_block_size": 99})
    with pytest.raises(DatabaseError):
        other.command("SELECT id FROM mine")
    kept = client.command("SELECT getSetting('max_block_size')")
    client.close()
    other.close()

    assert found == 7
    assert kept != 99


def test_set_and_use_last_for_their_session(clickhouse_url: str) -> None:
    client = clickhouse_connect.get_client(dsn=clickhouse_url, session_id=str(uuid.uuid4()))
    client.command("SET max_block_size = 777")
    found = client.command("SELECT getSetting('max_block_size')")
    client.close()

    assert found == 777


def test_the_client_and_the_server_agree_on_a_version_of_the_protocol(client: Client) -> None:
    """Without this setting a column of a JSON type or of LowCardinality inside a Tuple cannot be read."""
    found = client.query("SELECT toLowCardinality('ytx'), toDateTime(0, 'Asia/Shanghai')")

    assert client.protocol_version == 54405
    assert found.result_rows[0][0] == "ytx"
    assert str(found.column_types[1].base_type) == "DateTime"


def test_a_query_has_the_id_that_its_client_gave(client: Client) -> None:
    given = str(uuid.uuid4())
    found = client.query("SELECT queryID()", settings={"query_id": given})

    assert found.result_rows == [(given,)]


def test_external_data_are_a_table_of_the_query(client: Client) -> None:
    sent = ExternalData(file_name="mine.csv", data=b"1,one\n2,two\n", fmt="CSV", structure="id UInt8, name String")
    found = client.query("SELECT name FROM mine ORDER BY id", external_data=sent).result_rows

    assert found == [("one",), ("two",)]


def test_readers_see_whole_inserts_while_a_writer_inserts(clickhouse_url: str, database: str, table: str) -> None:
    batch = [(number, "x") for number in range(1_000)]

    def write(_: int) -> None:
        client = clickhouse_connect.get_client(dsn=clickhouse_url, database=database)
        for _ in range(20):
            client.insert(table, batch, column_names=["id", "name"])
        client.close()

    def read(_: int) -> list[int]:
        client = clickhouse_connect.get_client(dsn=clickhouse_url, database=database)
        counts = [int(str(client.command(f"SELECT count() FROM {table}"))) for _ in range(40)]
        client.close()
        return counts

    with ThreadPoolExecutor(6) as pool:
        writers = [pool.submit(write, number) for number in range(2)]
        readers = [pool.submit(read, number) for number in range(4)]
        for writer in writers:
            writer.result()
        seen = [reader.result() for reader in readers]

    assert all(counts == sorted(counts) for counts in seen)
    assert all(count % len(batch) == 0 for counts in seen for count in counts)
    assert read(0)[-1] == 40 * len(batch)


def test_the_newest_version_of_a_row_is_what_final_shows(client: Client) -> None:
    table = f"t_{uuid.uuid4().hex}"
    client.command(f"CREATE TABLE {table} (k UInt8, v UInt8) ENGINE = ReplacingMergeTree(v) ORDER BY k")
    for version in (2, 3, 1):
        client.insert(table, [[1, version]], column_names=["k", "v"])

    assert client.query(f"SELECT * FROM {table} FINAL").result_rows == [(1, 3)]


async def test_the_asynchronous_client_works_too(clickhouse_url: str, database: str, table: str) -> None:
    client = await clickhouse_connect.get_async_client(dsn=clickhouse_url, database=database)
    await client.insert(table, [[1, "one"]], column_names=["id", "name"])
    found = await client.query(f"SELECT * FROM {table}")
    await client.close()

    assert found.result_rows == [(1, "one")]
