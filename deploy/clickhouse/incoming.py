"""The data of an INSERT as a file in the engine's directory, for as long as the engine reads them. It knows no SQL.

Never synced: what counts is what the engine stores.
"""

import contextlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Final

_FOLDER: Final = Path("incoming")


class NotWritten(Exception):
    """The file system did not take the data; the message says why."""


def make_room() -> None:
    """Make the folder, and remove what a killed process left in it."""
    shutil.rmtree(_FOLDER, ignore_errors=True)
    _FOLDER.mkdir(mode=0o700)


@contextlib.contextmanager
def received(pieces: Iterable[bytes]) -> Iterator[str]:
    """The relative path of a file that holds all the pieces; raises `NotWritten`, or whatever `pieces` raises."""
    with contextlib.ExitStack() as stack:
        try:
            # Unbuffered, so that nothing is left to be written, and to fail, at the end.
            file: IO[bytes] = stack.enter_context(tempfile.NamedTemporaryFile(dir=_FOLDER, buffering=0))
        except OSError as exc:
            raise NotWritten(exc.strerror) from exc
        for piece in pieces:
            _write(file, piece)
        yield f"{_FOLDER}/{Path(file.name).name}"


def _write(file: IO[bytes], piece: bytes) -> None:
    rest = memoryview(piece)
    while rest:
        try:
            rest = rest[file.write(rest) :]
        except OSError as exc:
            raise NotWritten(exc.strerror) from exc
