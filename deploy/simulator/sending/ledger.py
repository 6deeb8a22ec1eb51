"""What was sent and acknowledged, kept as JSON lines, so that another process can tell what must have come out.

An entry is written when a request's fate is known. Payloads that nobody acknowledged may have been stored all the same
(the answer can be lost on its way): they make rows possible, not certain.
"""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from deploy.simulator.expectation import Expectation

_ENCODER: Final = msgspec.json.Encoder()


class LedgerEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One request or pulled page and its fate."""

    vendor: str
    label: str
    told: tuple[Expectation, ...] = ()
    acked: bool = True
    lost_answers: int = 0
    """How often it was sent without a success answer: each time it may have been stored."""
    pulled: bool = False
    """Served by the pull API; how often a page is asked for is the puller's affair."""
    digest: str = ""
    """Of a request's body as it went over the wire (see `digest_of`)."""


def digest_of(body: bytes) -> str:
    """What a body is recognised by when it lies on a topic."""
    return hashlib.blake2b(body, digest_size=12).hexdigest()


_DECODER: Final = msgspec.json.Decoder(LedgerEntry)


class Ledger:
    """Entries in memory, in a file, or both."""

    def __init__(self, path: Path | None = None, *, keep: bool = True) -> None:
        """`keep=False` is for runs without an end: entries go to the file alone, if there is one."""
        self.entries: list[LedgerEntry] = []
        self._keep = keep
        self._file: BinaryIO | None = path.open("ab") if path else None

    def add(self, entry: LedgerEntry) -> None:
        """Note one fate."""
        if self._keep:
            self.entries.append(entry)
        if self._file:
            self._file.write(_ENCODER.encode(entry) + b"\n")

    def flush(self) -> None:
        """What is noted so far can be read by others."""
        if self._file:
            self._file.flush()

    def close(self) -> None:
        """The file is whole."""
        if self._file:
            self._file.close()
            self._file = None


def read(path: Path) -> Iterator[LedgerEntry]:
    """The entries of a file; a last line that is still being written is left out."""
    with path.open("rb") as lines:
        for line in lines:
            if line.endswith(b"\n"):
                yield _DECODER.decode(line)


def tellings(entries: Iterable[LedgerEntry]) -> Iterator[tuple[LedgerEntry, Expectation]]:
    """All elements of all entries."""
    for entry in entries:
        for telling in entry.told:
            yield entry, telling
