"""What an HTTP request asks of ClickHouse, read from its address, headers and form. Pure."""

import uuid
from collections.abc import Mapping
from typing import Final

import msgspec

from deploy.clickhouse.bodies import choose_encoding
from deploy.clickhouse.reply import DEFAULT_FORMAT

# Parameters that steer the HTTP interface; every other one is a setting.
_NOT_SETTINGS: Final = frozenset(
    {
        *("query", "database", "default_format", "user", "password", "quota_key", "role", "stacktrace"),
        *("query_id", "session_id", "session_timeout", "session_check", "close_session"),
        *("compress", "decompress", "buffer_size", "wait_end_of_query", "client_protocol_version"),
    }
)
_EXTERNAL_SUFFIXES: Final = ("_structure", "_types", "_format")
_MAX_SESSION_S: Final = 3_600.0


class ExternalTable(msgspec.Struct, frozen=True, kw_only=True):
    """A table that the client sends along with its query."""

    name: str
    structure: str
    format: str
    data: bytes


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """One request."""

    sql: str
    """From the address or a form field; the body follows it."""
    query_id: str
    database: str | None
    default_format: str
    settings: Mapping[str, str]
    params: Mapping[str, str]
    readonly: int
    """0, 1 or 2, as the setting; already the stricter of the request's and the user's."""
    session_id: str | None
    session_timeout_s: float
    session_check: bool
    body_encoding: str
    answer_encoding: str | None
    wait_end: bool
    """The answer is complete before its first byte goes out, so that a late failure still has its own status."""
    external: tuple[ExternalTable, ...] = ()
    block_compression: bool = False
    """The client wants ClickHouse's own block compression (`compress=1`, `decompress=1`)."""


def read_request(
    method: str,
    address: Mapping[str, str],
    headers: Mapping[str, str],
    *,
    user_readonly: int,
    form: Mapping[str, str] | None = None,
    files: Mapping[str, bytes] | None = None,
) -> Query:
    """The query of a request; `headers` must ignore case; form fields count like parameters of the address."""
    values = {**address, **(form or {})}
    external = _external(values, files or {})
    external_names = {table.name + suffix for table in external for suffix in _EXTERNAL_SUFFIXES}
    settings = {
        name: value
        for name, value in values.items()
        if name not in _NOT_SETTINGS
        and name not in external_names
        and not name.startswith("param_")
        and name != "readonly"
    }
    return Query(
        sql=values.get("query", ""),
        query_id=values.get("query_id") or str(uuid.uuid4()),
        database=values.get("database") or headers.get("X-ClickHouse-Database") or None,
        default_format=values.get("default_format") or headers.get("X-ClickHouse-Format") or DEFAULT_FORMAT,
        settings=settings,
        params={name.removeprefix("param_"): value for name, value in values.items() if name.startswith("param_")},
        readonly=_readonly(method, values.get("readonly", "0"), user_readonly),
        session_id=values.get("session_id") or None,
        session_timeout_s=min(float(values.get("session_timeout", "60")), _MAX_SESSION_S),
        session_check=values.get("session_check") == "1",
        body_encoding=headers.get("Content-Encoding", "").strip().lower(),
        answer_encoding=_answer_encoding(values, headers),
        wait_end=values.get("wait_end_of_query") == "1",
        external=external,
        block_compression=values.get("compress") == "1" or values.get("decompress") == "1",
    )


def _readonly(method: str, asked: str, user: int) -> int:
    # ClickHouse takes GET and HEAD for reading only, so that a link cannot drop a table.
    own = {"1": 1, "2": 2}.get(asked, 2 if method in ("GET", "HEAD") else 0)
    strictness = (0, 2, 1)
    return max(own, user, key=strictness.index)


def _answer_encoding(values: Mapping[str, str], headers: Mapping[str, str]) -> str | None:
    if values.get("enable_http_compression", "1").lower() in ("0", "false"):
        return None
    return choose_encoding(headers.get("Accept-Encoding", ""))


def _external(values: Mapping[str, str], files: Mapping[str, bytes]) -> tuple[ExternalTable, ...]:
    tables = []
    for name, data in files.items():
        structure = values.get(f"{name}_structure")
        if structure is None:
            types = values.get(f"{name}_types", "").split(",")
            structure = ", ".join(f"_{place} {kind}" for place, kind in enumerate(types, start=1))
        table = ExternalTable(
            name=name, structure=structure, format=values.get(f"{name}_format", "TabSeparated"), data=data
        )
        tables.append(table)
    return tuple(tables)
