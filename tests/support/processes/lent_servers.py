"""One broker and one ClickHouse for all processes of a lane of `make test`: idle ones would take a tenth of its CPU.

`python -m tests.support.processes.lent_servers FOLDER` starts both, writes their addresses into FOLDER/servers.json,
says so in a line, and stops them when its input ends, as it does with the process that started it.
"""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import msgspec

from deploy.clickhouse.launch import ClickHouseServer
from deploy.kafka.broker import KafkaServer
from schemas.config.secret import read_secret, written
from schemas.config.settings import ClickHouseSettings
from tests.support.processes.filled_store import keep_store
from tests.support.processes.formatted import VARIABLE, keep_format

_READY: Final = b"ready\n"


class LentServers(msgspec.Struct, frozen=True, kw_only=True):
    """The addresses of the servers that all processes share; in a file, because passwords are in it."""

    kafka: str
    clickhouse: ClickHouseSettings


def lent() -> LentServers | None:
    """Returns the servers that the lane lends to this process; None where each process starts its own."""
    file = os.environ.get(VARIABLE)
    if not file:
        return None
    return msgspec.json.decode(
        Path(file).read_bytes(), type=LentServers, dec_hook=lambda _, given: read_secret(given, os.environ)
    )


@contextlib.contextmanager
def lending() -> Iterator[dict[str, str]]:
    """Yields what the environment of a lane needs; without the servers' addresses where they could not start."""
    with TemporaryDirectory(prefix="callweave-lent-") as folder:
        command = (sys.executable, "-m", __name__, folder)
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as servers:
            assert servers.stdin is not None
            assert servers.stdout is not None
            said = servers.stdout.readline()
            yield {VARIABLE: f"{folder}/servers.json"} if said == _READY else {}
            servers.stdin.close()


async def _lend(folder: Path) -> None:
    async with KafkaServer(folder / "kafka") as kafka, ClickHouseServer(folder / "clickhouse") as clickhouse:
        servers = LentServers(kafka=kafka.bootstrap, clickhouse=clickhouse.settings())
        keep_format(folder / "kafka" / "log", folder)
        await keep_store(folder)
        (folder / "servers.json").write_bytes(msgspec.json.encode(servers, enc_hook=written))
        sys.stdout.buffer.write(_READY)
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.buffer.read)


if __name__ == "__main__":
    asyncio.run(_lend(Path(sys.argv[1])))
