"""The limits of every account of the embedded ClickHouse: no statement reaches a file, port or table of others.

Each statement goes to a real engine as every account that can log in. Afterwards a listener of the test must have heard
nothing and the files of the host must be as they were. The engine runs twice: in its sandbox, and as on a kernel that
has none, where the rights alone must do.
"""

import asyncio
import re
import sqlite3
import struct
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

import pytest

import deploy.clickhouse.launch
import deploy.process.child
from deploy.admin.tables import migrate_tables
from deploy.clickhouse import passwords, sandbox
from deploy.clickhouse.accounts import BUILT_IN, ENGINES, EngineRole
from deploy.clickhouse.launch import ClickHouseServer
from schemas.config.settings import Settings
from sinks.clickhouse import ClickHouse
from tests.support.clickhouse_at import ask

DATABASE: Final = "calls"
ACCOUNTS: Final = ("writer", "migrator", "reader", "default")
SECRET: Final = "what-the-host-keeps"
RAW: Final = "as-the-vendor-sent-it"
"""The value in every restricted column."""
NUMBER: Final = "+8613800001111"

WITHOUT_A_SANDBOX: Final = """
import sys
from deploy.clickhouse import sandbox
sandbox.version = lambda: 0
from deploy.clickhouse.__main__ import main
sys.exit(main())
"""

DENIED: Final = 497
"""The code of ACCESS_DENIED."""
READ_ONLY: Final = 164
FIXED: Final = 452
"""The code of SETTING_CONSTRAINT_VIOLATION."""
NO_DIRECTORY: Final = 1001
"""The code of the error when the engine has no current directory."""
NOT_HERE: Final = 76
"""The code of CANNOT_OPEN_FILE."""


class Heard(NamedTuple):
    """A port of the test, and the connections to it."""

    port: int
    received: list[bytes]


class House(NamedTuple):
    """A running engine, with files and ports that it must not reach."""

    server: ClickHouseServer
    heard: Heard
    outside: Path
    """A directory of the host with a secret in it."""
    sandboxed: bool

    def url(self, account: str) -> str:
        """Returns the address with the name and password of an account."""
        if account == "default":
            return f"http://{BUILT_IN}:{self.server.password(EngineRole.WRITER)}@127.0.0.1:{self.server.port}"
        role = EngineRole(account)
        return f"http://{self.server.account(role)}:{self.server.password(role)}@127.0.0.1:{self.server.port}"

    async def says(self, account: str, sql: str, session: str = "") -> str:
        """Returns the engine's answer; `{...}` in the statement are places of this environment."""
        for name, value in self.places.items():
            sql = sql.replace("{" + name + "}", value)
        url = self.url(account)
        return await (ask(url, sql, session_id=session) if session else ask(url, sql))

    @property
    def places(self) -> dict[str, str]:
        """Returns the values of the places in statements."""
        return {
            "port": str(self.heard.port),
            "pid": str(self.server.pid),
            "out": str(self.outside),
            "dir": str(self.outside.parent / "clickhouse"),
        }

    def assert_untouched(self) -> None:
        """Asserts that the host's files are unchanged and that nothing connected."""
        heard = self.heard.received.copy()
        self.heard.received.clear()
        assert not heard
        assert {path.name for path in self.outside.rglob("*")} == {"secret.txt", "secret.sqlite"}
        assert (self.outside / "secret.txt").read_text() == f"{SECRET}\n"


class Try(NamedTuple):
    """One statement, and the codes of the right refusals."""

    name: str
    sql: str
    codes: tuple[int, ...] = (DENIED,)
    accounts: tuple[str, ...] = ACCOUNTS


@pytest.fixture(scope="module", params=["in the sandbox", "without a sandbox"])
async def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    sandboxed = request.param == "in the sandbox"
    if sandboxed and not sandbox.version():
        pytest.skip("this kernel has no Landlock")
    place = tmp_path_factory.mktemp("closed")
    outside = place / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text(f"{SECRET}\n")
    with sqlite3.connect(outside / "secret.sqlite") as made:
        made.execute("CREATE TABLE t (a TEXT)")
        made.execute("INSERT INTO t VALUES (?)", (SECRET,))
    made.close()
    received: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(b"somebody connected")
        received.append(await reader.read(1 << 16))
        writer.close()

    listener = await asyncio.start_server(listen, "127.0.0.1", 0)
    heard = Heard(port=listener.sockets[0].getsockname()[1], received=received)
    with pytest.MonkeyPatch.context() as patch:
        if not sandboxed:
            patch.setattr(deploy.clickhouse.launch, "spawn", spawned_without_a_sandbox)
        async with listener, ClickHouseServer(place / "clickhouse", databases=DATABASE) as server:
            settings = Settings(clickhouse=server.settings())
            await migrate_tables(settings)
            async with ClickHouse(settings.clickhouse) as client:
                await client.insert_rows(
                    f"{DATABASE}.cdr_versions",
                    ("vendor", "from_number", "from_raw", "to_raw", "display_raw", "privacy_raw", "recording_url"),
                    [("acme", NUMBER, RAW, RAW, RAW, RAW, RAW)],
                )
            yield House(server=server, heard=heard, outside=outside, sandboxed=sandboxed)


