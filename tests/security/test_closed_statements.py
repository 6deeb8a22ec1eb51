"""No account of the embedded ClickHouse does what is not its own by any other statement or setting."""

from typing import Final

import pytest

from tests.security.closed_engine import (
    ACCOUNTS,
    DATABASE,
    DENIED,
    FIXED,
    HTTP,
    NO_DIRECTORY,
    NOT_HERE,
    READ_ONLY,
    EngineUnderTest,
    Try,
    code,
    every,
    refused,
)

# Statements. `NOT_OURS` is refused to every account; `DDL` to every account but the migrator.

DISK: Final = "CREATE TABLE calls.other (a UInt8) ENGINE = MergeTree ORDER BY a SETTINGS disk = disk("
DICTIONARY: Final = "CREATE DICTIONARY calls.d (k UInt64, v String) PRIMARY KEY k LAYOUT(FLAT()) LIFETIME(0) SOURCE("
REFUSED: Final = (DENIED, READ_ONLY)
"""The right is missing, or the session is read-only."""

NOT_OURS: Final = (
    Try("scalar file of the host", "SELECT file('{out}/secret.txt')", (NO_DIRECTORY,)),
    Try("scalar file of the host with a default", "SELECT file('{out}/secret.txt', 'none')", (NO_DIRECTORY,)),
    Try("scalar file of accounts", "SELECT file('/etc/passwd')", (NO_DIRECTORY,)),
    Try("scalar file of the environment", "SELECT file('/proc/self/environ')", (NO_DIRECTORY,)),
    Try("scalar file of our passwords", "SELECT file('{dir}/passwords.json')", (NO_DIRECTORY,)),
    Try("scalar file of the configuration", "SELECT file('{dir}/config.xml')", (NO_DIRECTORY,)),
    Try("scalar file of the store", "SELECT file('{dir}/store/metadata/default.sql')", (NO_DIRECTORY,)),
    Try("scalar file of the engine's pipe", "SELECT file('{dir}/store/end')", (NO_DIRECTORY,)),
    Try("scalar file by a relative path", "SELECT file('config.xml')", (NO_DIRECTORY,)),
    Try("into outfile", "SELECT 1 INTO OUTFILE '{out}/written'", (358,)),
    Try("into outfile of the store", "SELECT 1 INTO OUTFILE '{dir}/store/written'", (358,)),
    *(
        Try(f"database of {name}", f"CREATE DATABASE other ENGINE = {engine}")
        for name, engine in {
            "MySQL": "MySQL('127.0.0.1:{port}', 'd', 'u', 'p')",
            "PostgreSQL": "PostgreSQL('127.0.0.1:{port}', 'd', 'u', 'p')",
            "MaterializedPostgreSQL": "MaterializedPostgreSQL('127.0.0.1:{port}', 'd', 'u', 'p')",
            "Filesystem": "Filesystem('{out}')",
            "Backup": "Backup('d', File('{out}/b'))",
            "SQLite": "SQLite('{out}/secret.sqlite')",
            "S3": f"S3({HTTP})",
            "URL": f"URL({HTTP})",
            "HDFS": "HDFS('hdfs://127.0.0.1:{port}/')",
            "Remote": "Remote('127.0.0.1:{port}', 'd')",
            "Replicated": "Replicated('/p', 's', 'r')",
            "Overlay": "Overlay('calls', 'system')",
            "DataLakeCatalog": f"DataLakeCatalog({HTTP}, 'u', 'p')",
            "nothing special": "Atomic",
        }.items()
    ),
    Try("our database as another engine", "CREATE DATABASE calls ENGINE = MySQL('127.0.0.1:{port}', 'd', 'u', 'p')"),
    Try("attach a database", "ATTACH DATABASE other ENGINE = MySQL('127.0.0.1:{port}', 'd', 'u', 'p')"),
    Try("rename our database", "RENAME DATABASE calls TO other"),
    Try("dictionary from a file", DICTIONARY + "FILE(PATH '{out}/secret.txt' FORMAT 'LineAsString'))"),
    Try("dictionary from an address", DICTIONARY + "HTTP(URL 'http://127.0.0.1:{port}/' FORMAT 'TSV'))"),
    Try("dictionary from a program", DICTIONARY + "EXECUTABLE(COMMAND 'cat /etc/passwd' FORMAT 'TSV'))"),
    Try("dictionary from a table", DICTIONARY + "CLICKHOUSE(TABLE 'cdr_by_slot' DB 'calls'))"),
    Try("dictionary from another server", DICTIONARY + "CLICKHOUSE(HOST '127.0.0.1' PORT {port} TABLE 't'))"),
    Try("backup to a file", "BACKUP TABLE calls.cdr_by_slot TO File('{out}/b')"),
    Try("backup of a view", "BACKUP TABLE calls.v_cdr TO File('{out}/b')"),
    Try("backup to a disk", "BACKUP DATABASE calls TO Disk('default', 'b')"),
    Try("backup to s3", f"BACKUP TABLE calls.cdr_by_slot TO S3({HTTP}, 'k', 's')"),
    Try("backup to memory", "BACKUP TABLE calls.cdr_by_slot TO Memory('b')"),
    Try("restore from a file", "RESTORE TABLE calls.cdr_by_slot FROM File('{out}/b')"),
    Try("restore from a disk", "RESTORE DATABASE calls AS other FROM Disk('default', 'b')"),
    Try("restore from s3", f"RESTORE TABLE calls.cdr_by_slot FROM S3({HTTP}, 'k', 's')"),
    Try("attach a table of files", "ATTACH TABLE calls.other FROM '{out}' (a UInt8) ENGINE = File(TSV)"),
    Try(
        "attach a table from a path",
        "ATTACH TABLE calls.other FROM '{out}' (a UInt8) ENGINE = MergeTree ORDER BY a",
        (DENIED, NO_DIRECTORY),
    ),
    Try(
        "temporary disk",
        DISK.replace("TABLE calls.", "TEMPORARY TABLE ") + "type = local, path = '{out}/')",
        (DENIED, 36),
    ),
    Try("local disk", DISK + "type = local, path = '{out}/')", (DENIED, 36)),
    Try(
        "disk at s3",
        DISK + f"type = s3, endpoint = {HTTP}, access_key_id = 'a', secret_access_key = 'b')",
        (DENIED, FIXED),
    ),
    Try("disk of a web site", DISK + f"type = web, endpoint = {HTTP})", (DENIED, FIXED, 36)),
    # For the migrator the engine contacts the server before it checks the right, so only the kernel stops that
    # connection.
    Try(
        "disk at hdfs",
        DISK + "type = hdfs, endpoint = 'hdfs://127.0.0.1:{port}/')",
        accounts=("writer", "reader", "analyst", "default"),
    ),
    Try("disk of blobs", DISK + "type = local_blob_storage, path = '{out}/')", (DENIED, FIXED)),
    Try("disk by the environment", DISK + "type = s3, endpoint = 'from_env HOME')", (DENIED,)),
    Try("disk of another name", DISK.replace("disk(", "'default'"), (DENIED, FIXED)),
    Try("named collection", "CREATE NAMED COLLECTION x AS a = 1"),
    Try("function of SQL", "CREATE FUNCTION f AS (x) -> x"),
    Try("function of WebAssembly", "CREATE FUNCTION f LANGUAGE WASM FROM 'x'", (DENIED, 62, 344)),
    Try("user", "CREATE USER x"),
    Try("role", "CREATE ROLE x"),
    Try("quota", "CREATE QUOTA x"),
    Try("row policy", "CREATE ROW POLICY x ON calls.cdr_by_slot USING 1 TO ALL"),
    Try("settings profile", "CREATE SETTINGS PROFILE x"),
    Try("token", "CREATE TOKEN"),
    Try("handler", "CREATE HANDLER h URL '/x' AS SELECT 1"),
    Try("change a user", "ALTER USER callweave_reader SETTINGS readonly = 0"),
    Try("drop a user", "DROP USER callweave"),
    Try("grant", "GRANT SELECT ON *.* TO callweave_reader"),
    Try("grant to oneself", "GRANT ALL ON *.* TO CURRENT_USER"),
    Try("revoke", "REVOKE SELECT ON *.* FROM callweave"),
    Try("as another user", "EXECUTE AS callweave SELECT 1", (DENIED, 344)),
    Try("workload", "CREATE WORKLOAD x IN all", REFUSED),
    Try("drop a workload", "DROP WORKLOAD reading", REFUSED),
    Try("resource", "CREATE RESOURCE x (MEMORY RESERVATION)", REFUSED),
    *(
        Try(f"system {what.lower()}", f"SYSTEM {what}", codes)
        for what, codes in {
            "SHUTDOWN": REFUSED,
            "KILL": REFUSED,
            "STOP LISTEN HTTP": REFUSED,
            "STOP LISTEN TCP": REFUSED,
            "START LISTEN QUERIES ALL": REFUSED,
            "RELOAD CONFIG": (DENIED, 1),  # UNSUPPORTED_METHOD
            "RELOAD USERS": REFUSED,
            "RELOAD DICTIONARIES": REFUSED,
            "RELOAD FUNCTIONS": REFUSED,
            "ENABLE FAILPOINT dummy_failpoint": REFUSED,
            "UNFREEZE WITH NAME 'x'": REFUSED,
            "JEMALLOC PURGE": REFUSED,
            "JEMALLOC FLUSH PROFILE": REFUSED,
            "DROP REPLICA 'r' FROM TABLE calls.cdr_by_slot": REFUSED,
            "SYNC REPLICA calls.cdr_by_slot": REFUSED,
            "SYNC FILE CACHE": REFUSED,
            "START THREAD FUZZER": REFUSED,
            "RESTART DISK default": REFUSED,
            "UNLOAD PRIMARY KEY": REFUSED,
            "SUSPEND FOR 1 SECOND": REFUSED,
        }.items()
    ),
    Try("introspection", "SELECT addressToLine(1)", (DENIED, 446)),
    Try("introspection switched on", "SET allow_introspection_functions = 1", (FIXED,)),
    Try("python switched on", "SET allow_python_table_function = 1", (FIXED, 392)),
    Try(
        "python switched on for one query",
        "SELECT * FROM python('x') SETTINGS allow_python_table_function = 1",
        (FIXED, 392, 446),
    ),
    Try("answers for other origins", "SET add_http_cors_header = 1", (FIXED,)),
    Try("another way to read files", "SET storage_file_read_method = 'mmap'", (FIXED,)),
    Try("template of a row", "SELECT 1 FORMAT Template SETTINGS format_template_row = '{out}/secret.txt'", (FIXED,)),
    Try(
        "template of the store",
        "SELECT 1 FORMAT Template SETTINGS format_template_resultset = '{dir}/store/status'",
        (FIXED,),
    ),
    Try("schema of a file", "SELECT 1 AS a FORMAT Protobuf SETTINGS format_schema = '{out}/secret.txt:x'", (FIXED,)),
    Try(
        "schema by a query",
        "SELECT 1 AS a FORMAT Protobuf SETTINGS format_schema = 'SELECT 1', format_schema_source = 'query'",
        (FIXED,),
    ),
    Try(
        "schema written to a file",
        "SELECT 1 AS a FORMAT Protobuf SETTINGS output_format_schema = '{out}/written'",
        (FIXED,),
    ),
    Try("errors written to a file", "SET input_format_record_errors_file_path = '{out}/written'", (FIXED,)),
    Try(
        "registry of schemas",
        f"SELECT 1 FORMAT AvroConfluent SETTINGS format_avro_schema_registry_url = {HTTP}",
        (FIXED,),
    ),
    Try("function of a model", "SELECT catboostEvaluate('{out}/secret.txt', 1)", (46,)),
    Try("function of artificial intelligence", "SELECT aiGenerate('x')", (36,)),
    Try(
        "replicas in parallel",
        "SELECT count() FROM remote('127.0.0.1:{port}', calls.v_cdr) SETTINGS enable_parallel_replicas = 1",
    ),
    Try(
        "guard's rights for a view", "CREATE VIEW calls.v_x DEFINER = callweave_guard SQL SECURITY DEFINER AS SELECT 1"
    ),
    Try("view without rights", "CREATE VIEW calls.v_x SQL SECURITY NONE AS SELECT 1"),
    Try("view of an address", f"CREATE VIEW calls.v_x AS SELECT * FROM url({HTTP}, 'TSV', 'a String')"),
    Try(
        "view that asks again and again",
        f"CREATE MATERIALIZED VIEW calls.v_x REFRESH EVERY 1 HOUR ENGINE = Memory AS SELECT * FROM url({HTTP}, 'TSV', 'a String')",
    ),
)
OTHERS: Final = ("writer", "reader", "analyst", "default")
DDL: Final = tuple(
    Try(name, sql, REFUSED, OTHERS)
    for name, sql in {
        "table": "CREATE TABLE calls.other (a UInt8) ENGINE = Memory",
        "drop a table": "DROP TABLE calls.cdr_by_slot",
        "drop a view": "DROP VIEW calls.v_cdr",
        "truncate": "TRUNCATE TABLE calls.cdr_by_slot",
        "rename": "RENAME TABLE calls.cdr_by_slot TO calls.v_all",
        "view": "CREATE VIEW calls.v_x AS SELECT * FROM calls.cdr_by_slot",
        "materialized view": "CREATE MATERIALIZED VIEW calls.v_x ENGINE = Memory AS SELECT * FROM calls.cdr_by_slot",
        "rights of a view": "ALTER TABLE calls.v_cdr MODIFY SQL SECURITY INVOKER",
        "query of a view": "ALTER TABLE calls.v_cdr MODIFY QUERY SELECT * FROM calls.cdr_by_slot",
        "change rows": "ALTER TABLE calls.cdr_by_slot UPDATE kind = '' WHERE 1",
        "delete rows": "DELETE FROM calls.cdr_by_slot WHERE 1",
        "freeze": "ALTER TABLE calls.cdr_by_slot FREEZE",
        "fetch": "ALTER TABLE calls.cdr_by_slot FETCH PARTITION 'acme' FROM '/x'",
        "move to a disk": "ALTER TABLE calls.cdr_by_slot MOVE PARTITION 'acme' TO DISK 'default'",
        "policy of storage": "ALTER TABLE calls.cdr_by_slot MODIFY SETTING storage_policy = 'default'",
        "attach a partition": "ALTER TABLE calls.cdr_by_slot ATTACH PARTITION 'acme' FROM calls.timelines_by_slot",
        "merges stopped": "SYSTEM STOP MERGES calls.cdr_by_slot",
        "logs": "SYSTEM FLUSH LOGS",
        "optimize": "OPTIMIZE TABLE calls.cdr_by_slot",
    }.items()
)
READING: Final = tuple(
    Try(name, sql, REFUSED, ("reader", "analyst", "default"))
    for name, sql in {
        "insert": "INSERT INTO calls.cdr_by_slot (vendor) VALUES ('x')",
        "insert into a view": "INSERT INTO calls.v_cdr (vendor) VALUES ('x')",
        "insert from a file": "INSERT INTO calls.cdr_by_slot (vendor) FROM INFILE '{out}/secret.txt' FORMAT LineAsString",
        "temporary table": "CREATE TEMPORARY TABLE t (a UInt8)",
        "write again": "SET readonly = 0",
        "kill others' queries": "KILL QUERY WHERE user != currentUser()",
    }.items()
)


