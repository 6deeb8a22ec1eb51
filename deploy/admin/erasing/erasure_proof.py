"""The proof of an erasure: who erased what, when and why, and for each place what was found, done and left."""

import contextlib
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Literal

import msgspec

from schemas.errors import SetupError


class ErasedPlace(msgspec.Struct, frozen=True, kw_only=True):
    """One place in which data stood."""

    place: str
    kind: Literal["table", "topic", "spool", "state"]
    found: int
    """Versions of rows, records, or bodies."""
    done: int
    left: int
    until: datetime | None = None
    """The latest time at which what is left is gone by itself; null where nothing is left, or nobody knows."""
    note: str = ""


class ErasureProof(msgspec.Struct, frozen=True, kw_only=True):
    """The whole proof, without the number."""

    subject: str
    """`number` with the keyed hash by which the list names it, or `account` with its name."""
    account: str
    """The only account in which a number was erased; "" for all."""
    received_until: datetime
    """The latest instant of receipt that it covers."""
    finished_at: datetime
    actor: str
    reason: str
    dry_run: bool
    complete: bool
    """False where something was still found when the time was over: the command is to be run again."""
    places: tuple[ErasedPlace, ...]

    def lines(self) -> list[str]:
        """Returns the proof as lines for a terminal."""
        what = "would be erased" if self.dry_run else "erased" if self.complete else "NOT ERASED COMPLETELY"
        head = f"{self.subject}{f' of account {self.account}' if self.account else ''}: {what}, as far as received by {self.received_until:%Y-%m-%d %H:%M:%S} UTC"
        return [head, *(f"  {_line(one)}" for one in self.places)]


def _line(one: ErasedPlace) -> str:
    until = f", gone by {one.until:%Y-%m-%d %H:%M} UTC" if one.until and one.left else ""
    note = f" ({one.note})" if one.note else ""
    return f"{one.kind:5} {one.place:24} found {one.found}, done {one.done}, left {one.left}{until}{note}"


@contextlib.contextmanager
def private_file(path: Path) -> Iterator[BinaryIO]:
    """Yields a file that only its owner reads; raises `SetupError` where it cannot be written."""
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            path.chmod(0o600)  # an existing file may be readable by others
            yield file
    except OSError as exc:
        raise SetupError(f"{path} cannot be written: {exc.strerror}", advice="Name another file.") from exc


def write_private(path: Path, data: bytes) -> None:
    """Writes a file that only its owner reads; raises `SetupError` where it cannot be written."""
    with private_file(path) as file:
        file.write(data)


def encoded(proof: ErasureProof) -> bytes:
    """Returns the proof as JSON."""
    return msgspec.json.format(msgspec.json.encode(proof), indent=2) + b"\n"
