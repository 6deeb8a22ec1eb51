"""What a worker is computing, written where it outlives the worker: a page of a file that is mapped into memory.

The kernel keeps the page through kill -9 and through an end for want of memory; only the machine's own end loses it, and then
nothing is accused. Writing it costs some hundred nanoseconds. A process holds the lock of its file for as long as it lives.
"""

import mmap
import os
import struct
from pathlib import Path
from typing import Final

import msgspec

from processors.poison.suspects import RecordPlace

_FLAG: Final = 0
_PLACE: Final = struct.Struct("<qqqqH249s")
_PLACE_AT: Final = 8
_OFFSETS: Final = struct.Struct("<qqq")
_OFFSETS_AT: Final = _PLACE_AT + 8
_CAUSE_AT: Final = 320
_CAUSE_BYTES: Final = 100
_ASIDE: Final = 512
"""From here on the same again, of what is computed in a thread while the loop goes on."""
SIZE: Final = 1024


class Crumb:
    """The page of this process; without a file it is only memory, and nobody will read it."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self._page: mmap.mmap | bytearray = bytearray(SIZE)
        self._held = False
        if path is not None:
            self.file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            os.write(self.file, bytes(SIZE))
            os.fsync(
                self.file
            )  # it has its place on the disk now: a full one would end the process at a write to the page
            self._page = mmap.mmap(self.file, SIZE)

    def mark(self, topic: bytes, partition: int, first: int, after: int, timestamp_ms: int) -> None:
        """Say that these records are being computed from now on."""
        if self._held:
            return
        page = self._page
        page[_FLAG] = 0  # a process can end between any two of these lines
        _PLACE.pack_into(page, _PLACE_AT, partition, first, after, timestamp_ms, len(topic), topic)
        page[_FLAG] = 1

    def move(self, first: int, after: int, timestamp_ms: int) -> None:
        """Say that it is these of the same partition."""
        if self._held:
            return
        page = self._page
        page[_FLAG] = 0
        _OFFSETS.pack_into(page, _OFFSETS_AT, first, after, timestamp_ms)
        page[_FLAG] = 1

    def clear(self) -> None:
        """Say that nothing is being computed."""
        if not self._held:
            self._page[_FLAG] = 0

    def mark_aside(self, topic: bytes, partition: int, first: int, after: int, timestamp_ms: int) -> None:
        """Say that these records are being computed in a thread; there is one at a time."""
        if self._held:
            return
        page = self._page
        page[_ASIDE + _FLAG] = 0
        _PLACE.pack_into(page, _ASIDE + _PLACE_AT, partition, first, after, timestamp_ms, len(topic), topic)
        page[_ASIDE + _FLAG] = 1

    def clear_aside(self) -> None:
        """Say that no thread computes anything."""
        if not self._held:
            self._page[_ASIDE + _FLAG] = 0

    def hold(self, cause: str) -> None:
        """Leave what it says now, with the cause, for good: this process is about to end."""
        said = cause.encode()[: _CAUSE_BYTES - 1]
        self._page[_CAUSE_AT : _CAUSE_AT + len(said)] = said
        self._held = True

    def close(self) -> None:
        """Remove the file: this process ends in order."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)
            os.close(self.file)
            self.path = None

    @property
    def place(self) -> RecordPlace | None:
        """What it says of the loop."""
        return self.said.place

    @property
    def said(self) -> "Said":
        """All that it says."""
        return read(bytes(self._page))


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What a crumb says."""

    place: RecordPlace | None = None
    """What the loop was computing; None when it was computing nothing."""
    aside: RecordPlace | None = None
    """What a thread was computing."""
    cause: str = ""
    """The last words of a worker that ended by an exception: then it is about what the loop was computing."""


def read(page: bytes) -> Said:
    """What a worker that is no more was computing, and its last words."""
    if len(page) < SIZE:
        return Said()
    cause = page[_CAUSE_AT : _CAUSE_AT + _CAUSE_BYTES].partition(b"\0")[0].decode("ascii", "replace")
    place, aside = _place(page, 0), _place(page, _ASIDE)
    return Said(place=place, aside=None if place and cause else aside, cause=cause if place else "")


def _place(page: bytes, at: int) -> RecordPlace | None:
    if page[at + _FLAG] != 1:
        return None
    partition, first, after, timestamp_ms, length, topic = _PLACE.unpack_from(page, at + _PLACE_AT)
    name = topic[:length].decode("ascii", "replace")
    return RecordPlace(topic=name, partition=partition, first=first, next=after, timestamp_ms=timestamp_ms)
