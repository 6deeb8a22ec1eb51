"""Sessions of ClickHouse's HTTP protocol: what SET and USE changed, and temporary tables, kept from one request to the next.

Most clients name a session and never use it, so a session is only a list of statements that each new connection repeats;
it holds a connection from its first temporary table on.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from deploy.clickhouse.engine import Connection, Engine
from deploy.clickhouse.reply import failed
from deploy.clickhouse.request import Query
from deploy.clickhouse.sql import first_word, second_word

_WAIT_S: Final = 30.0
_LONGEST_REPLAY: Final = 200


class Session:
    """What one client left behind between its requests."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.connection: Connection | None = None
        self.expires_at = 0.0
        self._replay: list[bytes] = []

    def restore(self, connection: Connection) -> None:
        """Brings a connection to where the session was left."""
        for statement in self._replay:
            connection.execute(statement)

    def remember(self, text: bytes, connection: Connection) -> None:
        """Keeps what a statement that succeeded has changed."""
        match first_word(text), second_word(text):
            case ("SET" | "USE", _):
                self._replay = [*self._replay[-_LONGEST_REPLAY:], text]
            case ("CREATE", "TEMPORARY"):
                self.connection = connection

    def reset(self, connection: Connection, settings: Iterator[str]) -> None:
        """Takes one request's settings off a connection that is kept."""
        for name in settings:
            connection.execute(f"SET {name} = DEFAULT")
        self.restore(connection)


class Sessions:
    """All sessions of a server, dropped when their time is over."""

    def __init__(self, engine: Engine, *, now: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._now = now
        self._lock = threading.Lock()
        self._sessions: dict[tuple[str, str], Session] = {}

    @contextmanager
    def connection(self, query: Query, user: str) -> Iterator[tuple[Connection, Session | None]]:
        """A connection for one request, in its session's state when it names one."""
        if query.session_id is None:
            connection = self._engine.connect()
            try:
                yield connection, None
            finally:
                connection.close()
            return
        session = self._find(query, user)
        if not session.lock.acquire(timeout=_WAIT_S):
            text = f"Session {query.session_id} is locked by a concurrent client"
            raise failed(373, "SESSION_IS_LOCKED", text, self._engine.version)
        try:
            connection = session.connection or self._engine.connect()
            try:
                if session.connection is None:
                    session.restore(connection)
                yield connection, session
            finally:
                if session.connection is None:
                    connection.close()
        finally:
            session.expires_at = self._now() + query.session_timeout_s
            session.lock.release()

    def close(self) -> None:
        """Ends all sessions."""
        with self._lock:
            for session in self._sessions.values():
                if session.connection is not None:
                    session.connection.close()
            self._sessions.clear()

    def _find(self, query: Query, user: str) -> Session:
        now = self._now()
        with self._lock:
            self._expire(now)
            name = (user, query.session_id or "")
            if query.session_check and name not in self._sessions:
                raise failed(372, "SESSION_NOT_FOUND", f"Session {query.session_id} not found", self._engine.version)
            session = self._sessions.setdefault(name, Session())
            session.expires_at = now + query.session_timeout_s
            return session

    def _expire(self, now: float) -> None:
        for name, session in list(self._sessions.items()):
            if session.expires_at < now and not session.lock.locked():
                del self._sessions[name]
                if session.connection is not None:
                    session.connection.close()