async def spawned_without_a_sandbox(command: tuple[str, ...], *, output: Path) -> deploy.process.child.Child:
    """Starts the engine as on a kernel without Landlock."""
    python, _, _, *arguments = command
    return await deploy.process.child.spawn((python, "-c", WITHOUT_A_SANDBOX, *arguments), output=output)


def code(answer: str) -> int | None:
    """Returns the code of the error in an answer."""
    found = re.search(r"Code: (\d+)", answer)
    return int(found[1]) if found else None


async def refused(house: House, one: Try) -> None:
    """Asserts that every account is refused the statement with the right code, and without an effect."""
    answers = await asyncio.gather(*(house.says(account, one.sql) for account in one.accounts))
    wrong = {
        account: answer
        for account, answer in zip(one.accounts, answers, strict=True)
        if code(answer) not in one.codes or SECRET in answer or "root:" in answer
    }
    assert not wrong
    house.assert_untouched()


def every(tries: Iterable[Try]) -> pytest.MarkDecorator:
    """Returns a test case for each statement."""
    return pytest.mark.parametrize("one", [pytest.param(one, id=one.name) for one in tries])


# Table functions: every name of this engine is here or among the harmless ones, so that a new one fails the suite.

HTTP: Final = "'http://127.0.0.1:{port}/bucket/key'"
S3: Final = f"({HTTP}, 'key', 'secret', 'LineAsString', 'a String')"
LAKE: Final = f"({HTTP}, 'key', 'secret')"
AZURE: Final = "('http://127.0.0.1:{port}/account', 'box', 'path', 'name', 'a2V5', 'LineAsString', 'auto', 'a String')"
AZURE_LAKE: Final = "('http://127.0.0.1:{port}/account', 'box', 'path', 'name', 'a2V5')"
HDFS: Final = "('hdfs://127.0.0.1:{port}/path', 'LineAsString', 'a String')"
HDFS_LAKE: Final = "('hdfs://127.0.0.1:{port}/path')"
DATABASE_AT: Final = "('127.0.0.1:{port}', 'd', 't', 'u', 'p')"


def clustered(arguments: str) -> str:
    """Returns the same for a function that runs on a cluster."""
    return f"('default', {arguments[1:]}"


