"""ClickHouse over HTTP: clickhouse-connect's client in threads, its failures as this project's exceptions.

Rows are inserted by columns, in Native format. This module knows no Kafka. No message of the server reaches a log or a
dead letter, because such messages quote values.
"""

import asyncio
import contextlib
import logging
import re
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Self, TypeVar
from urllib.parse import urlsplit

import clickhouse_connect
from clickhouse_connect.driver import options
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError, DataError, OperationalError
from clickhouse_connect.driver.insert import InsertContext

from schemas.config.settings import ClickHouseSettings
from schemas.errors import SetupError, Unavailable
from sinks.error_classes import ErrorClass, RowsRefused, classify, unfit
from sinks.rows import Table, columns_of, narrowest

T = TypeVar("T")
_WHERE: Final = re.compile(r"""(?:Constraint|column) [`"][\w.]+[`"]""")
_CONNECT_S: Final = 5.0
NO_LOGIN: Final = (194, 516)
"""ClickHouse's codes REQUIRED_PASSWORD and AUTHENTICATION_FAILED: a name that came without its password."""
_ADVICE: Final = {
    ErrorClass.AWAY: "ClickHouse does not take rows",
    ErrorClass.MIGRATION: "a table or a column is missing: run `callweave migrate`",
}


class ClickHouse:
    """One server, or one server of a cluster; connects when first used."""

    def __init__(self, settings: ClickHouseSettings) -> None:
        self._settings = settings
        self._client: Client | None = None
        self._opening = threading.Lock()
        self._idle: dict[tuple[str, int], list[InsertContext]] = defaultdict(list)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def database(self) -> str:
        """The name of the database with our tables."""
        return self._settings.database

    async def close(self) -> None:
        """Closes all connections; the next call opens them again."""
        client, self._client = self._client, None
        if client is not None:
            await asyncio.to_thread(client.close)

    async def query(
        self, sql: str, parameters: Mapping[str, Any] | None = None, *, as_bytes: Iterable[str] = ()
    ) -> list[tuple[Any, ...]]:
        """Returns the rows of a SELECT; columns named in `as_bytes` are bytes. Raises `Unavailable`, `SetupError`."""
        formats: dict[str, str | dict[str, str]] = dict.fromkeys(as_bytes, "bytes")
        return await self._ask(
            lambda client: [
                tuple(row)
                for row in client.query(
                    sql, dict(parameters or {}), column_formats=formats, tz_mode="aware"
                ).result_rows
            ]
        )

    async def command(self, sql: str, parameters: Mapping[str, Any] | None = None) -> None:
        """Runs one statement. Raises `Unavailable`, `SetupError`."""
        await self._ask(lambda client: client.command(sql, dict(parameters or {})))

    async def insert_rows(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Inserts a few plain rows. Raises `Unavailable`, `SetupError`."""

        def insert(client: Client) -> None:
            client.insert(table, rows, column_names=columns, settings=self._insert(client))
            self._require_room(client)

        await self._ask(insert)

    async def insert(self, table: Table[T], records: Sequence[T]) -> None:
        """Inserts all of `records` or none. Raises `Unavailable`, or `RowsRefused` when a record is the reason."""
        await asyncio.to_thread(self._insert_records, table, records)

    def _insert_records(self, table: Table[T], records: Sequence[T]) -> None:
        table = narrowest(table, records)
        block = columns_of(table, records)
        client = self._open()
        context = self._context(client, table)
        try:
            _require_all(client.insert(context=context, data=block).written_rows, len(records))
            self._require_room(client)
        except Unavailable:
            raise
        except OSError as exc:
            raise Unavailable(f"{_ADVICE[ErrorClass.AWAY]}: {type(exc).__name__}") from exc
        except ClickHouseError as exc:
            raise _failed_insert(exc, context.column_name or "") from exc
        except Exception as exc:
            # The column cannot hold a value, or the library cannot write it. Nothing was inserted.
            raise unfit(context.column_name or "", exc) from exc
        finally:
            block.clear()  # the context keeps a reference to it
        if context.insert_exception is not None:
            raise unfit(context.column_name or "", context.insert_exception, value_errors=(DataError,))
        self._idle[table.name, len(table.columns)].append(context)

    def _require_room(self, client: Client) -> None:
        """Raises `Unavailable` when the disk has so little room that an acknowledged insert may not be stored."""
        if not self._settings.min_free_mb:
            return
        free_mb = int(str(client.command("SELECT min(free_space) FROM system.disks"))) >> 20
        if free_mb < self._settings.min_free_mb:
            raise Unavailable(f"{_ADVICE[ErrorClass.AWAY]}: its disk is full, and the last insert may not be stored")

    def _context(self, client: Client, table: Table[Any]) -> InsertContext:
        """Returns an insert context that no other insert uses now.

        A context refers to itself: made anew for each insert, they would pile up until the next garbage collection.
        """
        with contextlib.suppress(IndexError):
            return self._idle[table.name, len(table.columns)].pop()
        return client.create_insert_context(
            table=table.name,
            database=self._settings.database,
            column_names=[column.name for column in table.columns],
            column_type_names=[column.type for column in table.columns],
            column_oriented=True,
            settings=self._insert(client),
        )

    def _insert(self, client: Client) -> dict[str, Any]:
        """Returns the settings of an insert that this server knows.

        Deduplication of blocks is off. A server that is killed between writing its log of blocks and renaming the part
        answers the repeated insert with "already there", although the part is lost (seen on ClickHouse 26.9: 363 of
        1.95 million rows in 120 kills). Rows converge by identity and version instead, so a repetition is safe.
        """
        timeout_s = max(1, int(self._settings.insert_timeout_s))
        wanted: dict[str, Any] = {
            "insert_deduplicate": 0,
            "deduplicate_insert": "disable",
            "async_insert": 0,
            "max_execution_time": timeout_s,
        }
        if self._settings.cluster:
            wanted["insert_quorum"] = "auto"
            wanted["insert_quorum_timeout"] = timeout_s * 1000
        known = {name: value for name, value in wanted.items() if name in client.server_settings}
        # With it the HTTP status comes after the part is written.
        return {**known, "wait_end_of_query": 1}

    async def _ask(self, call: Callable[[Client], T]) -> T:
        return await asyncio.to_thread(self._call, call)

    def _call(self, call: Callable[[Client], T]) -> T:
        client = self._open()
        try:
            return call(client)
        except (OperationalError, OSError) as exc:
            raise Unavailable(f"ClickHouse does not answer: {type(exc).__name__}") from exc
        except DatabaseError as exc:
            if exc.code is None:
                raise Unavailable("what answers for ClickHouse is not ClickHouse") from exc
            raise SetupError(f"ClickHouse: {exc}", code=str(classify(exc.code))) from exc

    def _open(self) -> Client:
        with self._opening:
            if self._client is None:
                self._client = _connect(self._settings)
            return self._client


def _require_all(written: int, sent: int) -> None:
    """Raises `Unavailable` when a successful answer counts fewer rows than were sent: none is committed."""
    if written < sent:
        raise Unavailable(f"{_ADVICE[ErrorClass.AWAY]}: {written} of {sent} rows were written")


def _connect(settings: ClickHouseSettings) -> Client:
    url = urlsplit(settings.url)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise SetupError(
            "no address of ClickHouse is set", advice="Set clickhouse.url, or run `callweave up` for the embedded one."
        )
    # At the first insert the library imports pandas and numpy to ask whether the rows are theirs. That costs 1.4 s of a
    # core before the first row of a restarted sink, and 90 MB of memory.
    options.pd = options.np = None
    # The library logs values that do not fit, and each attempt at a server that is away. Both are reported elsewhere.
    logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)
    try:
        return clickhouse_connect.get_client(
            interface=url.scheme,
            host=url.hostname,
            port=url.port or (8443 if url.scheme == "https" else 8123),
            proxy_path=url.path,
            username=settings.user,
            password=settings.password.value,
            connect_timeout=int(_CONNECT_S),
            send_receive_timeout=max(1, int(settings.insert_timeout_s)),
            autogenerate_session_id=False,  # several inserts at once
            show_clickhouse_errors="scrub",
            dedicated_pool=True,
        )
    except (ClickHouseError, OSError) as exc:
        code = getattr(exc, "code", None)
        if code in NO_LOGIN:
            raise Unavailable(f"ClickHouse does not let {settings.user} in: wrong name or password ({code})") from exc
        raise Unavailable(f"ClickHouse does not answer: {type(exc).__name__}{f' {code}' if code else ''}") from exc


def _failed_insert(exc: ClickHouseError, column: str) -> Exception:
    if isinstance(exc, DataError):  # the library cannot write a value; nothing was inserted
        return unfit(column, exc, value_errors=(DataError,))
    code = getattr(exc, "code", None)
    error_class = classify(code)
    if error_class is ErrorClass.REFUSED:
        where = _WHERE.search(str(exc))
        return RowsRefused(
            f"ClickHouse code {code} {getattr(exc, 'name', None) or ''}{f', {where[0]}' if where else ''}"
        )
    return Unavailable(f"{_ADVICE[error_class]}: {type(exc).__name__} {code or ''}".rstrip(), code=error_class.value)
