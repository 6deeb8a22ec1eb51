"""ClickHouse's HTTP protocol, byte by byte, as curl and BI tools use it.

CALLWEAVE_TEST_CLICKHOUSE_URL names another server than the embedded one.
"""

import gzip
import io
import json
import lzma
import uuid
import zlib
from collections.abc import AsyncIterator, Callable

import aiohttp
import cramjam
import pytest
from yarl import URL


@pytest.fixture(scope="session")
async def stranger(clickhouse_url: str) -> AsyncIterator[aiohttp.ClientSession]:
    """Yields a session without a name and a password."""
    async with aiohttp.ClientSession(URL(clickhouse_url).with_user(None)) as session:
        yield session


@pytest.fixture
async def table(http: aiohttp.ClientSession) -> str:
    name = f"w_{uuid.uuid4().hex}"
    async with http.post(
        "/", data=f"CREATE TABLE {name} (id UInt32, name String) ENGINE = MergeTree ORDER BY id"
    ) as done:
        assert done.status == 200
    return name


async def error_code(http: aiohttp.ClientSession, sql: str, **params: str) -> str:
    """Returns the code of the error that a statement ends with."""
    async with http.post("/", params=params, data=sql) as response:
        await response.read()
    return response.headers["X-ClickHouse-Exception-Code"]


async def ask(http: aiohttp.ClientSession, sql: str, **params: str) -> bytes:
    async with http.post("/", params=params, data=sql) as response:
        body = await response.read()
        assert response.status == 200, body
        return body


@pytest.mark.parametrize("path", ["/ping", "/", "/replicas_status"])
async def test_health_is_a_plain_ok_for_everybody(stranger: aiohttp.ClientSession, path: str) -> None:
    async with stranger.get(path) as response:
        assert (response.status, await response.text()) == (200, "Ok.\n")


async def test_a_query_may_stand_in_the_address(http: aiohttp.ClientSession) -> None:
    async with http.get("/", params={"query": "SELECT 1, 'two'"}) as response:
        assert await response.text() == "1\ttwo\n"


async def test_a_query_may_stand_in_the_body(http: aiohttp.ClientSession) -> None:
    assert await ask(http, "SELECT 1") == b"1\n"


async def test_a_query_may_be_in_two_parts(http: aiohttp.ClientSession) -> None:
    assert await ask(http, "FROM numbers(3)", query="SELECT sum(number)") == b"3\n"


async def test_curls_form_content_type_does_not_matter(http: aiohttp.ClientSession) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    async with http.post("/", data=b"SELECT 1 AS a", headers=headers) as response:
        assert await response.text() == "1\n"


INSERTS = [
    pytest.param("INSERT INTO {t} VALUES (1,'one'),(2,'two')", b"", id="values in the address"),
    pytest.param("INSERT INTO {t} VALUES", b"(1,'one'),(2,'two')", id="values in the body"),
    pytest.param("INSERT INTO {t} (id, name) FORMAT CSV", b"1,one\n2,two\n", id="data in the body"),
    pytest.param("", b"INSERT INTO {t} (name, id) FORMAT CSV\none,1\ntwo,2\n", id="everything in the body"),
    pytest.param("", b"insert into {t} format TabSeparated 1\tone\n2\ttwo\n", id="data on the statement's line"),
    pytest.param(
        "INSERT INTO {t} SETTINGS max_insert_threads=1 FORMAT CSV", b"1,one\n2,two", id="settings before the format"
    ),
    pytest.param("INSERT /* FORMAT x */ INTO {t}\n-- VALUES\nFORMAT CSV", b"1,one\n2,two", id="comments"),
    pytest.param(
        "INSERT INTO {t} SELECT number + 1, ['one', 'two'][number + 1] FROM numbers(2)", b"", id="a selection"
    ),
    pytest.param("INSERT INTO TABLE {t} FORMAT JSONEachRow", b'{"id":1,"name":"one"} {"id":2,"name":"two"}', id="JSON"),
    pytest.param("", b"INSERT INTO {t} VALUES (1,'one'),(2,'two');", id="values with a semicolon"),
]


@pytest.mark.parametrize(("query", "body"), INSERTS)
async def test_an_insert_may_be_written_in_many_ways(
    http: aiohttp.ClientSession, table: str, query: str, body: bytes
) -> None:
    params = {"query": query.replace("{t}", table)} if query else {}
    async with http.post("/", params=params, data=body.replace(b"{t}", table.encode())) as response:
        assert response.status == 200, await response.text()
        summary = json.loads(response.headers["X-ClickHouse-Summary"])

    assert await ask(http, f"SELECT id, name FROM {table} ORDER BY id") == b"1\tone\n2\ttwo\n"
    assert summary["written_rows"] == "2"