SOURCES: Final[dict[str, str]] = {
    "azureBlobStorage": AZURE,
    "azureBlobStorageCluster": clustered(AZURE),
    "bigquery": "('p', 'd', 't', access_token = 'x')",
    "cluster": "('default', system.one)",
    "clusterAllReplicas": "('default', system.one)",
    "cosn": S3,
    "deltaLake": LAKE,
    "deltaLakeAzure": AZURE_LAKE,
    "deltaLakeAzureCluster": clustered(AZURE_LAKE),
    "deltaLakeCluster": clustered(LAKE),
    "deltaLakeLocal": "('{out}')",
    "deltaLakeS3": LAKE,
    "deltaLakeS3Cluster": clustered(LAKE),
    "executable": "('cat', 'LineAsString', 'a String')",
    "file": "('{out}/secret.txt', 'LineAsString')",
    "fileCluster": "('default', '{out}/secret.txt', 'LineAsString', 'a String')",
    "filesystem": "('{out}')",
    "gcs": S3,
    "hdfs": HDFS,
    "hdfsCluster": clustered(HDFS),
    "hudi": LAKE,
    "hudiCluster": clustered(LAKE),
    "iceberg": LAKE,
    "icebergAzure": AZURE_LAKE,
    "icebergAzureCluster": clustered(AZURE_LAKE),
    "icebergCluster": clustered(LAKE),
    "icebergHDFS": HDFS_LAKE,
    "icebergHDFSCluster": clustered(HDFS_LAKE),
    "icebergLocal": "('{out}')",
    "icebergLocalCluster": "('default', '{out}')",
    "icebergS3": LAKE,
    "icebergS3Cluster": clustered(LAKE),
    "jdbc": "('jdbc:x', 'd', 't')",
    "mongodb": "('127.0.0.1:{port}', 'd', 't', 'u', 'p', 'a String')",
    "mysql": DATABASE_AT,
    "odbc": "('DSN=x', 'd', 't')",
    "oss": S3,
    "paimon": LAKE,
    "paimonAzure": AZURE_LAKE,
    "paimonAzureCluster": clustered(AZURE_LAKE),
    "paimonCluster": clustered(LAKE),
    "paimonHDFS": HDFS_LAKE,
    "paimonHDFSCluster": clustered(HDFS_LAKE),
    "paimonLocal": "('{out}')",
    "paimonS3": LAKE,
    "paimonS3Cluster": clustered(LAKE),
    "postgresql": DATABASE_AT,
    "python": "('x')",
    "redis": "('127.0.0.1:{port}', 'k', 'k String, v String')",
    "remote": "('127.0.0.1:{port}', system.one)",
    "remoteSecure": "('127.0.0.1:{port}', system.one)",
    "s3": S3,
    "s3Cluster": clustered(S3),
    "sqlite": "('{out}/secret.sqlite', 't')",
    "url": f"({HTTP}, 'LineAsString', 'a String')",
    "urlCluster": f"('default', {HTTP}, 'LineAsString', 'a String')",
    "ytsaurus": "('http://127.0.0.1:{port}', '//x', 't', 'a String')",
}
OTHER_CODES: Final[dict[str, tuple[int, ...]]] = {
    "file": (DENIED, NO_DIRECTORY),
    "fileCluster": (DENIED, NO_DIRECTORY),
    "python": (446,),  # FUNCTION_NOT_ALLOWED: by a setting that no client may change
    "sqlite": (DENIED, NO_DIRECTORY),
}
ARITHMETIC: Final = {
    *("SQLStandardValues", "format", "fuzzJSON", "fuzzQuery", "generateRandom", "generateSeries", "generate_series"),
    *("input", "null", "numbers", "numbers_mt", "primes", "values", "zeros", "zeros_mt"),
}
"""Functions that generate their rows."""
OF_TABLES: Final = {
    *("dictionary", "eval", "loop", "merge", "view", "viewExplain", "viewIfPermitted"),
    *("mergeTreeAnalyzeIndexes", "mergeTreeAnalyzeIndexesUUID", "mergeTreeCodecBlockCounts", "mergeTreeIndex"),
    *("mergeTreeProjection", "mergeTreeTextIndex", "prometheusQuery", "prometheusQueryRange", "timeSeriesData"),
    *("timeSeriesMetricFamilies", "timeSeriesMetrics", "timeSeriesSamples", "timeSeriesSelector", "timeSeriesTags"),
}
"""Functions that read tables of this engine; the restricted columns are tested below."""


async def test_every_table_function_of_this_engine_is_looked_at(house: House) -> None:
    names = set((await house.says("migrator", "SELECT name FROM system.table_functions")).split())
    assert names == {*SOURCES, *ARITHMETIC, *OF_TABLES}


@every(
    [
        Try(f"table function {name}", f"SELECT * FROM {name}{arguments}", OTHER_CODES.get(name, (DENIED,)))
        for name, arguments in SOURCES.items()
    ]
)
async def test_no_source_is_read(house: House, one: Try) -> None:
    await refused(house, one)


INTO: Final = {
    "a file": ("file('{out}/written', 'TSV', 'a String')", (DENIED, NO_DIRECTORY)),
    "a file of the store": ("file('{dir}/store/written', 'TSV', 'a String')", (DENIED, NO_DIRECTORY)),
    "an address": (f"url({HTTP}, 'TSV', 'a String')", (DENIED,)),
    "another server": ("remote('127.0.0.1:{port}', 'd.t', 'u', 'p')", (DENIED,)),
    "s3": (f"s3({HTTP}, 'key', 'secret', 'TSV', 'a String')", (DENIED,)),
    "azure": (f"azureBlobStorage{AZURE}", (DENIED,)),
    "hdfs": (f"hdfs{HDFS}", (DENIED,)),
    "mysql": (f"mysql{DATABASE_AT}", (DENIED,)),
    "postgresql": (f"postgresql{DATABASE_AT}", (DENIED,)),
    "a program": ("executable('cat', 'TSV', 'a String')", (DENIED,)),
}


@every(
    [Try(f"insert into {name}", f"INSERT INTO FUNCTION {to} SELECT 'x'", codes) for name, (to, codes) in INTO.items()]
)
async def test_nothing_is_written_to_a_source(house: House, one: Try) -> None:
    await refused(house, one)
    assert not (house.outside.parent / "clickhouse" / "store" / "written").exists()


