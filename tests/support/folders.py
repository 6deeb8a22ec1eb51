"""Looks at a folder in which a server is at work: what it removes meanwhile is passed over, where Path.rglob raises."""

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path


def paths_under(folder: Path) -> Iterator[Path]:
    """Yields the folder, its folders and its files."""
    for place, _, names in os.walk(folder):
        yield Path(place)
        yield from (Path(place, name) for name in names)


def contents_of(paths: Iterable[Path]) -> dict[Path, bytes]:
    """Returns the bytes of those that are files and are still there."""
    found = {}
    for path in paths:
        with contextlib.suppress(FileNotFoundError, IsADirectoryError):
            found[path] = path.read_bytes()
    return found
