"""No account of the embedded ClickHouse reads or writes a source or a table engine beyond the store."""

from typing import Final

from deploy.clickhouse.accounts import ENGINES
from tests.security.closed_engine import (
    ACCOUNTS,
    DATABASE,
    DENIED,
    HTTP,
    NO_DIRECTORY,
    EngineUnderTest,
    Try,
    code,
    every,
    refused,
)

# Table functions: every name of this engine is here or among the harmless ones, so that a new one fails the suite.

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


async def test_every_table_function_of_this_engine_is_looked_at(engine: EngineUnderTest) -> None:
    names = set((await engine.answer("migrator", "SELECT name FROM system.table_functions")).split())
    assert names == {*SOURCES, *ARITHMETIC, *OF_TABLES}


@every(
    [
        Try(f"table function {name}", f"SELECT * FROM {name}{arguments}", OTHER_CODES.get(name, (DENIED,)))
        for name, arguments in SOURCES.items()
    ]
)
async def test_no_source_is_read(engine: EngineUnderTest, one: Try) -> None:
    await refused(engine, one)


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
async def test_nothing_is_written_to_a_source(engine: EngineUnderTest, one: Try) -> None:
    await refused(engine, one)
    assert not (engine.outside.parent / "clickhouse" / "store" / "written").exists()


# Engines: every one that accounts.ENGINES does not name, whatever a new version brings.


async def test_every_other_table_engine_is_refused(engine: EngineUnderTest) -> None:
    names = (await engine.answer("migrator", "SELECT name FROM system.table_engines")).split()
    assert set(ENGINES) <= set(names)
    open_ones = [
        (name, account, answer)
        for name in set(names) - set(ENGINES)
        for account in ACCOUNTS
        for kind in (f"TABLE {DATABASE}.other", "TEMPORARY TABLE other")
        if code(answer := await engine.answer(account, f"CREATE {kind} (a UInt8) ENGINE = {name}")) != DENIED
    ]
    assert len(names) > 50
    assert not open_ones


async def test_every_database_engine_is_refused_outside_our_database(engine: EngineUnderTest) -> None:
    names = (await engine.answer("migrator", "SELECT name FROM system.database_engines")).split()
    names += ["Overlay", "Lazy", "MaterializedMySQL"]
    open_ones = [
        (name, account, answer)
        for name in names
        for account in ACCOUNTS
        if code(answer := await engine.answer(account, f"CREATE DATABASE other ENGINE = {name}")) != DENIED
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
    "Buffer of another's table": "Buffer('calls', 'cdr_by_slot', 1, 1, 1, 1, 1, 1, 1)",
    "Alias of another's table": "Alias('calls', 'cdr_by_slot')",
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
async def test_no_table_reaches_out(engine: EngineUnderTest, one: Try) -> None:
    await refused(engine, one)


@every([Try(f"temporary {name}", f"CREATE TEMPORARY TABLE o (a String) ENGINE = {e}") for name, e in REACH_OUT.items()])
async def test_no_temporary_table_reaches_out(engine: EngineUnderTest, one: Try) -> None:
    await refused(engine, one)
