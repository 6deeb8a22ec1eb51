"""`python -m deploy.clickhouse`: serves a data directory until SIGTERM or SIGINT; exit code 1: see stderr."""

import argparse
import logging
import os
import shutil
import signal
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Final

from deploy.clickhouse import passwords, sandbox
from deploy.clickhouse.accounts import EVERY_DATABASE, GUARD, OWNER, EngineRole, accounts_for
from deploy.clickhouse.config import EngineConfig, server_config, start_statements, users_config
from deploy.clickhouse.disk_guard import DiskGuard, free_bytes
from deploy.clickhouse.engine import STORE, Engine
from deploy.clickhouse.login import Logins, LoginServer
from deploy.clickhouse.statement import Refused, StatementClient
from deploy.output import logging_setup
from deploy.process.data_dir import claim
from deploy.process.ports import require_free
from schemas.config.logs import LogSettings
from schemas.errors import SetupError

_MINIMUM_FREE_BYTES: Final = 256 << 20
_LISTENS_WITHIN_S: Final = 60.0
"""Loading many parts takes long; a healthy start takes less than a second."""
_ENDS_WITHIN_S: Final = 3.0
_LOOK_EVERY_S: Final = 0.02
_SYSTEM_FILES: Final = (
    *("/usr/share/zoneinfo", "/etc/localtime", "/dev/urandom", "/proc/meminfo", "/proc/stat", "/proc/cpuinfo"),
    *("/sys/devices/system/cpu", "/sys/fs/cgroup"),
)
_OWN_FILES: Final = ("statm", "status", "stat", "maps", "cgroup", "limits", "mountinfo", "mounts")
"""Files under /proc/<own id>: sizes and limits of the process, but neither its environment nor its open files."""

log: Final = logging.getLogger("callweave.clickhouse")


def main() -> int:
    """Runs the server and returns the exit code."""
    options = _options().parse_args()
    logging_setup.set_up(LogSettings(level="warning"), "clickhouse")
    os.umask(0o077)
    try:
        with claim(options.data_dir.absolute(), what="ClickHouse", minimum_free_bytes=_MINIMUM_FREE_BYTES):
            require_free(options.port, what="ClickHouse", setting="its port")
            require_free(options.tcp_port, what="ClickHouse's native protocol", setting="its port")
            os.chdir(options.data_dir)
            _serve(options)
    except (SetupError, OSError, RuntimeError, ValueError) as exc:
        print(exc, file=sys.stderr, flush=True)  # noqa: T201 - the one line that the parent process reads
        return 1
    return 0


def _serve(options: argparse.Namespace) -> None:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    own_password = passwords.generated()
    accounts = accounts_for(options.user)
    owner = next(account.name for account in accounts if account.role is EngineRole.WRITER)
    logins = LoginServer(Logins(Path.cwd(), owner=owner, also={GUARD: own_password}).answer)
    memory_bytes = options.memory_mib << 20
    config = EngineConfig(
        http_port=options.port,
        tcp_port=options.tcp_port,
        login_port=logins.port,
        login_path=logins.path,
        memory_bytes=memory_bytes,
        directory=Path.cwd(),
    )
    sandboxed = sandbox.version() > 0
    Path("config.xml").write_text(server_config(config))
    Path("users.xml").write_text(
        users_config(accounts, options.databases, memory_bytes=memory_bytes, sandboxed=sandboxed)
    )
    engine = Engine(statements=start_statements(memory_bytes), before=lambda: _restrict(config) if sandboxed else None)
    if not sandboxed:
        log.warning(
            "this kernel has no Landlock: every account that may query can read the files that this user can read"
        )
    client = StatementClient(options.port, GUARD, own_password)
    # The directory in which earlier releases kept inserts on their way.
    shutil.rmtree("incoming", ignore_errors=True)
    start = _enter_start_directory(config.directory)
    engine.start()
    _until_it_listens(engine, client)
    shutil.rmtree(start)
    guard = DiskGuard(client.execute, partial(free_bytes, config.directory))
    guard.start()
    while not stop.is_set():
        if engine.wait(0):
            raise SetupError(f"the engine ended: {engine.failure or 'it gave no reason'}", code="engine")
        stop.wait(1.0)
    guard.stop()
    _finish(client)