async def test_text_that_looks_like_a_format_clause_is_data(http: aiohttp.ClientSession, table: str) -> None:
    await ask(http, f"INSERT INTO {table} VALUES (1, 'a FORMAT CSV'), (2, 'it''s'), (3, 'VALUES (')")

    assert await ask(http, f"SELECT name FROM {table} ORDER BY id") == b"a FORMAT CSV\nit\\'s\nVALUES (\n"


async def test_parameters_go_into_an_inserts_values(http: aiohttp.ClientSession, table: str) -> None:
    await ask(http, f"INSERT INTO {table} SELECT {{id:UInt32}}, {{name:String}}", param_id="5", param_name="it's")

    assert await ask(http, f"SELECT * FROM {table}") == b"5\tit\\'s\n"


ENCODINGS: list[tuple[str, Callable[[bytes], bytes], Callable[[bytes], bytes]]] = [
    ("gzip", gzip.compress, gzip.decompress),
    ("deflate", zlib.compress, zlib.decompress),
    ("lz4", lambda raw: bytes(cramjam.lz4.compress(raw)), lambda raw: bytes(cramjam.lz4.decompress(raw))),
    ("zstd", lambda raw: bytes(cramjam.zstd.compress(raw)), lambda raw: bytes(cramjam.zstd.decompress(raw))),
    ("br", lambda raw: bytes(cramjam.brotli.compress(raw, 3)), lambda raw: bytes(cramjam.brotli.decompress(raw))),
    ("xz", lambda raw: lzma.compress(raw, preset=0), lzma.decompress),
    ("snappy", lambda raw: bytes(cramjam.snappy.compress(raw)), lambda raw: bytes(cramjam.snappy.decompress(raw))),
]


@pytest.mark.parametrize(("name", "pack", "unpack"), ENCODINGS, ids=[name for name, *_ in ENCODINGS])
@pytest.mark.parametrize("rows", [1, 100_000], ids=["short", "long"])
async def test_bodies_are_compressed_both_ways(
    http: aiohttp.ClientSession,
    table: str,
    name: str,
    pack: Callable[[bytes], bytes],
    unpack: Callable[[bytes], bytes],
    rows: int,
) -> None:
    raw = b"".join(b"%d\tname %d\n" % (number, number) for number in range(rows))
    params = {"query": f"INSERT INTO {table} FORMAT TabSeparated"}
    async with http.post(
        "/", params=params, data=io.BytesIO(pack(raw)), headers={"Content-Encoding": name}
    ) as response:
        assert response.status == 200, await response.text()
    wanted = {"query": f"SELECT * FROM {table} ORDER BY id", "enable_http_compression": "1"}
    async with http.get("/", params=wanted, headers={"Accept-Encoding": name}) as response:
        packed = await response.read()
        assert response.headers["Content-Encoding"] == name

    assert unpack(packed) == raw


async def test_an_answer_stays_plain_when_compression_is_off(http: aiohttp.ClientSession) -> None:
    params = {"query": "SELECT 1", "enable_http_compression": "0"}
    async with http.get("/", params=params, headers={"Accept-Encoding": "gzip"}) as response:
        assert "Content-Encoding" not in response.headers
        assert await response.read() == b"1\n"


async def test_an_encoding_that_the_engine_does_not_have_leaves_the_answer_plain(http: aiohttp.ClientSession) -> None:
    params = {"query": "SELECT 1", "enable_http_compression": "1"}
    async with http.get("/", params=params, headers={"Accept-Encoding": "compress"}) as response:
        assert "Content-Encoding" not in response.headers
        assert await response.read() == b"1\n"


@pytest.mark.parametrize("encoding", [name for name, *_ in ENCODINGS] + ["compress"])
async def test_a_damaged_body_is_an_error_and_stores_nothing(
    http: aiohttp.ClientSession, table: str, encoding: str
) -> None:
    params = {"query": f"INSERT INTO {table} FORMAT CSV"}
    async with http.post(
        "/", params=params, data=b"this is not it", headers={"Content-Encoding": encoding}
    ) as response:
        assert response.status >= 400
        assert "X-ClickHouse-Exception-Code" in response.headers

    assert await ask(http, f"SELECT count() FROM {table}") == b"0\n"


async def test_the_headers_of_an_answer_say_what_it_is(http: aiohttp.ClientSession) -> None:
    query_id = str(uuid.uuid4())
    params = {"query": "SELECT number FROM numbers(10) FORMAT JSONEachRow", "query_id": query_id}
    async with http.get("/", params=params) as response:
        headers = response.headers
        await response.read()
    summary = json.loads(headers["X-ClickHouse-Summary"])

    assert headers["X-ClickHouse-Query-Id"] == query_id
    assert headers["X-ClickHouse-Format"] == "JSONEachRow"
    assert headers["X-ClickHouse-Timezone"] == "UTC"
    assert headers["X-ClickHouse-Server-Display-Name"]
    assert headers["Content-Type"].startswith("application/x-ndjson")
    # The rows read and written are known before the first byte is sent; the size of the answer is not.
    assert summary["read_rows"] == "10"
    assert summary["total_rows_to_read"] == "10"


