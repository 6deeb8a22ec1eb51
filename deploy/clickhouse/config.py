"""The engine's configuration files, `config.xml` and `users.xml`, as text. Pure.

They contain no password: at each login the engine asks the server in `login`. Both are written again at each start.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

import msgspec

from deploy.clickhouse.accounts import BUILT_IN, GUARD, READING, EngineAccount, EngineRole, grants

RESERVE_BYTES: Final = 128 << 20
"""The engine keeps so much of its disk free: below it no insert and no merge begins."""
LOG: Final = "engine.log"
_LOGIN: Final = "callweave"
_LOG_DAYS: Final = 3
_LOG_EVERY_MS: Final = 10_000
"""The time between two writes of each log table: an insert costs as much as it does for calls, however small it is."""
_METRICS_EVERY_S: Final = 10
"""The time between two looks at what is only counted for people: memory, disks, parts."""
_LOG_TABLES: Final = ("query_log", "session_log", "part_log")
_READING_SHARE: Final = 0.6
"""The share of the memory for all readers together: beyond it the largest of their queries is ended."""
_READING_BOUND: Final = 0.8
"""The largest share of one reader: a query that grows in large steps is faster than the scheduler that ends it."""
_ALL_SHARE: Final = 0.9
_NICE_READING: Final = 5
"""The nice value of readers' threads: inserts and the machine's other processes go first."""

# The engine's defaults are for a server with hundreds of gigabytes; these keep the process near its smallest size.
_SMALL: Final[Mapping[str, int | str]] = {
    "mark_cache_size": 64 << 20,
    "index_mark_cache_size": 16 << 20,
    "primary_index_cache_size": 64 << 20,
    "uncompressed_cache_size": 0,
    "query_condition_cache_size": 8 << 20,
    "compiled_expression_cache_size": 16 << 20,
    "parquet_metadata_cache_size": 8 << 20,
    "vector_similarity_index_cache_size": 8 << 20,
    "text_index_tokens_cache_size": 8 << 20,
    "text_index_header_cache_size": 8 << 20,
    "text_index_postings_cache_size": 16 << 20,
}

# Lengths of strings stand beside their bytes, not in files of their own: a look-up of all columns of a call opens 138
# files instead of 166, and a call takes 1.7 bytes less. Parts are merged ten at a time and not five, which saves a
# quarter of the CPU that a stream of small inserts takes; a young day then has about ten parts more.
_STORED: Final[Mapping[str, int | str]] = {
    "string_serialization_version": "single_stream",
    "merge_selector_base": 10,
}

# A web page that reaches this address by a name of its own (DNS rebinding) sends that name as Host, and finds no
# handler.
_HERE: Final = r"regex:^(127\.0\.0\.1|localhost|\[::1\])(:[0-9]+)?$"
_HANDLERS: Final = (
    # The address that load balancers and people try first.
    ("/", "static", "<status>200</status><response_content>Ok.&#10;</response_content>"),
    ("/ping", "ping", ""),
    ("/replicas_status", "replicas_status", ""),
    ("/play", "play", ""),
    ("/dashboard", "dashboard", ""),
    ("regex:^/(query)?$", "dynamic_query_handler", "<query_param_name>query</query_param_name>"),
)

_EVERYBODY: Final[Mapping[str, int | str]] = {
    # The engine answers `compress=1` in ZSTD otherwise, which the JDBC driver cannot read.
    "network_compression_method": "LZ4",
    # clickhouse-local's own defaults are for a person at a terminal.
    "implicit_select": 0,
    "storage_file_read_method": "pread",
    "allow_introspection_functions": 0,
    # Only read-only queries: a plain POST goes on, so that an insert whose client has gone is complete.
    "cancel_http_readonly_queries_on_client_close": 1,
    # `SELECT * FROM Python(x)` ends the process of chDB 4.4, whatever the account.
    "allow_python_table_function": 0,
    "add_http_cors_header": 0,
}
_FIXED: Final = (
    "allow_python_table_function",
    "allow_introspection_functions",
    "storage_file_read_method",
    "add_http_cors_header",
    # These formats read and write files and contact servers without any right: schemas, templates, lists of errors.
    *("format_schema", "format_template_resultset", "format_template_row", "output_format_schema"),
    *("input_format_record_errors_file_path", "format_avro_schema_registry_url"),
    "merge_tree_disk",
    "merge_tree_storage_policy",
)
"""Settings that no client may change."""

_REACHES_BEHIND_VIEWS: Final = ("additional_table_filters",)
"""A filter on the table behind a view could find out restricted columns, one character after the other."""


class EngineConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The ports, login server, memory and directory of one engine."""

    http_port: int
    tcp_port: int
    login_port: int
    login_path: str
    """A secret of this start, so that no other process of this machine can use the login server."""
    memory_bytes: int
    directory: Path = Path()
    """The directory of the store; absolute when the engine starts in another one."""


