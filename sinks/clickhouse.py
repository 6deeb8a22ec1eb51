"""ClickHouse over HTTP: clickhouse-connect's clients in threads, their failures as this project's exceptions.

Rows are inserted by columns, in Native format. With several servers, what one of them cannot do for a reason of its own
is done again on the next: rows and statements may be repeated. This module knows no Kafka. No message of the server
reaches a log, an error or a dead letter, because such messages quote values.
"""

import asyncio
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Self, TypeVar

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError, OperationalError

from schemas.config.settings import ClickHouseSettings
from schemas.errors import SetupError, Unavailable
from schemas.privacy.tokens import NumberTokens
from schemas.tls import client_context
from sinks.columns import NO_TOKENS, Table
from sinks.error_classes import OF_THE_SERVER, ErrorClass, RowsRefused, classify, unfit
from sinks.server.connect import connect, may_set, trouble_of
from sinks.server.hosts import Hosts
from sinks.server.trouble import NO_LOGIN, NO_RIGHT, place, refused
from sinks.writing.records import Records

T = TypeVar("T")
_WHERE: Final = re.compile(r"""(?:Constraint|column) [`"][\w.]+[`"]""")
_RUNS_ALREADY: Final = 216
"""The error code of a statement whose name (query_id) another one has that runs."""
_NO_SETTINGS: Final[Mapping[str, int]] = {}
_OF_RECORDS: Final[Mapping[str, int]] = {"optimize_on_insert": 0}
"""Views take the highest version of each row themselves; to look for it among the rows of an insert, too, takes the
server a third of the insert."""
_ADVICE: Final = {
    ErrorClass.AWAY: "ClickHouse does not take rows",
    ErrorClass.MIGRATION: "a table or a column is missing: run `callweave migrate`",
}