FORMAT_CASES = [
    pytest.param("SELECT 1 AS a", {}, {}, b"1\n", id="not at all"),
    pytest.param("SELECT 1 AS a", {"default_format": "JSONEachRow"}, {}, b'{"a":1}\n', id="by parameter"),
    pytest.param("SELECT 1 AS a", {}, {"X-ClickHouse-Format": "JSONEachRow"}, b'{"a":1}\n', id="by header"),
    pytest.param(
        "SELECT 1 AS a FORMAT CSVWithNames", {"default_format": "XML"}, {}, b'"a"\n1\n', id="the query's own wins"
    ),
    pytest.param("SELECT 1 AS a FORMAT CSV SETTINGS max_threads=1", {}, {}, b"1\n", id="settings after the format"),
    pytest.param(
        "SELECT 'x FORMAT JSON' AS format", {}, {}, b"x FORMAT JSON\n", id="a string and a column of that name"
    ),
    pytest.param("SHOW TABLES FROM system LIKE 'one' FORMAT CSV;", {}, {}, b'"one"\n', id="not only for SELECT"),
    pytest.param("SELECT count() WITH TOTALS FORMAT TabSeparated", {}, {}, b"1\n\n1\n", id="totals come once"),
]


@pytest.mark.parametrize(("sql", "params", "headers", "expected"), FORMAT_CASES)
async def test_the_answers_format_can_be_asked_for(
    http: aiohttp.ClientSession, sql: str, params: dict[str, str], headers: dict[str, str], expected: bytes
) -> None:
    async with http.post("/", params=params, headers=headers, data=sql) as response:
        assert await response.read() == expected


async def test_a_long_answer_with_a_header_has_it_once(http: aiohttp.ClientSession) -> None:
    body = await ask(http, "SELECT number FROM numbers(300000) FORMAT CSVWithNames")

    assert body.count(b"number") == 1
    assert body.count(b"\n") == 300_001


async def test_an_error_has_a_status_a_number_and_a_text(http: aiohttp.ClientSession) -> None:
    async with http.post("/", data="SELECT * FROM no_such_table") as response:
        text = await response.text()

    assert response.status == 404
    assert response.headers["X-ClickHouse-Exception-Code"] == "60"
    assert text.startswith("Code: 60. DB::Exception: ")
    assert "(UNKNOWN_TABLE)" in text


async def test_a_late_failure_of_a_held_answer_has_its_own_status(http: aiohttp.ClientSession) -> None:
    sql = "SELECT throwIf(number = 3000000) FROM numbers(4000000)"
    async with http.post("/", params={"wait_end_of_query": "1"}, data=sql) as response:
        await response.read()

    assert response.status == 500
    assert response.headers["X-ClickHouse-Exception-Code"] == "395"


@pytest.mark.parametrize("sql", ["SELECT 1; SELECT 2", "SET max_threads = 1; SHOW TABLES"])
async def test_several_statements_are_refused(http: aiohttp.ClientSession, sql: str) -> None:
    async with http.post("/", data=sql) as response:
        text = await response.text()

    assert response.headers["X-ClickHouse-Exception-Code"] == "62"
    assert "Multi-statements are not allowed" in text


async def test_an_answer_cannot_be_sent_to_a_file_of_the_server(http: aiohttp.ClientSession) -> None:
    async with http.post("/", data="SELECT 1 INTO OUTFILE '/tmp/never-written' FORMAT CSV") as response:
        await response.read()

    assert response.headers["X-ClickHouse-Exception-Code"] == "358"


async def test_a_link_cannot_change_anything(http: aiohttp.ClientSession, table: str) -> None:
    async with http.get("/", params={"query": f"DROP TABLE {table}"}) as response:
        await response.read()

    assert response.headers["X-ClickHouse-Exception-Code"] == "164"
    assert await ask(http, f"EXISTS TABLE {table}") == b"1\n"


async def test_readonly_cannot_be_taken_back_by_the_query(http: aiohttp.ClientSession, table: str) -> None:
    sql = f"SELECT count() FROM {table} SETTINGS readonly = 0"

    assert await error_code(http, sql, readonly="2") == "164"


async def test_an_unknown_setting_is_an_error(http: aiohttp.ClientSession) -> None:
    assert await error_code(http, "SELECT 1", no_such_setting="1") == "115"


