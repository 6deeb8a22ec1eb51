"""`python -m deploy.clickhouse`: serves one data directory until SIGTERM or SIGINT. Exit code 1: the reason is on stderr."""

import argparse
import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

from aiohttp import web

from deploy.clickhouse.app import Limits, Server
from deploy.clickhouse.engine import Engine
from deploy.clickhouse.room import Guard
from deploy.clickhouse.users import DEFAULT_USERS, read_users
from deploy.data_dir import claim
from deploy.ports import require_free
from schemas.errors import SetupError

_MINIMUM_FREE_BYTES = 256 << 20
_DRAIN_S = 2.0


def main() -> int:
    """Runs the server and gives the exit code."""
    options = _options().parse_args()
    try:
        with claim(options.data_dir.absolute(), what="ClickHouse", minimum_free_bytes=_MINIMUM_FREE_BYTES):
            require_free(options.port, what="ClickHouse", setting="its port", host=options.host)
            users = read_users(options.users.read_bytes()) if options.users else DEFAULT_USERS
            os.chdir(options.data_dir)
            engine = Engine(memory_bytes=options.memory_mib << 20)
            server = Server(
                engine, name=socket.gethostname(), users=users, limits=Limits(body_bytes=options.body_mib << 20)
            )
            guard = Guard(engine.ask)
            guard.start()
            try:
                asyncio.run(_serve(server, options.host, options.port))
            finally:
                guard.stop()
                if not server.close():
                    # The engine cannot close under a running query; what was answered is stored in any case.
                    os._exit(0)
                engine.close()
    except (SetupError, OSError, RuntimeError, ValueError) as exc:
        print(exc, file=sys.stderr)  # noqa: T201 - the one line that whoever started us reads
        return 1
    return 0


async def _serve(server: Server, host: str, port: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = web.AppRunner(server.app(), access_log=None, auto_decompress=False, shutdown_timeout=_DRAIN_S)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        await stop.wait()
    finally:
        await runner.cleanup()


def _options() -> argparse.ArgumentParser:
    half_of_memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 21
    parser = argparse.ArgumentParser(prog="python -m deploy.clickhouse", description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8123)
    parser.add_argument("--users", type=Path, help="a JSON file: {name: {password, readonly}}")
    parser.add_argument("--memory-mib", type=int, default=min(4096, half_of_memory), help="queries' memory together")
    parser.add_argument("--body-mib", type=int, default=4096, help="the largest request body, as sent")
    return parser


if __name__ == "__main__":
    sys.exit(main())