class ClickHouse:
    """One server, or the first of several that is not away; connects when first used."""

    def __init__(self, settings: ClickHouseSettings, tokens: NumberTokens = NO_TOKENS) -> None:
        """Raises `SettingsError` for a certificate or a key that cannot be used.

        `tokens` stand beside the phone numbers of the rows that are inserted.
        """
        self._settings = settings
        self._tokens = tokens
        secure = any(url.startswith("https:") for url in settings.urls)
        self._tls = client_context(settings.tls, "$.clickhouse.tls") if secure else None
        self._hosts = Hosts(settings.urls)
        self._clients: dict[str, Client] = {}
        self._opening: dict[str, threading.Lock] = {url: threading.Lock() for url in settings.urls}
        self._written: set[str] = set()
        """The servers that took rows since they were last asked for their room."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def settings(self) -> ClickHouseSettings:
        """The settings by which it connects."""
        return self._settings

    @property
    def database(self) -> str:
        """The name of the database with our tables."""
        return self._settings.database

    async def close(self) -> None:
        """Closes all connections; the next call opens them again."""
        clients, self._clients = self._clients, {}
        for client in clients.values():
            await asyncio.to_thread(_close, client)

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

    async def table(self, sql: str, parameters: Mapping[str, Any]) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Returns the names of the columns and the rows of a SELECT. Raises `Unavailable`, `SetupError`."""

        def asked(client: Client) -> tuple[list[str], list[tuple[Any, ...]]]:
            found = client.query(sql, dict(parameters), tz_mode="aware")
            return list(found.column_names), [tuple(row) for row in found.result_rows]

        return await self._ask(asked)

    async def command(self, sql: str, parameters: Mapping[str, Any] | None = None) -> None:
        """Runs one statement. Raises `Unavailable`, `SetupError`."""
        await self._ask(lambda client: client.command(sql, dict(parameters or {})))

    async def alone(self, name: str, sql: str) -> None:
        """Runs one statement unless the server runs one of this name already.

        Raises `Unavailable`, also (with the code `busy`) where it does, and `SetupError`.
        """
        named = {"query_id": f"{self.database}.{name}", "wait_end_of_query": 1}
        await self._ask(lambda client: client.command(sql, settings=named))

    async def insert_rows(
        self,
        table: str,
        columns: Sequence[str],
        rows: Sequence[Sequence[object]],
        types: Sequence[str] = (),
        *,
        last: bool = True,
    ) -> None:
        """Inserts a few plain rows; the server is asked for the columns' types unless they are given.

        They are stored when it returns, or, where they are not the `last`, after the next `require_room`. Raises
        `Unavailable`, `SetupError`.
        """

        def insert(url: str, client: Client) -> None:
            client.insert(
                table,
                rows,
                column_names=columns,
                column_type_names=types or None,
                settings=self._insert_settings(client),
            )
            if last:
                self._require_room(client)
            else:
                self._written.add(url)

        await asyncio.to_thread(
            self._on_a_server, lambda url, client: self._call(url, client, lambda one: insert(url, one))
        )

    async def insert(self, table: Table[T], records: Sequence[T]) -> None:
        """Inserts all of `records` or none; they are stored after the next `require_room`.

        Raises `Unavailable`, or `RowsRefused` when a record is the reason.
        """
        await asyncio.to_thread(self._insert_records, table, records)

    def _insert_records(self, table: Table[T], records: Sequence[T]) -> None:
        rows = Records.of(records).block(table, self._tokens)
        count = table.count(records)
        self._on_a_server(lambda url, client: self._insert_rows(url, client, table, rows, count))

    def _insert_rows(self, url: str, client: Client, table: Table[Any], rows: bytes, count: int) -> None:
        names = [column.name for column in table.columns]
        full_name = f"`{self.database}`.`{table.name}`"
        settings = self._insert_settings(client, _OF_RECORDS)
        try:
            done = client.raw_insert(full_name, names, rows, fmt="Native", settings=settings)
            _require_all(done.written_rows, count)
            self._written.add(url)
        except Unavailable:
            raise
        except (OperationalError, OSError) as exc:
            raise self._unavailable(url, exc) from exc
        except ClickHouseError as exc:
            raise self._failed_insert(url, exc) from exc
        except Exception as exc:  # the library cannot send the rows; nothing was inserted
            raise unfit("", exc) from exc

    async def require_room(self) -> None:
        """Makes sure that what was inserted is stored. Raises `Unavailable` when it may not be: insert it again."""
        while self._written:
            await asyncio.to_thread(self._require_room_at, self._written.pop())

    def _require_room_at(self, url: str) -> None:
        try:
            self._require_room(self._open(url))
        except (ClickHouseError, OSError) as exc:
            raise self._unavailable(url, exc) from exc

    def _require_room(self, client: Client) -> None:
        """Raises `Unavailable` when the disk has so little room that an acknowledged insert may not be stored."""
        if not self._settings.min_free_mb:
            return
        free_mb = int(str(client.command("SELECT min(free_space) FROM system.disks"))) >> 20
        if free_mb < self._settings.min_free_mb:
            raise Unavailable(
                f"{_ADVICE[ErrorClass.AWAY]}: its disk is full, and the last insert may not be stored", code="full"
            )

    def _insert_settings(self, client: Client, more: Mapping[str, int] = _NO_SETTINGS) -> dict[str, Any]:
        """Returns the settings of an insert that this server knows and lets its users change.

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
            "max_partitions_per_insert_block": 0,  # a replay has rows of many days
            **more,
        }
        if self._settings.cluster:
            wanted["insert_quorum"] = "auto"
            wanted["insert_quorum_timeout"] = timeout_s * 1000
        known = {name: value for name, value in wanted.items() if may_set(client, name)}
        # With it the HTTP status comes after the part is written.
        return {**known, "wait_end_of_query": 1}

    async def _ask(self, call: Callable[[Client], T]) -> T:
        return await asyncio.to_thread(self._on_a_server, lambda url, client: self._call(url, client, call))

    def _call(self, url: str, client: Client, call: Callable[[Client], T]) -> T:
        try:
            return call(client)
        except (OperationalError, OSError) as exc:
            raise self._unavailable(url, exc) from exc
        except DatabaseError as exc:
            if exc.code == _RUNS_ALREADY:
                raise Unavailable(f"ClickHouse at {place(url)} runs the statement already", code="busy") from exc
            if exc.code is None or exc.code in OF_THE_SERVER or exc.code in NO_LOGIN:
                raise self._unavailable(url, exc) from exc
            if exc.code in NO_RIGHT:
                trouble = refused(url, self._settings.user, exc.code, exc.name)
                raise SetupError(trouble.sentence, code=trouble.code) from exc
            raise SetupError(
                f"ClickHouse at {place(url)} refuses a statement: code {exc.code} {exc.name or ''}".rstrip(),
                code=str(classify(exc.code)),
            ) from exc

    def _on_a_server(self, work: Callable[[str, Client], T]) -> T:
        """Does `work` on the first server that can; raises `Unavailable` with what is wrong with each.

        The next server is tried as long as the time of one insert is not over, so that no insert lasts for ever.
        """
        if not self._settings.urls:
            raise SetupError(
                "no address of ClickHouse is set",
                advice="Set clickhouse.url, or run `callweave up` for the embedded one.",
            )
        failed: list[Unavailable] = []
        end_s = time.monotonic() + self._settings.insert_timeout_s
        for url in self._hosts.order():
            try:
                done = work(url, self._open(url))
            except Unavailable as exc:
                self._hosts.is_away(url)
                failed.append(exc)
                if time.monotonic() >= end_s:
                    break
            else:
                self._hosts.is_here(url)
                return done
        raise _all_of(failed)

    def _open(self, url: str) -> Client:
        with self._opening[url]:
            if url not in self._clients:
                self._clients[url] = connect(self._settings, url, self._tls)
            return self._clients[url]

    def _unavailable(self, url: str, exc: BaseException) -> Unavailable:
        trouble = trouble_of(self._settings, url, exc, self._tls)
        return Unavailable(trouble.sentence, code=trouble.code)

    def _failed_insert(self, url: str, exc: ClickHouseError) -> Exception:
        code, name = getattr(exc, "code", None), getattr(exc, "name", None)
        error_class = classify(code)
        if error_class is ErrorClass.REFUSED:
            where = _WHERE.search(str(exc))
            return RowsRefused(f"ClickHouse code {code} {name or ''}{f', {where[0]}' if where else ''}")
        if code is None or code in (*NO_LOGIN, *NO_RIGHT):
            return self._unavailable(url, exc)
        reason = f"{_ADVICE[error_class]} at {place(url)}: code {code} {name or ''}".rstrip()
        return Unavailable(reason, code=error_class.value)


def _all_of(failed: Sequence[Unavailable]) -> Unavailable:
    """Returns the failure of one server, or one that says what is wrong with each of several; the code is the first."""
    if len(failed) == 1:
        return failed[0]
    return Unavailable("; ".join(map(str, failed)), code=failed[0].code)


def _close(client: Client) -> None:
    client.close_connections()
    client.close()


def _require_all(written: int, sent: int) -> None:
    """Raises `Unavailable` when a successful answer counts fewer rows than were sent: none is committed."""
    if written < sent:
        raise Unavailable(f"{_ADVICE[ErrorClass.AWAY]}: {written} of {sent} rows were written", code="away")