def server_config(engine: EngineConfig) -> str:
    """Returns the text of `config.xml`."""
    rows = [
        _tag("http_port", engine.http_port),
        _tag("tcp_port", engine.tcp_port),
        _tag("listen_host", "127.0.0.1"),
        _tag("users_config", "users.xml"),
        # clickhouse-local shows the file system as tables of its default database; no query may reach that one.
        _tag("default_database", "default_local"),
        _tag("display_name", "callweave"),
        _tag("max_server_memory_usage", engine.memory_bytes),
        _tag("asynchronous_metrics_update_period_s", _METRICS_EVERY_S),
        *(_tag(name, value) for name, value in _SMALL.items()),
        f"<merge_tree>{_tags(_STORED)}</merge_tree>",
        _logging(engine.directory),
        "<access_control_improvements>"
        + _tag("select_from_system_db_requires_grant", "true")
        + _tag("select_from_information_schema_requires_grant", "true")
        + _tag("table_engines_require_grant", "true")
        + _tag("on_cluster_queries_require_cluster_grant", "true")
        + "</access_control_improvements>",
        f"<storage_configuration><disks><default>{_tag('keep_free_space_bytes', RESERVE_BYTES)}</default></disks></storage_configuration>",
        *(_log_table(name) for name in _LOG_TABLES),
        "<remote_servers><default><shard><replica>"
        + _tag("host", "127.0.0.1")
        + _tag("port", engine.tcp_port)
        + "</replica></shard></default></remote_servers>",
        f"<http_authentication_servers><{_LOGIN}>"
        + _tag("uri", f"http://127.0.0.1:{engine.login_port}{engine.login_path}")
        + _tag("connection_timeout_ms", 5000)
        + _tag("receive_timeout_ms", 5000)
        + _tag("send_timeout_ms", 5000)
        + _tag("max_tries", 2)
        + f"</{_LOGIN}></http_authentication_servers>",
        # Otherwise the engine allows every web page to query it.
        "<http_options_response><header>"
        + _tag("name", "Allow")
        + _tag("value", "GET, HEAD, POST, OPTIONS")
        + "</header></http_options_response>",
        "<http_handlers>" + "".join(_handler(*one) for one in _HANDLERS) + "</http_handlers>",
    ]
    return _document(rows)


def users_config(accounts: Iterable[EngineAccount], databases: str, *, memory_bytes: int, sandboxed: bool) -> str:
    """Returns the text of `users.xml`: profiles and users; the user `default` has the rights for the engine's start."""
    fixed = "".join(f"<{name}><const/></{name}>" for name in _FIXED)
    reading: Mapping[str, int | str] = {
        "readonly": 2,
        "workload": "reading",
        "os_threads_nice_value_query": _NICE_READING,
        "max_memory_usage_for_user": int(memory_bytes * _READING_BOUND),
    }
    kept = "".join(f"<{name}><const/></{name}>" for name in (*reading, *_REACHES_BEHIND_VIEWS))
    profiles = (
        f"<default>{_tags(_EVERYBODY)}<constraints>{fixed}</constraints></default>"
        f"<reader>{_tags(reading)}<constraints>{kept}</constraints></reader>"
        f"<owner>{_tag('workload', 'pipeline')}</owner>"
    )
    users = [
        _user(BUILT_IN, "default", (*_OWN_START, *grants(EngineRole.READER, databases, sandboxed=sandboxed))),
        _user(GUARD, "owner", ("SYSTEM MERGES, SYSTEM FLUSH LOGS, OPTIMIZE, KILL QUERY ON *.*", "SELECT ON system.*")),
        *(
            _user(
                account.name,
                "reader" if account.role in READING else "owner",
                grants(account.role, databases, sandboxed=sandboxed),
            )
            for account in accounts
        ),
    ]
    return _document([f"<profiles>{profiles}</profiles>", f"<users>{''.join(users)}</users>"])


