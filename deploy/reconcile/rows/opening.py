"""Opens a file of records from outside: looks at its bytes once for digest, kind and encoding, and inflates it bounded.

A file is whatever somebody sent: a gzip bomb, a line without an end and a file of other bytes than its name says each
end with one sentence and not with a full memory.
"""

import codecs
import gzip
import hashlib
import io
import shutil
import stat
import struct
import tempfile
import zipfile
import zlib
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, Final, Literal

import msgspec

from deploy.reconcile.rows.bounds import FREE_BYTES, MOST_RATIO, Tell, UnreadableFile

_GZIP: Final = b"\x1f\x8b"
_ZIP: Final = b"PK\x03\x04"
_OLE: Final = b"\xd0\xcf\x11\xe0"
_BLOCK: Final = 1 << 20
_SIGNS: Final = b",;\t|\r\n 0123456789"
_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class Survey(msgspec.Struct, frozen=True, kw_only=True):
    """Facts about a file that its bytes show without its columns."""

    path: Path
    size_bytes: int
    sha256: str
    """The digest of the file as it is, compressed or not."""
    kind: Literal["text", "xlsx"]
    gzipped: bool
    encoding: str = ""
    """The encoding of a text: "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-8" or "gb18030"."""
    written_ns: int = 0
    """The instant of the last write, by the file system."""

    def require_unchanged(self) -> None:
        """Raises `UnreadableFile` when the file is not the one that was looked at: its digest names the result."""
        try:
            now = self.path.stat()
        except OSError as exc:
            raise UnreadableFile(f"the file is gone since it was looked at: {exc.strerror}") from exc
        if (now.st_size, now.st_mtime_ns) != (self.size_bytes, self.written_ns):
            raise UnreadableFile("the file changed while it was read: wait until it is written, and say it again")


class _Bounded(io.RawIOBase):
    """The inflated bytes of a gzip file; raises `UnreadableFile` when they are many times those that were read."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._inflated = gzip.GzipFile(fileobj=source)
        self._count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]  # any writable buffer, as io promises
        try:
            data = self._inflated.read(min(len(view), _BLOCK))
        except (OSError, EOFError, zlib.error) as exc:
            raise UnreadableFile("the compressed file is damaged or cut off") from exc
        self._count += len(data)
        if self._count > FREE_BYTES + MOST_RATIO * self._source.tell():
            raise UnreadableFile(f"the file inflates to more than {MOST_RATIO} times its size: no file of calls does")
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._inflated.close()
        self._source.close()
        super().close()


def survey(path: Path, tell: Tell = lambda _: None) -> Survey:
    """Reads the whole file once; raises `UnreadableFile`."""
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):  # it is read several times, and a pipe cannot be
            raise UnreadableFile("this is no regular file but a folder, a pipe or a device: save the records to a file")
        size, written = facts.st_size, facts.st_mtime_ns
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        with path.open("rb") as file:
            gzipped = file.read(2) == _GZIP
        with _inner(path, gzipped=gzipped) as stream:
            head = stream.read(4)
        if head == _OLE:
            raise UnreadableFile("this is a workbook of the old form (.xls): save it as .xlsx or as CSV")
        if head == _ZIP:
            return Survey(path=path, size_bytes=size, sha256=digest, kind="xlsx", gzipped=gzipped, written_ns=written)
        with path.open("rb") as raw:
            pieces = _pieces(raw, tell, gzipped=gzipped)
            encoding = _encoding(pieces)
            if gzipped:  # what is cut off is said before a row is used
                deque(pieces, maxlen=0)
    except OSError as exc:
        raise UnreadableFile(f"the file cannot be read: {exc.strerror or type(exc).__name__}") from exc
    return Survey(
        path=path,
        size_bytes=size,
        sha256=digest,
        kind="text",
        gzipped=gzipped,
        encoding=encoding,
        written_ns=written,
    )


def bytes_of(found: Survey, tell: Tell = lambda _: None) -> BinaryIO:
    """Returns the inflated bytes of a surveyed text, which tell how far they were read; the caller closes them."""
    return io.BufferedReader(_Telling(_inner(found.path, gzipped=found.gzipped), found, tell), _BLOCK)


class _Telling(io.RawIOBase):
    """Bytes that tell the progress in the file behind them."""

    def __init__(self, stream: BinaryIO, found: Survey, tell: Tell) -> None:
        self._stream = stream
        self._tell = tell
        self._left = found.size_bytes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]  # as above
        data = self._stream.read(len(view))
        # Of a compressed file nobody knows the share of a block: the bar is then as far as the plain bytes are.
        told = min(self._left, len(data))
        self._left -= told
        self._tell(told)
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._stream.close()
        super().close()


def _inner(path: Path, *, gzipped: bool) -> BinaryIO:
    file = path.open("rb")
    return io.BufferedReader(_Bounded(file), _BLOCK) if gzipped else file


def _pieces(raw: BinaryIO, tell: Tell, *, gzipped: bool) -> Iterator[bytes]:
    stream = io.BufferedReader(_Bounded(raw), _BLOCK) if gzipped else raw
    before = 0
    while piece := stream.read(_BLOCK):
        tell(raw.tell() - before)
        before = raw.tell()
        yield piece


def _encoding(pieces: Iterator[bytes]) -> str:
    """Returns the encoding of a text, for which every byte of it counts: a name in the last line may be the first."""
    head = next(pieces, b"")
    for mark, name in _BOMS:
        if head.startswith(mark):
            return name
    # In UTF-16 each delimiter and digit has a byte of zeros beside it, on the side that tells the order of bytes.
    pairs = Counter(zip(head[0:1024:2], head[1:1024:2], strict=False))
    little = sum(pairs[sign, 0] for sign in _SIGNS)
    big = sum(pairs[0, sign] for sign in _SIGNS)
    if max(little, big) > 4 * min(little, big):
        return "utf-16-le" if little > big else "utf-16-be"
    if b"\0" in head:
        raise UnreadableFile("this is neither a text nor a workbook")
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        decoder.decode(head)
        for piece in pieces:
            decoder.decode(piece)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return "gb18030"
    return "utf-8"


@contextmanager
def workbook_of(found: Survey) -> Iterator[zipfile.ZipFile]:
    """Yields the archive of a surveyed workbook; raises `UnreadableFile`."""
    with ExitStack() as stack:
        try:
            plain: BinaryIO = stack.enter_context(found.path.open("rb"))
            if found.gzipped:
                inflated: BinaryIO = stack.enter_context(tempfile.TemporaryFile())
                with _inner(found.path, gzipped=True) as stream:
                    shutil.copyfileobj(stream, inflated)
                plain = inflated
            archive = stack.enter_context(zipfile.ZipFile(plain))
        except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error) as exc:
            raise UnreadableFile("the workbook is damaged") from exc
        except OSError as exc:
            raise UnreadableFile(f"the workbook cannot be read, or unpacked: {exc.strerror}") from exc
        yield archive
