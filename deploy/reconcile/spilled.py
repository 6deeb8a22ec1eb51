"""Records of both sides on disk, divided by what pairs them, so that memory holds one part of many at a time.

The parts are files of their owner alone in a directory that is removed at the end. The key of the division is random:
nobody who writes a file can fill one part with it.
"""

import fcntl
import hashlib
import os
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal, Self

import msgspec

from deploy.reconcile.records import CallRecord
from deploy.reconcile.rows.bounds import UnreadableFile

PARTS: Final = 256
_BUFFERED: Final = 32 * 1024
_LENGTH: Final = 4
_MOST_OF_PART: Final = 2_000_000
"""The most records of a part and side; only copies of one record without number come to that."""

_PREFIX: Final = "callweave-reconcile-"
_YOUNG_S: Final = 60
"""Seconds for which a folder may be one that is made and not locked yet."""

Side = Literal["theirs", "ours"]


def _sweep(folder: Path | None) -> None:
    """Removes what runs that were killed left behind: it has phone numbers. A run that lives has its folder locked."""
    for left in Path(folder or tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        try:
            known = left.lstat()
            if (
                known.st_uid != os.getuid()
                or not stat.S_ISDIR(known.st_mode)
                or time.time() - known.st_mtime < _YOUNG_S
            ):
                continue
            handle = os.open(left, os.O_RDONLY | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left, ignore_errors=True)
        except OSError:
            continue
        finally:
            os.close(handle)


class Spill:
    """The parts on disk; as a context manager it removes them."""

    def __init__(self, folder: Path | None = None) -> None:
        try:
            _sweep(folder)
            self._folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=folder))
            self._lock = os.open(self._folder, os.O_RDONLY)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            raise UnreadableFile(f"the temporary files cannot be written: {exc.strerror}") from exc
        self._key = secrets.token_bytes(16)
        self._encode = msgspec.msgpack.Encoder(decimal_format="string").encode_into
        self._decode = msgspec.msgpack.Decoder(CallRecord).decode
        self._buffers: dict[Side, list[bytearray]] = {
            side: [bytearray() for _ in range(PARTS)] for side in ("theirs", "ours")
        }
        self._scratch = bytearray(4096)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        os.close(self._lock)

    def put(self, side: Side, key: str, record: CallRecord) -> None:
        """Writes a record into the part of its key."""
        part = self._part(key)
        buffer = self._buffers[side][part]
        self._encode(record, self._scratch)
        buffer += len(self._scratch).to_bytes(_LENGTH)
        buffer += self._scratch
        if len(buffer) >= _BUFFERED:
            self._flush(side, part)

    def part(self, side: Side, part: int) -> Iterator[CallRecord]:
        """Yields the records of a part, in the order in which they came; raises `UnreadableFile` when too many."""
        self._flush(side, part)
        path = self._path(side, part)
        if not path.exists():
            return
        try:
            data = memoryview(path.read_bytes())
        except OSError as exc:
            raise UnreadableFile(f"the temporary files cannot be read: {exc.strerror}") from exc
        at, count = 0, 0
        while at < len(data):
            end = at + _LENGTH + int.from_bytes(data[at : at + _LENGTH])
            yield self._decode(data[at + _LENGTH : end])
            at = end
            count += 1
            if count > _MOST_OF_PART:
                raise UnreadableFile("too many records have one id, or the same two numbers")

    def drop(self, part: int) -> None:
        """Removes a part that is done."""
        for side in self._buffers:
            self._path(side, part).unlink(missing_ok=True)

    def _part(self, key: str) -> int:
        return hashlib.blake2b(key.encode("utf-8", "replace"), digest_size=1, key=self._key).digest()[0] % PARTS

    def _path(self, side: Side, part: int) -> Path:
        return self._folder / f"{side}-{part:03}"

    def _flush(self, side: Side, part: int) -> None:
        buffer = self._buffers[side][part]
        if not buffer:
            return
        try:
            with self._path(side, part).open("ab") as file:
                file.write(buffer)
        except OSError as exc:
            raise UnreadableFile(f"the temporary files cannot be written: {exc.strerror}") from exc
        buffer.clear()