# Engines: every one that accounts.ENGINES does not name, whatever a new version brings.


async def test_every_other_table_engine_is_refused(house: House) -> None:
    names = (await house.says("migrator", "SELECT name FROM system.table_engines")).split()
    assert set(ENGINES) <= set(names)
    open_ones = [
        (name, account, answer)
        for name in set(names) - set(ENGINES)
        for account in ACCOUNTS
        for kind in (f"TABLE {DATABASE}.other", "TEMPORARY TABLE other")
        if code(answer := await house.says(account, f"CREATE {kind} (a UInt8) ENGINE = {name}")) != DENIED
    ]
    assert len(names) > 50
    assert not open_ones


async def test_every_database_engine_is_refused_outside_our_database(house: House) -> None:
    names = (await house.says("migrator", "SELECT name FROM system.database_engines")).split()
    names += ["Overlay", "Lazy", "MaterializedMySQL"]
    open_ones = [
        (name, account, answer)
        for name in names
        for account in ACCOUNTS
        if code(answer := await house.says(account, f"CREATE DATABASE other ENGINE = {name}")) != DENIED
    ]
    assert len(names) > 10
    assert not open_ones


REACH_OUT: Final = {
    "File": "File(TSV, '{out}/written')",
    "URL": f"URL({HTTP}, TSV)",
    "Python": "Python('x')",
    "S3": f"S3({HTTP}, 'key', 'secret', 'TSV')",
    "S3Queue": f"S3Queue({HTTP}, 'key', 'secret', 'TSV') SETTINGS mode = 'unordered'",
    "FileLog": "FileLog('{out}', 'LineAsString')",
    "Kafka": "Kafka('127.0.0.1:{port}', 't', 'g', 'TSV')",
    "MySQL": "MySQL('127.0.0.1:{port}', 'd', 't', 'u', 'p')",
    "PostgreSQL": "PostgreSQL('127.0.0.1:{port}', 'd', 't', 'u', 'p')",
    "MongoDB": "MongoDB('127.0.0.1:{port}', 'd', 't', 'u', 'p')",
    "Redis": "Redis('127.0.0.1:{port}') PRIMARY KEY a",
    "SQLite": "SQLite('{out}/secret.sqlite', 't')",
    "Distributed": "Distributed('default', 'system', 'one')",
    "Remote": "Remote('127.0.0.1:{port}', 'd', 't')",
    "Merge": "Merge('system', '.*')",
    "Buffer of another's table": "Buffer('calls', 'cdr_versions', 1, 1, 1, 1, 1, 1, 1)",
    "Alias of another's table": "Alias('calls', 'cdr_versions')",
    "Dictionary": "Dictionary('x')",
    "Join on the disk": "Join(ANY, LEFT, a) SETTINGS persistent = 1",
    "Set on the disk": "Set SETTINGS persistent = 1",
    "Log": "Log",
    "StripeLog": "StripeLog",
    "TinyLog": "TinyLog",
    "EmbeddedRocksDB": "EmbeddedRocksDB(0, '{out}/rocks') PRIMARY KEY a",
    "Executable": "Executable('cat', TSV)",
    "ExecutablePool": "ExecutablePool('cat', TSV)",
    "ReplicatedMergeTree": "ReplicatedMergeTree('/x', 'r') ORDER BY a",
    "IcebergLocal": "IcebergLocal('{out}')",
    "KeeperMap": "KeeperMap('/x') PRIMARY KEY a",
    "QueryRunner": "QueryRunner",
}


@every([Try(f"table of {name}", f"CREATE TABLE calls.other (a String) ENGINE = {e}") for name, e in REACH_OUT.items()])
async def test_no_table_reaches_out(house: House, one: Try) -> None:
    await refused(house, one)


