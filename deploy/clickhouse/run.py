"""One request on one connection: settings, external tables, then the statement itself. Blocking; runs in a worker thread."""

import contextlib
import itertools
import re
from collections.abc import Generator, Iterable, Iterator
from typing import Final

from deploy.clickhouse.bodies import DamagedBody, inflated
from deploy.clickhouse.engine import Connection, Engine
from deploy.clickhouse.reply import STREAMABLE, Counts, failed
from deploy.clickhouse.request import Query
from deploy.clickhouse.room import NoRoom, writing
from deploy.clickhouse.sessions import Session, Sessions
from deploy.clickhouse.sql import InsertHead, answer_format, first_word, identifier, quoted, split_insert, writes_a_file

_HEAD_BYTES: Final = 1 << 20
"""An INSERT's column list and settings end within this; its data may be of any length."""
_TEXT_BYTES: Final = 64 << 20
"""The longest statement that is not an INSERT with data."""
_WITH_TOTALS: Final = re.compile(rb"\bWITH\s+TOTALS\b", re.IGNORECASE)
_SETTING: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")


class Run:
    """A request on its way; `format` and `counts` fill while `pieces` is read."""

    def __init__(self, engine: Engine, sessions: Sessions, query: Query, *, user: str, body: Iterable[bytes]) -> None:
        self.query = query
        self.format: str | None = None
        self.counts = Counts()
        self._version = engine.version
        self._sessions = sessions
        self._user = user
        self._body = body

    def pieces(self) -> Generator[bytes]:
        """The answer's bytes; raises QueryFailed at any point."""
        if self.query.block_compression:
            text = "Block compression (compress=1, decompress=1) is not supported: use Content-Encoding and Accept-Encoding"
            raise failed(48, "NOT_IMPLEMENTED", text, self._version)
        with self._sessions.connection(self.query, self._user) as (connection, session):
            try:
                self._prepare(connection, session)
                yield from self._answer(connection, session)
            except DamagedBody as exc:
                raise failed(354, "ZLIB_INFLATE_FAILED", str(exc), self._version) from exc
            finally:
                if session is not None and session.connection is not None:
                    session.reset(connection, iter(self.query.settings))

    def _prepare(self, connection: Connection, session: Session | None) -> None:
        query = self.query
        if query.database:
            connection.execute(f"USE {identifier(query.database)}")
        for table in query.external:
            connection.execute(f"CREATE TEMPORARY TABLE {identifier(table.name)} ({table.structure})")
            head = InsertHead(
                statement=f"INSERT INTO {identifier(table.name)}", settings="", format=table.format, data_at=0
            )
            connection.insert(head, [table.data])
        for name, value in query.settings.items():
            if not _SETTING.fullmatch(name):
                raise failed(115, "UNKNOWN_SETTING", f"Unknown setting '{name}'", self._version)
            connection.execute(f"SET {name} = {quoted(value)}")
        for name, value in query.params.items():
            connection.execute(f"SET {identifier('param_' + name)} = {quoted(value)}")
        if query.readonly and (session is None or session.connection is None):
            connection.execute(f"SET readonly = {query.readonly}")

    def _answer(self, connection: Connection, session: Session | None) -> Iterator[bytes]:
        prefix = [self.query.sql.encode() + b"\n"] if self.query.sql else []
        body = itertools.chain(prefix, inflated(self._body, self.query.body_encoding))
        head = _take(body, _HEAD_BYTES)
        if first_word(head) == "INSERT":
            with self._room():
                yield from self._write(connection, session, head, body)
        else:
            yield from self._statement(connection, session, head + _take(body, _TEXT_BYTES))

    @contextlib.contextmanager
    def _room(self) -> Iterator[None]:
        try:
            with writing():
                yield
        except NoRoom as exc:
            raise failed(243, "NOT_ENOUGH_SPACE", str(exc), self._version) from exc

    def _write(
        self, connection: Connection, session: Session | None, head: bytes, body: Iterator[bytes]
    ) -> Iterator[bytes]:
        insert = split_insert(head)
        if insert is None:  # INSERT ... SELECT
            yield from self._statement(connection, session, head + _take(body, _TEXT_BYTES))
        else:
            self._insert(connection, insert, itertools.chain([head[insert.data_at :]], body))

    def _statement(self, connection: Connection, session: Session | None, text: bytes) -> Iterator[bytes]:
        if len(text) > _TEXT_BYTES:
            raise failed(307, "TOO_MANY_BYTES", f"A statement may have {_TEXT_BYTES} bytes", self._version)
        only_reads, statements = connection.classify(text)
        if statements > 1:
            raise failed(62, "SYNTAX_ERROR", "Syntax error (Multi-statements are not allowed)", self._version)
        if writes_a_file(text):
            raise failed(163, "INTO_OUTFILE_NOT_ALLOWED", "INTO OUTFILE is not allowed", self._version)
        if self.query.readonly and session is not None and session.connection is not None and not only_reads:
            raise failed(164, "READONLY", f"{self._user}: Cannot execute query in readonly mode", self._version)
        wanted = answer_format(text) or self.query.default_format
        if only_reads:
            self.format = wanted
        if only_reads and self._can_stream(text, wanted):
            yield from connection.stream(text, wanted, self.counts)
        else:
            answer, self.counts = connection.execute(text, wanted)
            yield answer
        if session is not None:
            session.remember(text, connection)

    def _insert(self, connection: Connection, insert: InsertHead, data: Iterable[bytes]) -> None:
        self.counts = connection.insert(insert, (piece for piece in data if piece))

    def _can_stream(self, text: bytes, wanted: str) -> bool:
        if wanted not in STREAMABLE or first_word(text) not in ("SELECT", "WITH"):
            return False  # the engine streams nothing but SELECT
        return "extremes" not in self.query.settings and not _WITH_TOTALS.search(text)


def _take(pieces: Iterator[bytes], limit: int) -> bytes:
    taken: list[bytes] = []
    size = 0
    while size < limit and (piece := next(pieces, None)) is not None:
        taken.append(piece)
        size += len(piece)
    return b"".join(taken)