@every([*NOT_OURS, *DDL, *READING])
async def test_no_statement_does_it(engine: EngineUnderTest, one: Try) -> None:
    await refused(engine, one)


@pytest.mark.parametrize(
    "file",
    [
        *("{out}/secret.txt", "/etc/passwd", "/proc/self/environ", "/proc/{pid}/environ", "{dir}/passwords.json"),
        *(
            "/proc/{pid}/task/{pid}/environ",
            "/proc/thread-self/environ",
            "/proc/self/root/etc/passwd",
        ),
    ],
)
async def test_an_insert_from_a_file_of_the_host_is_refused(engine: EngineUnderTest, file: str) -> None:
    """The kernel refuses it; without Landlock only the writer has the right, and could read the file."""
    table = f"{DATABASE}.schema_migrations (name)"
    for account in ("writer", "migrator") if engine.sandboxed else ("migrator",):
        answer = await engine.answer(account, f"INSERT INTO {table} FROM INFILE '{file}' FORMAT LineAsString")
        assert code(answer) == (NOT_HERE if engine.sandboxed else DENIED), answer
    engine.assert_untouched()


async def test_without_the_sandbox_only_the_writer_inserts_and_the_start_says_so(engine: EngineUnderTest) -> None:
    console = (engine.outside.parent / "clickhouse" / "console.log").read_text()
    may = {
        account
        for account in ACCOUNTS
        if code(await engine.answer(account, f"INSERT INTO {DATABASE}.cdr_by_slot (vendor) VALUES ('inserted')"))
        is None
    }
    assert may == ({"writer", "migrator"} if engine.sandboxed else {"writer"})
    assert ("this kernel has no Landlock" in console) is not engine.sandboxed