@every([Try(f"temporary {name}", f"CREATE TEMPORARY TABLE o (a String) ENGINE = {e}") for name, e in REACH_OUT.items()])
async def test_no_temporary_table_reaches_out(house: House, one: Try) -> None:
    await refused(house, one)


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
    Try("dictionary from a table", DICTIONARY + "CLICKHOUSE(TABLE 'cdr_versions' DB 'calls'))"),
    Try("dictionary from another server", DICTIONARY + "CLICKHOUSE(HOST '127.0.0.1' PORT {port} TABLE 't'))"),
    Try("backup to a file", "BACKUP TABLE calls.cdr_versions TO File('{out}/b')"),
    Try("backup of a view", "BACKUP TABLE calls.v_cdr TO File('{out}/b')"),
    Try("backup to a disk", "BACKUP DATABASE calls TO Disk('default', 'b')"),
    Try("backup to s3", f"BACKUP TABLE calls.cdr_versions TO S3({HTTP}, 'k', 's')"),
    Try("backup to memory", "BACKUP TABLE calls.cdr_versions TO Memory('b')"),
    Try("restore from a file", "RESTORE TABLE calls.cdr_versions FROM File('{out}/b')"),
    Try("restore from a disk", "RESTORE DATABASE calls AS other FROM Disk('default', 'b')"),
    Try("restore from s3", f"RESTORE TABLE calls.cdr_versions FROM S3({HTTP}, 'k', 's')"),
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
        accounts=("writer", "reader", "default"),
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
    Try("row policy", "CREATE ROW POLICY x ON calls.cdr_versions USING 1 TO ALL"),
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
            "DROP REPLICA 'r' FROM TABLE calls.cdr_versions": REFUSED,
            "SYNC REPLICA calls.cdr_versions": REFUSED,
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
OTHERS: Final = ("writer", "reader", "default")
DDL: Final = tuple(
    Try(name, sql, REFUSED, OTHERS)
    for name, sql in {
        "table": "CREATE TABLE calls.other (a UInt8) ENGINE = Memory",
        "drop a table": "DROP TABLE calls.cdr_versions",
        "drop a view": "DROP VIEW calls.v_cdr",
        "truncate": "TRUNCATE TABLE calls.cdr_versions",
        "rename": "RENAME TABLE calls.cdr_versions TO calls.v_all",
        "view": "CREATE VIEW calls.v_x AS SELECT * FROM calls.cdr_versions",
        "materialized view": "CREATE MATERIALIZED VIEW calls.v_x ENGINE = Memory AS SELECT * FROM calls.cdr_versions",
        "rights of a view": "ALTER TABLE calls.v_cdr MODIFY SQL SECURITY INVOKER",
        "query of a view": "ALTER TABLE calls.v_cdr MODIFY QUERY SELECT * FROM calls.cdr_versions",
        "change rows": "ALTER TABLE calls.cdr_versions UPDATE kind = '' WHERE 1",
        "delete rows": "DELETE FROM calls.cdr_versions WHERE 1",
        "freeze": "ALTER TABLE calls.cdr_versions FREEZE",
        "fetch": "ALTER TABLE calls.cdr_versions FETCH PARTITION 'acme' FROM '/x'",
        "move to a disk": "ALTER TABLE calls.cdr_versions MOVE PARTITION 'acme' TO DISK 'default'",
        "policy of storage": "ALTER TABLE calls.cdr_versions MODIFY SETTING storage_policy = 'default'",
        "attach a partition": "ALTER TABLE calls.cdr_versions ATTACH PARTITION 'acme' FROM calls.timelines_versions",
        "merges stopped": "SYSTEM STOP MERGES calls.cdr_versions",
        "logs": "SYSTEM FLUSH LOGS",
        "optimize": "OPTIMIZE TABLE calls.cdr_versions",
    }.items()
)
READING: Final = tuple(
    Try(name, sql, REFUSED, ("reader", "default"))
    for name, sql in {
        "insert": "INSERT INTO calls.cdr_versions (vendor) VALUES ('x')",
        "insert into a view": "INSERT INTO calls.v_cdr (vendor) VALUES ('x')",
        "insert from a file": "INSERT INTO calls.cdr_versions (vendor) FROM INFILE '{out}/secret.txt' FORMAT LineAsString",
        "temporary table": "CREATE TEMPORARY TABLE t (a UInt8)",
        "write again": "SET readonly = 0",
        "kill others' queries": "KILL QUERY WHERE user != currentUser()",
    }.items()
)


@every([*NOT_OURS, *DDL, *READING])
async def test_no_statement_does_it(house: House, one: Try) -> None:
    await refused(house, one)


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
async def test_an_insert_from_a_file_of_the_host_is_refused(house: House, file: str) -> None:
    """The kernel refuses it; without Landlock only the writer has the right, and could read the file."""
    table = f"{DATABASE}.schema_migrations (name)"
    for account in ("writer", "migrator") if house.sandboxed else ("migrator",):
        answer = await house.says(account, f"INSERT INTO {table} FROM INFILE '{file}' FORMAT LineAsString")
        assert code(answer) == (NOT_HERE if house.sandboxed else DENIED), answer
    house.assert_untouched()


async def test_without_the_sandbox_only_the_writer_inserts_and_the_start_says_so(house: House) -> None:
    console = (house.outside.parent / "clickhouse" / "console.log").read_text()
    may = {
        account
        for account in ACCOUNTS
        if code(await house.says(account, f"INSERT INTO {DATABASE}.cdr_versions (vendor) VALUES ('inserted')")) is None
    }
    assert may == ({"writer", "migrator"} if house.sandboxed else {"writer"})
    assert ("this kernel has no Landlock" in console) is not house.sandboxed


