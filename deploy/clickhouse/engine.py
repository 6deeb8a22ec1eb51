"""The engine: loaded from chDB's package, made to listen, ended. One for each process, on the current directory.

`_chdb.query` runs a whole clickhouse-local for as long as its statements take. The last one reads a named pipe that
this process holds open and never writes to, so it lasts as long as the process; a client's KILL QUERY does not end it,
and it uses no CPU.
"""

import ctypes
import importlib.machinery
import importlib.metadata
import importlib.util
import os
import sys
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from schemas.errors import SetupError

SEEN: Final = ("26.9.0",)
"""Versions of chdb-core that the test suite has run on: the way it listens is not documented."""
STORE: Final = Path("store")
_PIPE: Final = STORE / "end"
_DEEPBIND: Final = 8
"""The engine has its own copies of libraries that Python may have loaded."""
_ADVICE: Final = "Install the versions of deploy/requirements.txt, or set clickhouse.url to a ClickHouse of your own."


class Engine:
    """Serves from `start` until the process ends, or until it fails."""

    def __init__(self, *, statements: Sequence[str], before: Callable[[], None]) -> None:
        """`before` runs in the engine's thread before the engine starts; `statements` run before it listens."""
        self._statements = statements
        self._before = before
        self._library = _load()
        self._store, self._pipe = STORE.absolute(), _PIPE.absolute()  # it may serve from another directory
        self._ended = threading.Event()
        self._failure = ""
        self._held: int | None = None
        _new_store()

    def start(self) -> None:
        """Starts it; `listens` is True once it serves."""
        threading.Thread(target=self._serve, name="engine", daemon=True).start()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Returns True when it ended within `timeout_s`."""
        return self._ended.wait(timeout_s)

    @property
    def failure(self) -> str:
        """The reason why it ended; "" when it was asked to."""
        return self._failure

    def listens(self) -> bool:
        """Returns True when it has opened its ports and reached its last statement."""
        if self._held is None:
            try:
                self._held = os.open(self._pipe, os.O_WRONLY | os.O_NONBLOCK)
            except OSError:  # nobody reads the pipe yet
                return False
        return True

    def _serve(self) -> None:
        listening = (
            "SYSTEM START LISTEN HTTP",
            "SYSTEM START LISTEN TCP",
            f"SELECT file('{_quoted(self._pipe)}')",
        )
        try:
            self._before()
            text = ";\n".join((*self._statements, *listening))
            # An alias of the format would become the default format of all clients, and appear in their headers.
            self._library.query(text, "TabSeparated", path=str(self._store))
        except Exception as exc:  # noqa: BLE001 - the one place that reports why there is no server
            self._failure = str(exc) or type(exc).__name__
        self._ended.set()


def _load() -> Any:
    """Loads the extension alone: its package would start and stop an engine of its own when it is imported."""
    found = importlib.util.find_spec("chdb")
    version = _version()
    if found is None or found.origin is None or version not in SEEN:
        raise SetupError(
            f"the embedded ClickHouse needs chdb-core {' or '.join(SEEN)}, and {version or 'none'} is installed",
            code="engine",
            advice=_ADVICE,
        )
    # The library reads its time zone from here, once; answers must not depend on the place of a server.
    os.environ["TZ"] = "UTC"
    time.tzset()
    # An ending thread would load it, and cannot read its file inside the sandbox.
    ctypes.CDLL("libgcc_s.so.1")
    files = sorted(Path(found.origin).parent.glob("_chdb.*.so"))
    flags = sys.getdlopenflags()
    sys.setdlopenflags(os.RTLD_NOW | _DEEPBIND)
    try:
        loader = importlib.machinery.ExtensionFileLoader("_chdb", str(files[0]))
        spec = importlib.util.spec_from_file_location("_chdb", files[0], loader=loader)
        assert spec is not None
        library = importlib.util.module_from_spec(spec)
        loader.exec_module(library)
        # The engine's own handlers would end the process at SIGTERM in the middle of its work.
        library.set_signal_handlers_enabled(0)
    except (ImportError, IndexError, AttributeError, OSError) as exc:
        raise SetupError(
            f"the engine of chdb-core {version} cannot be loaded: {exc}", code="engine", advice=_ADVICE
        ) from exc
    finally:
        sys.setdlopenflags(flags)
    return library


def _version() -> str:
    try:
        return importlib.metadata.version("chdb-core")
    except importlib.metadata.PackageNotFoundError:
        return ""


def _new_store() -> None:
    """Creates the directories, the pipe and, in a new store, the database `default`, which every login needs."""
    (STORE / "metadata").mkdir(parents=True, exist_ok=True)
    database = STORE / "metadata" / "default.sql"
    if not database.exists():
        database.write_text(f"ATTACH DATABASE _ UUID '{_own_uuid()}'\nENGINE = Atomic\n")
    _PIPE.unlink(missing_ok=True)
    os.mkfifo(_PIPE)


def _own_uuid() -> uuid.UUID:
    """Returns the UUID of the database `default`; in a store of chDB's other engine only a link names it."""
    try:
        return uuid.UUID((STORE / "metadata" / "default").readlink().name)
    except (OSError, ValueError):
        return uuid.uuid4()


def _quoted(path: Path) -> str:
    return str(path).replace("\\", "\\\\").replace("'", "\\'")
