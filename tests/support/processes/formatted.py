"""Kafka's storage as its tool prepares it, copied: the tool is a Java process, and dozens of tests start a broker."""

import base64
import os
import uuid
from pathlib import Path
from shutil import copy
from typing import Final

VARIABLE: Final = "CALLWEAVE_TEST_SERVERS"
"""The environment variable with the name of the file with the lane's servers; this one's files are beside it."""
_FILES: Final = ("meta.properties", "bootstrap.checkpoint")
_IDS: Final = ("cluster.id", "directory.id")
_FOLDER: Final = "formatted"


def keep_format(storage: Path, folder: Path) -> None:
    """Keeps what the tool wrote for the broker of a lane."""
    (folder / _FOLDER).mkdir()
    for name in _FILES:
        copy(storage / name, folder / _FOLDER / name)


def formatted(data_dir: Path) -> Path:
    """Returns `data_dir` for a broker that is alone, prepared under its own ids; without a lane the broker does it."""
    lent = os.environ.get(VARIABLE)
    storage = data_dir / "log"
    if not lent or storage.exists():
        return data_dir
    source = Path(lent).parent / _FOLDER
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    storage.mkdir(mode=0o700)
    for name in _FILES:
        copy(source / name, storage / name)
    meta = storage / "meta.properties"
    lines = [line.split("=", 1) for line in meta.read_text().splitlines() if "=" in line]
    meta.write_text("".join(f"{name}={_new_id() if name in _IDS else value}\n" for name, value in lines))
    return data_dir


def _new_id() -> str:
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