# Restricted columns, for accounts that may read the views.

ONE_LETTER: Final = "{'calls.cdr_versions': 'throwIf(from_raw LIKE \\'as%\\') = 0'}"
NOTHING_ELSE: Final = (None, DENIED, READ_ONLY, FIXED, 36, 43, 47, 60, 62, 344, 582, 636, 727, NO_DIRECTORY)
BEHIND_THE_VIEWS: Final = {
    "the table": "SELECT from_raw FROM calls.cdr_versions",
    "the view with everything": "SELECT from_raw FROM calls.cdr",
    "a column that the view has not": "SELECT from_raw FROM calls.v_cdr",
    "merge": "SELECT * FROM merge('calls', '.*') FORMAT JSONEachRow",
    "merge of one table": "SELECT from_raw FROM merge('calls', '^cdr_versions$')",
    "view": "SELECT * FROM view(SELECT * FROM calls.cdr_versions)",
    "viewIfPermitted": "SELECT * FROM viewIfPermitted(SELECT from_raw FROM calls.cdr_versions ELSE null('from_raw String'))",
    "viewExplain": "SELECT * FROM viewExplain('EXPLAIN', '', (SELECT from_raw FROM calls.cdr_versions))",
    "loop": "SELECT * FROM loop('calls', 'cdr_versions') LIMIT 1",
    "eval": "SELECT * FROM eval('SELECT from_raw FROM calls.cdr_versions') SETTINGS allow_experimental_eval_table_function = 1",
    "index of a table": "SELECT * FROM mergeTreeIndex('calls', 'cdr_versions', with_minmax = true)",
    "analysis of indexes": "SELECT * FROM mergeTreeAnalyzeIndexes('calls', 'cdr_versions', from_raw = 'x')",
    "projection": "SELECT * FROM mergeTreeProjection('calls', 'cdr_versions', 'p')",
    "blocks of a table": "SELECT * FROM mergeTreeCodecBlockCounts('calls', 'cdr_versions')",
    "text index": "SELECT * FROM mergeTreeTextIndex('calls', 'cdr_versions', 'i')",
    "time series": "SELECT * FROM timeSeriesData('calls', 'cdr_versions')",
    "dictionary": "SELECT * FROM dictionary('calls.cdr_versions')",
    "joinGet": "SELECT joinGet('calls.cdr_versions', 'from_raw', 'k')",
    "in": "SELECT 'x' IN calls.cdr_versions",
    "a filter behind the view": f"SELECT count() FROM calls.v_cdr SETTINGS additional_table_filters = {ONE_LETTER}",
    "a filter after another profile": f"SELECT count() FROM calls.v_cdr SETTINGS profile = 'default', additional_table_filters = {ONE_LETTER}",
    "a filter after the owner's profile": f"SELECT count() FROM calls.v_cdr SETTINGS profile = 'owner', additional_table_filters = {ONE_LETTER}",
    "explain": "EXPLAIN SELECT from_raw FROM calls.cdr_versions",
    "explain of a query tree": "EXPLAIN QUERY TREE SELECT from_raw FROM calls.cdr_versions",
    "explain of an estimate": "EXPLAIN ESTIMATE SELECT from_raw FROM calls.cdr_versions WHERE from_raw = 'x'",
    "explain of a view": "EXPLAIN actions = 1, indexes = 1 SELECT * FROM calls.v_cdr",
    "a schema by a query": "SELECT 1 AS a FORMAT Protobuf SETTINGS format_schema_source = 'query', format_schema = 'SELECT from_raw FROM calls.cdr_versions'",
    "a value in an error": "SELECT toUInt8(from_raw) FROM calls.cdr_versions",
    "queries of others": "SELECT * FROM system.query_log FORMAT JSONEachRow",
    "queries that run": "SHOW PROCESSLIST",
    "logins": "SELECT * FROM system.session_log FORMAT JSONEachRow",
    "parts": "SELECT * FROM system.parts FORMAT JSONEachRow",
    "users": "SELECT * FROM system.users",
    "a table's statement": "SHOW CREATE TABLE calls.cdr_versions",
    "a table's columns": "DESCRIBE TABLE calls.cdr_versions",
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
async def test_restricted_columns_stay_behind_the_views(house: House, account: str, sql: str) -> None:
    answer = await house.says(account, sql)
    assert code(answer) in NOTHING_ELSE, answer
    assert RAW not in answer
    assert "Value passed to 'throwIf'" not in answer
    assert (await house.says("writer", f"SELECT count() FROM {DATABASE}.cdr_versions WHERE from_raw = '{RAW}'")) == "1"


async def test_the_reader_sees_the_views_and_what_is_not_restricted(house: House) -> None:
    assert NUMBER in await house.says("reader", "SELECT from_number FROM calls.v_cdr")
    tables = (await house.says("reader", "SELECT name FROM system.tables WHERE database = 'calls'")).split()
    assert tables
    assert all(name.startswith("v_") for name in tables)
    columns = await house.says(
        "reader", "SELECT name, comment FROM system.columns WHERE table NOT LIKE 'v\\_%' AND database = 'calls'"
    )
    assert columns == ""
    for table in (
        "system.parts",
        "system.data_skipping_indices",
        "information_schema.columns",
        "information_schema.tables",
    ):
        assert "_versions" not in await house.says("reader", f"SELECT * FROM {table} FORMAT JSONEachRow")


async def test_no_settings_of_a_session_outlive_another_profile(house: House) -> None:
    session = "closed"
    await house.says("reader", "SET profile = 'default'", session=session)
    for one in ("readonly = 0", "workload = 'pipeline'", f"additional_table_filters = {ONE_LETTER}"):
        assert code(await house.says("reader", f"SET {one}", session=session)) in {READ_ONLY, FIXED}, one


async def test_another_accounts_session_and_cached_answer_are_not_shared(house: House) -> None:
    session = "the-writers-own"
    await house.says("writer", "CREATE TEMPORARY TABLE mine AS SELECT 'as-the-vendor-sent-it' AS a", session=session)
    assert RAW in await house.says("writer", "SELECT a FROM mine", session=session)
    assert code(await house.says("reader", "SELECT a FROM mine", session=session)) == 60
    cached = "SELECT from_raw FROM calls.cdr_versions SETTINGS use_query_cache = 1, query_cache_share_between_users = 1"
    assert RAW in await house.says("writer", cached)
    assert RAW in await house.says("writer", cached)
    assert code(await house.says("reader", cached)) == DENIED


async def test_nobody_stops_merges_without_the_right(house: House) -> None:
    """Without a table the engine answers with success, and skips every table that the account has no right for."""
    for account in ("writer", "reader", "default"):
        await house.says(account, "SYSTEM STOP MERGES")
    for vendor in ("one", "two"):
        await house.says("writer", f"INSERT INTO calls.cdr_versions (vendor, call_key) VALUES ('merged', '{vendor}')")
    assert (
        code(
            await house.says("migrator", "OPTIMIZE TABLE calls.cdr_versions FINAL SETTINGS optimize_throw_if_noop = 1")
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
async def test_tools_read_the_metadata_as_the_reader(house: House, name: str) -> None:
    answer = await house.says("reader", f"SELECT count() > 0 FROM system.{name}")
    assert answer in {"1", "true"}, answer


@pytest.mark.parametrize("name", ["schemata", "tables", "columns", "views"])
async def test_the_reader_reads_the_information_schema(house: House, name: str) -> None:
    where = "" if name == "schemata" else "WHERE table_schema = 'calls'"
    answer = await house.says("reader", f"SELECT count() > 0 FROM information_schema.{name} {where}")
    assert answer in {"1", "true"}, answer


# Logging in.


@pytest.mark.parametrize(
    "account", ["callweave", "callweave_migrator", "callweave_reader", "callweave_guard", "default", "", "nobody"]
)
@pytest.mark.parametrize("password", ["", "wrong", "{}", "callweave"])
async def test_nobody_logs_in_without_the_password(house: House, account: str, password: str) -> None:
    at = f"127.0.0.1:{house.server.port}"
    for answer in (
        await ask(f"http://{account}:{password}@{at}" if account else f"http://{at}", "SELECT 'let in'"),
        await ask(f"http://{at}", "SELECT 'let in'", user=account, password=password),
        await ask(
            f"http://{at}", "SELECT 'let in'", headers={"X-ClickHouse-User": account, "X-ClickHouse-Key": password}
        ),
    ):
        assert "let in" not in answer
        assert code(answer) in {194, 516}, answer
    assert await hello(house.server.tcp_port, account, password) in {194, 516}


async def test_the_native_protocol_lets_in_with_the_password(house: House) -> None:
    """Without this the refusals above could be faults of the tests."""
    assert (
        await hello(
            house.server.tcp_port, house.server.account(EngineRole.READER), house.server.password(EngineRole.READER)
        )
        == 0
    )


async def test_the_guards_password_is_in_no_file(house: House) -> None:
    kept = passwords.read(house.outside.parent / "clickhouse")
    assert set(kept) == {house.server.account(role) for role in EngineRole}


async def hello(port: int, user: str, password: str) -> int:
    """Returns the code of the answer to a login over the native protocol, 0 for success."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    text = [bytes([len(one)]) + one.encode() for one in ("test", "", user, password)]
    writer.write(b"\x00" + text[0] + bytes([24, 1]) + b"\xa2\xa8\x03" + text[1] + text[2] + text[3])
    await writer.drain()
    kind = (await reader.readexactly(1))[0]
    answer = 0 if kind == 0 else struct.unpack("<i", await reader.readexactly(4))[0]
    writer.close()
    return int(answer)


# The Host header must name this machine.

HERE: Final = (200,)
NOWHERE: Final = (400, 404)
HOSTS: Final = {
    "by number": ("Host: 127.0.0.1:{port}", HERE),
    "by name": ("Host: localhost:{port}", HERE),
    "by number without the port": ("Host: 127.0.0.1", HERE),
    "by number of version six": ("Host: [::1]:{port}", HERE),
    "a foreign name": ("Host: evil.example", NOWHERE),
    "a foreign name with our port": ("Host: evil.example:{port}", NOWHERE),
    "a foreign name that begins like ours": ("Host: 127.0.0.1.evil.example:{port}", NOWHERE),
    "a foreign name that ends like ours": ("Host: evil.localhost:{port}", NOWHERE),
    "a name with a dot behind": ("Host: localhost.:{port}", NOWHERE),
    "a user before the name": ("Host: evil.example@127.0.0.1:{port}", NOWHERE),
    "ours as the user before a foreign name": ("Host: 127.0.0.1@evil.example", NOWHERE),
    "a port that is none": ("Host: 127.0.0.1:evil.example", NOWHERE),
    "a path behind the name": ("Host: 127.0.0.1/evil.example", NOWHERE),
    "a foreign name in another header": ("Host: evil.example\r\nX-Forwarded-Host: 127.0.0.1", NOWHERE),
    "two names": ("Host: evil.example\r\nHost: 127.0.0.1:{port}", (*HERE, *NOWHERE)),
    "nothing": ("X-Host: 127.0.0.1", NOWHERE),
    "an empty name": ("Host:", NOWHERE),
    "another number of this machine": ("Host: 127.0.0.2:{port}", NOWHERE),
    "every number": ("Host: 0.0.0.0:{port}", NOWHERE),
}


@pytest.mark.parametrize(("header", "status"), [pytest.param(*one, id=name) for name, one in HOSTS.items()])
@pytest.mark.parametrize("path", ["/ping", "/?query=SELECT%201", "/play", "/dashboard", "/query?query=SELECT%201"])
@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/1.0"])
async def test_a_foreign_host_finds_nothing(
    house: House, header: str, status: tuple[int, ...], path: str, version: str
) -> None:
    who = f"user={house.server.account(EngineRole.READER)}&password={quote(house.server.password(EngineRole.READER))}"
    target = f"{path}&{who}" if "?" in path else path
    got, body = await raw(house.server.port, f"GET {target} {version}\r\n{header}\r\nConnection: close\r\n\r\n")
    assert got in status, body


@pytest.mark.parametrize("name", ["LOCALHOST", "LocalHost"])
async def test_a_name_in_capitals_is_ours_or_nobodys(house: House, name: str) -> None:
    got, _ = await raw(house.server.port, f"GET /ping HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n")
    assert got in {200, 404}


@pytest.mark.parametrize("target", ["http://127.0.0.1/ping", "http://evil.example/ping", "//127.0.0.1/ping"])
async def test_a_whole_address_as_the_target_does_not_stand_for_the_host(house: House, target: str) -> None:
    got, _ = await raw(house.server.port, f"GET {target} HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
    assert got in NOWHERE


@pytest.mark.parametrize(
    "path",
    [
        "/webterminal",
        "/js/uplot.js",
        "/binary",
        "/merges",
        "/jemalloc",
        "/prometheus",
        "/metrics",
        "/write",
        "/api/v1/query",
    ],
)
async def test_no_other_page_of_the_engine_is_served(house: House, path: str) -> None:
    got, _ = await raw(house.server.port, f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
    assert got == 404


async def raw(port: int, request: str) -> tuple[int, str]:
    """Returns the status and the body of the answer to these bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request.replace("{port}", str(port)).encode())
    answer = (await reader.read(-1)).decode(errors="replace")
    writer.close()
    status = re.match(r"HTTP/1\.[01] (\d+)", answer)
    return int(status[1]) if status else 0, answer