LOGINS = [
    pytest.param({}, {}, 401, "194", id="none, for which a browser asks its user"),
    pytest.param(
        {"X-ClickHouse-User": "default", "X-ClickHouse-Key": "no"}, {}, 401, "194", id="the engine's own name"
    ),
    pytest.param({"X-ClickHouse-User": "nobody", "X-ClickHouse-Key": "no"}, {}, 403, "516", id="headers"),
    pytest.param({"Authorization": aiohttp.encode_basic_auth("nobody", "no")}, {}, 403, "516", id="basic"),
    pytest.param({"Authorization": "Bearer no"}, {}, 403, "516", id="another scheme"),
    pytest.param({"Authorization": "Basic %%%"}, {}, 500, "1000", id="no base64"),
    pytest.param({}, {"user": "nobody", "password": "no"}, 403, "516", id="address"),
]


@pytest.mark.parametrize(("headers", "params", "status", "code"), LOGINS)
async def test_a_wrong_login_is_refused(
    stranger: aiohttp.ClientSession, headers: dict[str, str], params: dict[str, str], status: int, code: str
) -> None:
    async with stranger.post("/", headers=headers, params=params, data="SELECT 1") as response:
        text = await response.text()

    assert response.status == status, text
    assert response.headers["X-ClickHouse-Exception-Code"] == code
    assert response.headers.get("WWW-Authenticate", "").startswith("Basic") == (status == 401)


@pytest.mark.parametrize("way", ["basic", "headers", "address"])
async def test_a_right_login_may_be_written_in_three_ways(
    stranger: aiohttp.ClientSession, clickhouse_url: str, way: str
) -> None:
    name, password = URL(clickhouse_url).user or "", URL(clickhouse_url).password or ""
    headers = {
        "basic": {"Authorization": aiohttp.encode_basic_auth(name, password)},
        "headers": {"X-ClickHouse-User": name, "X-ClickHouse-Key": password},
        "address": {},
    }[way]
    params = {"user": name, "password": password} if way == "address" else {}
    async with stranger.post("/", headers=headers, params=params, data="SELECT currentUser()") as response:
        assert await response.text() == f"{name}\n"


async def test_put_can_read_and_not_change_anything(http: aiohttp.ClientSession, table: str) -> None:
    """PUT is read-only, as GET is: the engine writes only for POST."""
    async with http.put("/", data="SELECT 1") as response:
        read = await response.text()
    async with http.put("/", params={"query": f"INSERT INTO {table} FORMAT CSV"}, data=b"1,one\n") as response:
        await response.read()

    assert read == "1\n"
    assert response.headers["X-ClickHouse-Exception-Code"] == "164"


async def test_an_address_that_is_not_served_says_so(http: aiohttp.ClientSession) -> None:
    async with http.get("/no/such/page") as response:
        assert (response.status, "There is no handle" in await response.text()) == (404, True)


async def test_a_session_that_must_exist_and_does_not_is_an_error(http: aiohttp.ClientSession) -> None:
    assert await error_code(http, "SELECT 1", session_id=uuid.uuid4().hex, session_check="1") == "372"


async def test_a_role_that_nobody_has_is_an_error(http: aiohttp.ClientSession) -> None:
    assert await error_code(http, "SELECT 1", role="no_such_role") == "511"


async def test_head_gives_the_headers_alone(http: aiohttp.ClientSession) -> None:
    async with http.head("/", params={"query": "SELECT 1"}) as response:
        assert response.status == 200
        assert await response.read() == b""


async def test_a_database_can_be_chosen_for_a_query(http: aiohttp.ClientSession) -> None:
    assert await ask(http, "SELECT currentDatabase()", database="system") == b"system\n"
    assert await ask(http, "SELECT currentDatabase()") == b"default\n"


async def test_bytes_that_are_no_text_pass_through(http: aiohttp.ClientSession, table: str) -> None:
    await ask(http, f"INSERT INTO {table} SELECT 1, unhex('00FF80')")

    assert await ask(http, f"SELECT hex(name), name FROM {table} FORMAT RowBinary") == b"\x0600FF80\x03\x00\xff\x80"


async def test_a_refreshable_view_keeps_itself_up_to_date(http: aiohttp.ClientSession) -> None:
    name = f"w_{uuid.uuid4().hex}"
    await ask(http, f"CREATE DATABASE {name}")
    await ask(http, "CREATE TABLE t (id UInt32) ENGINE = MergeTree ORDER BY id", database=name)
    view = "CREATE MATERIALIZED VIEW v REFRESH EVERY 1 HOUR (n UInt64) ENGINE = MergeTree ORDER BY n AS SELECT count() AS n FROM t"
    await ask(http, view, database=name)
    await ask(http, "INSERT INTO t VALUES (1), (2)", database=name)
    await ask(http, "SYSTEM REFRESH VIEW v", database=name)
    await ask(http, "SYSTEM WAIT VIEW v", database=name)
    found = await ask(http, "SELECT n FROM v", database=name)
    await ask(http, f"DROP DATABASE {name}")

    assert found == b"2\n"