def _restrict(config: EngineConfig) -> None:
    """Restricts the thread that calls this, which is the engine's."""
    own = Path("/proc") / str(os.getpid())
    sandbox.restrict(
        writable=(config.directory / STORE, Path("/dev/null")),
        readable=(
            *(config.directory / "config.xml", config.directory / "users.xml"),
            *(Path(name) for name in _SYSTEM_FILES),
            *(own / name for name in _OWN_FILES),
        ),
        # Only listable: its directories show the environment and the open files again, for each thread.
        listable=(own / "task",),
        bind=(config.http_port, config.tcp_port),
        connect=(config.login_port,),
    )


def _enter_start_directory(directory: Path) -> Path:
    """Enters a new directory for the engine to start in, which is removed once the engine listens.

    The function `file()`, which no grant forbids, and the formats that take a file as their template first ask for the
    current directory, and fail for every account when there is none: otherwise they could read the columns in the
    store.
    """
    start = directory / "start"
    shutil.rmtree(start, ignore_errors=True)
    start.mkdir()
    for name in ("config.xml", "users.xml"):
        (start / name).symlink_to(directory / name)
    os.chdir(start)
    return start


def _until_it_listens(engine: Engine, client: StatementClient) -> None:
    deadline = time.monotonic() + _LISTENS_WITHIN_S
    while not engine.wait(0.01):
        if engine.listens():
            return _log_in(client)
        if time.monotonic() > deadline:
            raise SetupError(f"the engine does not listen after {_LISTENS_WITHIN_S:.0f} s", code="engine")
    raise SetupError(f"the engine does not listen: {engine.failure or 'it ended'}", code="engine")


def _log_in(client: StatementClient) -> None:
    """Checks that the engine answers a client with a password; raises SetupError."""
    try:
        client.execute("SELECT 1")
    except (OSError, Refused) as exc:
        raise SetupError(f"the engine listens and does not answer: {type(exc).__name__} {exc}", code="engine") from exc


def _finish(client: StatementClient) -> None:
    """Lets queries end with an answer, or cancels them, within a bound.

    After that the process may end at once: what was acknowledged is in the store, as after a kill. The engine's own
    shutdown would need a current directory again, which would open the function `file()`.
    """
    deadline = time.monotonic() + _ENDS_WITHIN_S
    others = "user NOT IN ('', currentUser())"
    running = f"SELECT count() FROM system.processes WHERE {others}"  # noqa: S608 - a constant text
    try:
        client.execute(f"KILL QUERY WHERE {others} ASYNC")
        while time.monotonic() < deadline and client.execute(running) != b"0\n":
            time.sleep(_LOOK_EVERY_S)
        client.execute("SYSTEM FLUSH LOGS")
    except (OSError, Refused) as exc:
        log.warning("queries could not be ended before the stop: %s", type(exc).__name__)


def _options() -> argparse.ArgumentParser:
    quarter_of_memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 22
    parser = argparse.ArgumentParser(prog="python -m deploy.clickhouse", description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--port", type=int, default=8123, help="of the HTTP protocol, on 127.0.0.1")
    parser.add_argument("--tcp-port", type=int, default=9000, help="of the native protocol, on 127.0.0.1")
    parser.add_argument("--user", default=OWNER, help="the name of the account that inserts")
    parser.add_argument("--databases", default=EVERY_DATABASE, help="the one database that the accounts use, or *")
    parser.add_argument("--memory-mib", type=int, default=min(2048, quarter_of_memory), help="for everything")
    return parser


if __name__ == "__main__":
    # Not the interpreter's exit: the engine's threads go on, and its clean-up in an ending process aborts.
    os._exit(main())
