"""Checks passwords for the engine, which asks at each login, over HTTP on loopback.

Therefore passwords change without a restart, and none is in the engine's configuration. The engine logs itself in as
`default` without a password before it listens: that is allowed once. After that an empty password is never right.
"""

import base64
import hmac
import logging
import secrets
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

import msgspec

from deploy.clickhouse import passwords
from deploy.clickhouse.accounts import BUILT_IN
from schemas.errors import SetupError

log: Final = logging.getLogger("callweave.clickhouse")

READ_ONLY: Final = msgspec.json.encode({"settings": {"workload": "reading", "readonly": "2"}})
"""The answer for a session of `default`, which may read what readers may."""
_NOTHING: Final = b"{}"


class Logins:
    """Decides on names and passwords; several threads may use it."""

    def __init__(self, data_dir: Path, *, owner: str, also: Mapping[str, str]) -> None:
        """`also` are names with passwords that are in no file; `default` logs in with the password of `owner`."""
        self._data_dir = data_dir
        self._owner = owner
        self._also = dict(also)
        self._lock = threading.Lock()
        self._own_login_left = True
        self._stamp: tuple[int, int] | None = None
        self._kept: passwords.Passwords = {}

    def answer(self, authorization: str) -> bytes | None:
        """Returns the body for a right Basic authorization, None for a wrong one."""
        name, password = _basic(authorization)
        if not password:
            return _NOTHING if name == BUILT_IN and self._own_login() else None
        right = self._also.get(name) or None
        taken = (right,) if right else self._of(self._owner if name == BUILT_IN else name)
        # Each one is compared, so that the time taken does not show which was nearly right.
        if not sum(hmac.compare_digest(password.encode(), one.encode()) for one in taken):
            return None
        return READ_ONLY if name == BUILT_IN else _NOTHING

    def _own_login(self) -> bool:
        with self._lock:
            left, self._own_login_left = self._own_login_left, False
            return left

    def _of(self, name: str) -> tuple[str, ...]:
        """Returns the passwords of a name; the file is read again when it was replaced."""
        with self._lock:
            try:
                seen = (self._data_dir / passwords.FILE).stat()
                stamp = (seen.st_ino, seen.st_mtime_ns)
                if stamp != self._stamp:
                    self._kept, self._stamp = passwords.read(self._data_dir), stamp
            except (OSError, SetupError) as exc:
                log.error("the passwords cannot be read, the last ones stay: %s", type(exc).__name__)  # noqa: TRY400 - no traceback that could quote the file
            return self._kept.get(name, ())


class LoginServer:
    """Serves the answers on a loopback port, in threads, until `close`."""

    def __init__(self, answer: Callable[[str], bytes | None]) -> None:
        self.path: Final = f"/{secrets.token_urlsafe()}"
        """The secret path that the engine asks at; other paths get a 403."""
        handler = type("Handler", (_Handler,), {"answer": staticmethod(answer), "wanted": self.path})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, name="login", daemon=True).start()

    @property
    def port(self) -> int:
        """The port that the engine asks at."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Stops the server."""
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60
    wbufsize = -1
    """Head and body are sent together: otherwise the body waits 40 ms for the engine to acknowledge the head."""
    answer: Callable[[str], bytes | None]
    wanted: str

    def do_GET(self) -> None:
        asked = hmac.compare_digest(self.path.encode(), self.wanted.encode())
        body = self.answer(self.headers.get("Authorization", "")) if asked else None
        self.send_response(403 if body is None else 200)
        body = body or b""
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Logs nothing: requests carry passwords."""


def _basic(authorization: str) -> tuple[str, str]:
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        name, _, password = base64.b64decode(value, validate=True).decode().partition(":")
    except ValueError:  # neither base64 nor text
        return "", ""
    return name, password
