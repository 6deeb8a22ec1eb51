"""Everything that a run of `callweave up` leaves behind or shows, searched for what must not be in it."""

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from deploy.clickhouse import passwords
from deploy.clickhouse.engine import STORE
from deploy.process import token_key

MEANT_TO_HOLD: Final = {
    "kafka/log": "the topics: bodies as they came, and what is made of them",
    f"clickhouse/{STORE}": "the tables; its log is searched",
    "spool": "bodies that wait for Kafka",
    f"clickhouse/{passwords.FILE}": "the passwords of the embedded engine, for its user alone",
    token_key.FILE: "the key of tokens, for its user alone",
}
"""Places below the data directory that are searched by nobody, with the reason."""
NUMBERS: Final = re.compile(
    # The ranges of deploy/simulator/calls/parties.py, with and without country codes and trunk zeros.
    r"(?<![0-9a-f])(?:\+|00)?(?:86)?1[3-9]\d0000\d{4}(?![0-9a-f])"
    r"|(?<![0-9a-f])(?:\+|00)?(?:1|46|61)?0?(?:2025550[12]\d\d|7017406\d\d|491570\d{3})(?![0-9a-f])"
    r"|(?<![0-9a-f])(?:\+?86|0)?1651288\d{4}(?![0-9a-f])"
    r"|(?<![0-9a-f])0105550\d{4}(?![0-9a-f])"
)
"""Matches every phone number that the simulator can use."""


def kept_files(data_dir: Path) -> Iterator[tuple[str, str]]:
    """Yields name and text of every file below the directory that is not meant to hold numbers or passwords."""
    for below, directories, files in os.walk(data_dir):
        folder = Path(below)
        directories[:] = [
            name for name in directories if str((folder / name).relative_to(data_dir)) not in MEANT_TO_HOLD
        ]
        for path in (folder / name for name in files):
            if str(path.relative_to(data_dir)) not in MEANT_TO_HOLD and path.is_file():
                yield str(path.relative_to(data_dir)), path.read_bytes().decode("utf-8", "replace")
    for path in (data_dir / "clickhouse" / STORE).glob("*.log*"):
        yield str(path.relative_to(data_dir)), path.read_bytes().decode("utf-8", "replace")


def command_lines(pids: Iterable[int]) -> Iterator[tuple[str, str]]:
    """Yields what the process list shows of these processes."""
    for pid in pids:
        with contextlib.suppress(OSError):
            shown = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            yield f"process list: {pid}", shown


def found(places: Mapping[str, str], words: Iterable[str]) -> list[str]:
    """Returns where which of these words or of the simulator's numbers stand, with some text around them."""
    wanted = tuple(words)
    return [
        f"{place}: {what!r} in {text[max(0, at - 60) : at + 60]!r}"
        for place, text in places.items()
        for what, at in (
            *((word, text.find(word)) for word in wanted if word in text),
            *((match[0], match.start()) for match in NUMBERS.finditer(text)),
        )
    ]
