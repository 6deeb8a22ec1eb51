"""The ledger: all requests with their outcomes as JSON lines, from which another process knows what must have come out.

An entry is written when a request's outcome is known. A payload that nobody acknowledged may have been stored all the
same (the answer can be lost on its way): it makes rows possible, not certain.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from deploy.simulator.expectation import Expectation

_ENCODER: Final = msgspec.json.Encoder()


class LedgerEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One request or pulled page and its outcome."""

    vendor: str
    label: str
    expected: tuple[Expectation, ...] = ()
    acked: bool = True
    lost_answers: int = 0
    """The number of attempts without a success answer: each time it may have been stored."""
    pulled: bool = False
    """True for a page of the pull API; the puller decides how often it asks for one."""
    digest: str = ""
    """The digest of a request's body as it went over the wire (see `digest_of`)."""


def digest_of(body: bytes) -> str:
    """Returns the digest by which a body is recognised on a topic."""
    return hashlib.blake2b(body, digest_size=12).hexdigest()


_DECODER: Final = msgspec.json.Decoder(LedgerEntry)


class Ledger:
    """The entries of a run, in memory, in a file, or both."""

    def __init__(self, path: Path | None = None, *, keep: bool = True) -> None:
        """`keep=False` is for runs without an end: entries go to the file alone, if there is one."""
        self.entries: list[LedgerEntry] = []
        self._keep = keep
        self._file: BinaryIO | None = path.open("ab") if path else None

    def add(self, entry: LedgerEntry) -> None:
        """Notes one outcome."""
        if self._keep:
            self.entries.append(entry)
        if self._file:
            self._file.write(_ENCODER.encode(entry) + b"\n")

    def flush(self) -> None:
        """Writes to the file what is noted so far, so that others can read it."""
        if self._file:
            self._file.flush()

    def close(self) -> None:
        """Closes the file."""
        if self._file:
            self._file.close()
            self._file = None


def read(path: Path) -> Iterator[LedgerEntry]:
    """Yields the entries of a file; a last line that is still being written is left out."""
    with path.open("rb") as lines:
        for line in lines:
            if line.endswith(b"\n"):
                yield _DECODER.decode(line)
