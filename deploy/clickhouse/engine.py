"""chDB itself: one engine on one directory, any number of connections, each with its own settings, database and temporary tables.

A connection costs about 0.2 ms to open (measured), so each request gets its own and nothing leaks from one to the next.
"""

import importlib
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import escape

from deploy.clickhouse.incoming import NotWritten, make_room, received
from deploy.clickhouse.reply import Counts, QueryFailed, failed, from_engine
from deploy.clickhouse.sql import InsertHead, quoted

# Caches of a server with hundreds of gigabytes are the engine's defaults; these keep the process near its smallest size.
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


class Connection:
    """One connection; to be used by one thread at a time."""

    def __init__(self, raw: Any, version: str, read_only: object) -> None:
        self._raw = raw
        self._read_only = read_only
        self._version = version

    def close(self) -> None:
        """Gives it back to the engine, temporary tables and all."""
        self._raw.close()

    def execute(self, sql: str | bytes, format_name: str = "TabSeparated") -> tuple[bytes, Counts]:
        """Runs a statement and gives its whole answer; raises QueryFailed."""
        try:
            result = self._raw.query(sql, format_name)
            return result.bytes(), _counts(result)
        except RuntimeError as exc:
            raise self._failure(exc) from exc

    def stream(self, sql: bytes, format_name: str, counts: Counts) -> Iterator[bytes]:
        """Runs a statement and gives its answer in pieces, adding up `counts`; closing it early ends the query."""
        try:
            handle = self._raw.send_query(sql, format_name)
        except RuntimeError as exc:
            raise self._failure(exc) from exc
        done = False
        try:
            while True:
                piece = self._raw.streaming_fetch_result(handle)
                if not piece.rows_read():
                    done = True
                    return
                counts.result_rows += piece.rows_read()
                counts.result_bytes += piece.size()
                counts.read_rows = max(counts.read_rows, piece.storage_rows_read())
                counts.read_bytes = max(counts.read_bytes, piece.storage_bytes_read())
                yield piece.bytes()
        except RuntimeError as exc:
            done = True
            raise self._failure(exc) from exc
        finally:
            if not done:
                self._raw.streaming_cancel_query(handle)

    def insert(self, head: InsertHead, pieces: Iterable[bytes]) -> Counts:
        """Runs an INSERT on data that come in pieces; returns when the engine has stored them all, raises QueryFailed.

        The data go by way of a file: the engine's own way of taking pieces (`send_insert` of chDB 4.4) answers with success
        whatever happens after a row was read, be the disk full or a constraint violated, and it stops reading what
        stands behind a statement somewhere in the middle. A client that breaks off has inserted nothing.
        """
        try:
            with received(pieces) as path:
                # A line break ends a comment.
                place = f"FROM INFILE {quoted(path)} COMPRESSION 'none'"
                result = self._raw.query(f"{head.statement}\n{place}\n{head.settings}\nFORMAT {head.format}", "TSV")
        except RuntimeError as exc:
            raise self._failure(exc) from exc
        except NotWritten as exc:
            raise failed(243, "NOT_ENOUGH_SPACE", f"The data cannot be taken in: {exc}", self._version) from exc
        return Counts(
            read_rows=result.rows_written(),
            read_bytes=result.bytes_written(),
            written_rows=result.rows_written(),
            written_bytes=result.bytes_written(),
            result_rows=result.rows_written(),
            result_bytes=result.bytes_written(),
        )

    def classify(self, sql: bytes) -> tuple[bool, int]:
        """Whether a text only reads, and how many statements it holds (0 when it cannot be parsed)."""
        try:
            found = self._raw.classify_query(sql)
        except RuntimeError:
            return False, 0
        return found["query_class"] == self._read_only, int(found["statement_count"])

    def _failure(self, error: RuntimeError) -> QueryFailed:
        return from_engine(str(error), self._version)


class Engine:
    """The engine of this process on the current directory, from construction to `close`."""

    def __init__(self, *, memory_bytes: int) -> None:
        # The library takes its time zone from here, once, as it is loaded; answers must not depend on where a server stands.
        os.environ["TZ"] = "UTC"
        time.tzset()
        # By name, because the stubs that come with it leave out most of what is used here.
        self._chdb: Any = importlib.import_module("chdb._chdb")
        # The engine's handlers would end the process its own way at SIGTERM; ours close the connections first.
        self._chdb.set_signal_handlers_enabled(0)
        Path("config.xml").write_text(_config({**_SMALL, "max_server_memory_usage": memory_bytes}))
        make_room()
        # Relative, because the address has no way to quote a path with a question mark or an ampersand.
        self._address = "file:store?config-file=config.xml"
        self.version = "unknown"
        self._first = self.connect()  # keeps the engine open while no request does
        self.version = self._first.execute("SELECT version()")[0].decode().strip()
        self.timezone = self._first.execute("SELECT timezone()")[0].decode().strip()

    def connect(self) -> Connection:
        """A connection with the defaults of all settings."""
        return Connection(self._chdb.connect(self._address), self.version, self._chdb.query_class.READ_ONLY)

    def ask(self, sql: str) -> bytes:
        """Runs one statement on a connection of its own; raises QueryFailed."""
        connection = self.connect()
        try:
            return connection.execute(sql)[0]
        finally:
            connection.close()

    def close(self) -> None:
        """Ends the engine; a process that exits without this crashes in the engine's clean-up."""
        self._first.close()


def _counts(result: Any) -> Counts:
    return Counts(
        read_rows=result.storage_rows_read(),
        read_bytes=result.storage_bytes_read(),
        written_rows=result.rows_written(),
        written_bytes=result.bytes_written(),
        result_rows=result.rows_read() or result.rows_written(),
        result_bytes=result.size() or result.bytes_written(),
    )


def _config(values: Mapping[str, int | str]) -> str:
    rows = "".join(f"  <{name}>{escape(str(value))}</{name}>\n" for name, value in values.items())
    return f"<clickhouse>\n{rows}</clickhouse>\n"
