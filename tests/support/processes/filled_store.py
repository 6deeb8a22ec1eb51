"""ClickHouse's store with all tables, copied: the migrations take 1.5 s of CPU, and a dozen tests start a whole stack.

The stack still looks for missing migrations, and finds none. Tests of the migrations start without this, and so do
those of `callweave up` as a process.
"""

import os
from pathlib import Path
from shutil import copytree, ignore_patterns
from typing import Final

from deploy.clickhouse.launch import ClickHouseServer
from schemas.config.settings import Settings
from sinks.migrate import migrate_tables
from tests.support.processes.formatted import VARIABLE

_FOLDER: Final = "filled"
_OF_A_RUN: Final = ignore_patterns("end", "lock", "*.log*", "*.xml")
"""Files that each run of the engine makes anew."""


async def keep_store(folder: Path) -> None:
    """Makes the store of a lane: an engine that is migrated and stopped."""
    async with ClickHouseServer(folder / _FOLDER) as server:
        await migrate_tables(Settings(clickhouse=server.settings()))


def filled(data_dir: Path) -> Path:
    """Returns `data_dir` for an embedded engine, with the lane's tables; without a lane the stack makes them."""
    lent = os.environ.get(VARIABLE)
    if lent and not data_dir.exists():
        copytree(Path(lent).parent / _FOLDER, data_dir, symlinks=True, ignore=_OF_A_RUN)
    return data_dir
