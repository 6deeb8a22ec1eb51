"""The breadcrumb: a memory-mapped file page in which a worker notes what it computes, so that the note outlives it.

The kernel keeps the page through kill -9 and an end by lack of memory; only an end of the machine loses it, and then no
record is accused. Writing it costs some hundred nanoseconds. A process holds the lock of its file for as long as it
lives.
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
_THREAD: Final = 512
"""Start of the second half, which has the same layout for the work in a thread while the event loop goes on."""
SIZE: Final = 1024


class Breadcrumb:
    """The page of this process; without a file it is plain memory that nobody will read."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self._page: mmap.mmap | bytearray = bytearray(SIZE)
        self._held = False
        if path is not None:
            self.file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            os.write(self.file, bytes(SIZE))
            # Reserves its place on the disk: a full one would end the process at a write to the page.
            os.fsync(self.file)
            self._page = mmap.mmap(self.file, SIZE)

    def mark(self, topic: bytes, partition: int, first: int, after: int, timestamp_ms: int) -> None:
        """Note that these records are being computed from now on."""
        if self._held:
            return
        page = self._page
        page[_FLAG] = 0  # a process can end between any two of these lines
        _PLACE.pack_into(page, _PLACE_AT, partition, first, after, timestamp_ms, len(topic), topic)
        page[_FLAG] = 1

    def move(self, first: int, after: int, timestamp_ms: int) -> None:
        """Note that it is now these records of the same partition."""
        if self._held:
            return
        page = self._page
        page[_FLAG] = 0
        _OFFSETS.pack_into(page, _OFFSETS_AT, first, after, timestamp_ms)
        page[_FLAG] = 1

    def clear(self) -> None:
        """Note that nothing is being computed."""
        if not self._held:
            self._page[_FLAG] = 0

    def mark_thread(self, topic: bytes, partition: int, first: int, after: int, timestamp_ms: int) -> None:
        """Note that these records are being computed in a thread; there is one at a time."""
        if self._held:
            return
        page = self._page
        page[_THREAD + _FLAG] = 0
        _PLACE.pack_into(page, _THREAD + _PLACE_AT, partition, first, after, timestamp_ms, len(topic), topic)
        page[_THREAD + _FLAG] = 1

    def clear_thread(self) -> None:
        """Note that no thread computes anything."""
        if not self._held:
            self._page[_THREAD + _FLAG] = 0

    def hold(self, cause: str) -> None:
        """Freeze the note, with the cause: this process is about to end."""
        text = cause.encode()[: _CAUSE_BYTES - 1]
        self._page[_CAUSE_AT : _CAUSE_AT + len(text)] = text
        self._held = True

    def close(self) -> None:
        """Remove the file: this process ends in order."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)
            os.close(self.file)
            self.path = None

    @property
    def note(self) -> "BreadcrumbNote":
        """The whole note."""
        return read(bytes(self._page))


class BreadcrumbNote(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a breadcrumb."""

    place: RecordPlace | None = None
    """The records that the event loop was computing; None when it was computing nothing."""
    thread_place: RecordPlace | None = None
    """The records that a thread was computing."""
    cause: str = ""
    """The type of the exception that ended the worker, if any: it came from what the event loop was computing."""


def read(page: bytes) -> BreadcrumbNote:
    """Read the page of a worker that has ended."""
    if len(page) < SIZE:
        return BreadcrumbNote()
    cause = page[_CAUSE_AT : _CAUSE_AT + _CAUSE_BYTES].partition(b"\0")[0].decode("ascii", "replace")
    place, thread_place = _place(page, 0), _place(page, _THREAD)
    return BreadcrumbNote(
        place=place, thread_place=None if place and cause else thread_place, cause=cause if place else ""
    )


def _place(page: bytes, at: int) -> RecordPlace | None:
    if page[at + _FLAG] != 1:
        return None
    partition, first, after, timestamp_ms, length, topic = _PLACE.unpack_from(page, at + _PLACE_AT)
    name = topic[:length].decode("ascii", "replace")
    return RecordPlace(topic=name, partition=partition, first=first, next=after, timestamp_ms=timestamp_ms)