def start_statements(memory_bytes: int) -> tuple[str, ...]:
    """Returns the statements that the engine runs before it listens: readers share a part of the memory.

    A query with `SETTINGS reserve_memory = '500M'` waits until so much is free; when readers want more than their part,
    the largest of their queries is ended.
    """
    everybody, reading = int(memory_bytes * _ALL_SHARE), int(memory_bytes * _READING_SHARE)
    return (
        "CREATE RESOURCE IF NOT EXISTS memory (MEMORY RESERVATION)",
        f"CREATE OR REPLACE WORKLOAD all SETTINGS max_memory = {everybody}",
        "CREATE OR REPLACE WORKLOAD pipeline IN all",
        f"CREATE OR REPLACE WORKLOAD reading IN all SETTINGS max_memory = {reading}",
    )


_OWN_START: Final = (
    "SYSTEM LISTEN, CREATE RESOURCE, DROP RESOURCE, CREATE WORKLOAD, DROP WORKLOAD ON *.*",
    "CREATE DATABASE ON default_local.*",
)


def _logging(directory: Path) -> str:
    # These loggers quote statements, and statements contain phone numbers; their errors reach the client in any case.
    # `ThreadStatus` logs for each thread that the sandbox hides its scheduler statistics.
    quoting = (
        "ThreadStatus",
        *("executeQuery", "DynamicQueryHandler", "HTTPHandler", "TCPHandler", "TCP-Session", "HTTP-Session"),
        *("MutatePlainMergeTreeTask", "virtual bool DB::MutatePlainMergeTreeTask::executeStep()"),
        *("MergeTreeBackgroundExecutor", "RefreshTask"),
    )
    # These log several times a second that a pool of two threads gives one kind of task only one of them.
    idle = ("BackgroundSchedulePool/BgSchPool", "BackgroundSchedulePool/BgStrmSchPool")
    silent = "".join(f"<logger><name>{name}</name><level>none</level></logger>" for name in (*quoting, *idle))
    return (
        _tag("log-level", "warning")
        + f"<logger>{_tag('level', 'warning')}{_tag('log', directory / 'store' / LOG)}{_tag('size', '10M')}{_tag('count', 2)}"
        + f"<levels>{silent}</levels></logger>"
    )


def _log_table(name: str) -> str:
    return (
        f"<{name}>{_tag('database', 'system')}{_tag('table', name)}{_tag('flush_interval_milliseconds', _LOG_EVERY_MS)}"
        f"{_tag('ttl', f'event_date + INTERVAL {_LOG_DAYS} DAY DELETE')}</{name}>"
    )


def _handler(url: str, kind: str, more: str) -> str:
    which = "<methods>GET,HEAD</methods><empty_query_string/>" if kind == "static" else ""
    return (
        f"<rule>{_tag('url', url)}{which}<headers>{_tag('Host', _HERE)}</headers>"
        f"<handler>{_tag('type', kind)}{more}</handler></rule>"
    )


def _user(name: str, profile: str, allowed: Iterable[str]) -> str:
    rights = "".join(_tag("query", f"GRANT {one}") for one in allowed)
    return (
        f"<{name}><http_authentication>{_tag('server', _LOGIN)}{_tag('scheme', 'basic')}</http_authentication>"
        f"<networks>{_tag('ip', '127.0.0.1')}{_tag('ip', '::1')}</networks>"
        f"{_tag('profile', profile)}{_tag('default_database', 'default')}<grants>{rights}</grants></{name}>"
    )


def _tags(values: Mapping[str, int | str]) -> str:
    return "".join(_tag(name, value) for name, value in values.items())


def _tag(name: str, value: int | str | Path) -> str:
    return f"<{name}>{escape(str(value))}</{name}>"


def _document(rows: Iterable[str]) -> str:
    return "<clickhouse>\n" + "".join(f"  {row}\n" for row in rows) + "</clickhouse>\n"
